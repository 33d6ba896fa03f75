"""The work folder: what has no valid record does not exist, and a folder of somebody else is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from once import Once

from mmidd.engine.files import canonical, digest
from mmidd.engine.store import Record, Store
from mmidd.errors import WorkError

KEY = "0123456789abcdef" * 2


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "work")


def put(store: Store, data: bytes = b"rows", key: str = KEY) -> Record:
    writers: dict[str, Callable[[Path], Any]] = {
        "rows.parquet": lambda path: path.write_bytes(data),
        "blobs.bin": lambda path: path.write_bytes(b""),
    }
    return store.commit("toy", key, "set/0", writers, ingredients={"a": 1}, counts={"media": 2}, seconds=1.23456)


def record_path(store: Store, record: Record) -> Path:
    return store.root / "records" / record.stage / record.key[:2] / f"{record.key}.g{record.generation}.json"


def test_a_commit_is_read_back_as_it_was_put(store: Store) -> None:
    record = put(store)
    assert store.latest("toy", KEY) == record == Store.open(store.root).latest("toy", KEY)
    assert store.path(record, "rows.parquet").read_bytes() == b"rows"
    assert (record.generation, record.unit, record.counts, record.seconds) == (0, "set/0", {"media": 2}, 1.235)


def test_equal_files_give_an_equal_digest_whatever_the_generation(store: Store) -> None:
    first, second, other = put(store), put(store), put(store, b"else")
    assert (first.generation, second.generation, other.generation) == (0, 1, 2)
    assert first.digest == second.digest != other.digest
    assert store.latest("toy", KEY) == other
    assert store.path(first, "rows.parquet").read_bytes() == b"rows"  # what a reader of g0 holds stays


def test_a_data_file_without_a_record_is_invisible(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmidd.engine.store.put_if_absent", killed)
    with pytest.raises(KeyboardInterrupt):
        put(store)
    assert list((store.root / "data").rglob("*.rows.parquet"))
    assert store.latest("toy", KEY) is None and list(store.records("toy")) == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"media":2', '"media":3'))


def _reseal(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        body = json.loads(path.read_text())["record"]
        change(body)
        path.write_text(canonical({"record": body, "sha256": digest(body)}))

    return write


RUINS: dict[str, Callable[[Path], Any]] = {
    "torn": _cut,
    "edited": _edit,
    "empty": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_bytes(b"\xff\xfe{"),
    "a list": lambda path: path.write_text("[1]"),
    "a number": lambda path: path.write_text("7"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a folder": _make_a_folder,
    "of unknown fields": _reseal(lambda body: body.update(more=1)),
    "of missing fields": _reseal(lambda body: body.pop("files")),
    "files of another shape": _reseal(lambda body: body.update(files=[])),
    "file without a path": _reseal(lambda body: body["files"]["rows.parquet"].pop("path")),
}


@pytest.mark.parametrize("ruin", RUINS)
def test_a_ruined_record_counts_as_absent_and_the_next_commit_makes_another_generation(store: Store, ruin: str) -> None:
    RUINS[ruin](record_path(store, put(store)))
    assert store.latest("toy", KEY) is None and list(store.records("toy")) == []
    again = put(store)
    assert again.generation == 1 and store.latest("toy", KEY) == again


def test_a_ruined_newest_generation_leaves_the_one_before(store: Store) -> None:
    first = put(store)
    _cut(record_path(store, put(store, b"new")))
    assert store.latest("toy", KEY) == first


@pytest.mark.parametrize("ruin", ["gone", "short", "long"])
def test_a_record_whose_file_is_not_there_in_full_counts_as_absent(store: Store, ruin: str) -> None:
    record = put(store)
    path = store.path(record, "rows.parquet")
    path.unlink()
    if ruin != "gone":
        path.write_bytes(b"row" if ruin == "short" else b"rows and more")
    assert store.latest("toy", KEY) is None
    again = put(store)
    assert again.generation == 1 and store.path(again, "rows.parquet").read_bytes() == b"rows"


@pytest.mark.parametrize(
    "other",
    [
        {"counts": [1]}, {"counts": {"media": "2"}}, {"unit": 3}, {"generation": "0"}, {"seconds": None}, {"files": []},
        {"ingredients": [1]}, {"files": {"rows.parquet": {"path": "mmidd-work.json", "bytes": 12, "sha256": ""}}},
        {"files": {"rows.parquet": {"path": "data/../mmidd-work.json", "bytes": 12, "sha256": ""}}}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_sealed_record_of_another_mmidd_counts_as_absent(store: Store, other: dict[str, Any]) -> None:
    path = record_path(store, put(store))
    body = json.loads(path.read_text())["record"] | other
    path.write_text(canonical({"record": body, "sha256": digest(body)}))
    assert store.latest("toy", KEY) is None and list(store.records("toy")) == []


def test_a_file_that_a_record_does_not_name_is_told_with_the_record(store: Store) -> None:
    with pytest.raises(WorkError, match=r"names no outcomes\.parquet"):
        store.path(put(store), "outcomes.parquet")


def test_names_that_are_no_records_are_no_records(store: Store) -> None:
    record = put(store)
    folder = record_path(store, record).parent
    for name in (f"{KEY}.json", f"{KEY}.gx.json", f"{KEY}.g9.json.tmp", "notes.json"):
        (folder / name).write_text("{}")
    assert list(store.records("toy")) == [record] and put(store).generation == 1


def test_records_come_in_order_of_key_and_of_one_stage_only(store: Store) -> None:
    keys = [f"{number * 0x1234567:032x}" for number in (5, 3, 9)]
    for key in keys:
        put(store, key=key)
    assert [record.key for record in store.records("toy")] == sorted(keys)
    assert list(store.records("other")) == []


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda root: root.write_text("x"), "is a file"),
        (lambda root: (root.mkdir(), (root / "holiday.jpg").touch()), "not a work folder"),
        (lambda root: (root.mkdir(), (root / "mmidd-work.json").write_text('{"format": 99}')), "another version .*99"),
        (lambda root: (root.mkdir(), (root / "mmidd-work.json").write_text("{")), "cannot be read"),
        (lambda root: (root.mkdir(), (root / "mmidd-work.json").write_text("[]")), "cannot be read"),
        (lambda root: (root.mkdir(), (root / "mmidd-work.json").write_bytes(b"\xff")), "cannot be read"),
        (lambda root: (root.parent / "file").touch() or root.symlink_to("file"), "is a file"),
        (lambda root: root.symlink_to("nowhere"), "link to nothing"),
    ],
    ids=["file", "foreign", "other format", "torn marker", "odd marker", "binary marker", "link to a file", "dangling"],
)
def test_a_place_that_is_no_work_folder_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], Any], told: str
) -> None:
    root = tmp_path / "work"
    make(root)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkError, match=told):
        Store.open(root)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_work_folder_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkError, match="cannot write"):
        Store.open(tmp_path / "file" / "work")


def test_an_empty_or_half_made_folder_becomes_a_work_folder(tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "tmp").mkdir(parents=True)
    (root / "tmp" / "left.tmp").touch()
    assert Store.open(root).root == root == Store.open(root).root


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from mmidd.engine.store import Store
from mmidd.errors import WorkError

os.setgid(65534)
os.setuid(65534)
try:
    store = Store.open(Path(sys.argv[1]))
    store.commit("toy", "0" * 32, "set/0", {"rows": lambda path: path.touch()}, ingredients={}, counts={})
except WorkError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("opened", [False, True])
def test_a_folder_that_may_not_be_written_is_one_clear_error(tmp_path: Path, once: Once, opened: bool) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody who may not write")
    root = tmp_path / "work"
    if opened:
        Store.open(root)
    for folder in (*tmp_path.parents, tmp_path):
        if folder.is_relative_to(once.root.parent):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", UNPRIVILEGED, root], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "permission denied. Mend it, then run the same command to go on." in done.stderr


def test_notes_are_replaced_whole_and_a_broken_one_counts_as_none(store: Store) -> None:
    assert store.note("last.json") is None
    store.touch("last.json", {"a": 1})
    store.touch("last.json", {"a": 2})
    assert store.note("last.json") == {"a": 2}
    (store.root / "last.json").write_text('{"a":')
    assert store.note("last.json") is None
