"""Files are whole or absent, one writer wins, and what a disk does to us is one clear error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from mmidd.engine.files import canonical, digest, disk_errors, put_if_absent, write_text, write_whole
from mmidd.engine.store import Store
from mmidd.errors import WorkError


def no_link(code: int) -> Callable[..., None]:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_digest_knows_values_not_their_order() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert len({digest(), digest(None), digest([]), digest({}), digest(""), digest("é"), digest("e\u0301")}) == 7
    assert canonical({"b": 1.0, "a": "é"}) == '{"a":"é","b":1.0}'


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def torn(temporary: Path) -> Path:
        temporary.write_bytes(b"half")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write_whole(torn, scratch=tmp_path / "tmp")
    assert names(tmp_path) == []
    write_text(tmp_path / "deep" / "note", "old", scratch=tmp_path / "tmp")
    write_text(tmp_path / "deep" / "note", "nöte", scratch=tmp_path / "tmp")
    assert (tmp_path / "deep" / "note").read_text(encoding="utf-8") == "nöte"
    assert names(tmp_path) == ["deep/note"]


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_the_first_to_put_wins_with_and_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    if code is not None:
        monkeypatch.setattr(os, "link", no_link(code))
    place = tmp_path / "records" / "one"
    assert put_if_absent(place, b"first", scratch=tmp_path / "tmp") is True
    assert put_if_absent(place, b"second", scratch=tmp_path / "tmp") is False
    assert place.read_bytes() == b"first"
    assert names(tmp_path) == ["records/one"]


@pytest.mark.parametrize("code", [None, errno.EPERM])
def test_of_many_threads_that_put_at_once_exactly_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    if code is not None:
        monkeypatch.setattr(os, "link", no_link(code))
    runners, rounds = 4, 20
    barrier = Barrier(runners)

    def put(runner: int) -> list[bool]:
        won = []
        for number in range(rounds):
            barrier.wait()
            won.append(put_if_absent(tmp_path / f"r{number}", bytes([runner]) * 1000, scratch=tmp_path / "tmp"))
        return won

    with ThreadPoolExecutor(runners) as pool:
        results = list(pool.map(put, range(runners)))
    for number, won in enumerate(zip(*results, strict=True)):
        assert sum(won) == 1
        assert (tmp_path / f"r{number}").read_bytes() == bytes([won.index(True)]) * 1000


RACER = """
import sys, time
from pathlib import Path
from mmidd.engine.store import Store

store = Store.open(Path(sys.argv[1]))
Path(sys.argv[2]).touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.0001)
for number in range(20):
    writers = {"rows": lambda path: path.write_bytes(sys.argv[2].encode())}
    record = store.commit("toy", f"{number:032x}", "set/0", writers, ingredients={}, counts={})
    assert store.path(record, "rows").read_bytes() == sys.argv[2].encode()
"""


def test_two_processes_that_commit_the_same_keys_both_end_with_valid_records(tmp_path: Path) -> None:
    work, ready, go = tmp_path / "work", [tmp_path / "one", tmp_path / "two"], tmp_path / "go"
    racers = [subprocess.Popen([sys.executable, "-c", RACER, work, here, go]) for here in ready]
    while not all(here.exists() for here in ready) and all(racer.poll() is None for racer in racers):
        time.sleep(0.001)
    go.touch()
    assert [racer.wait(60) for racer in racers] == [0, 0]
    store = Store.open(work)
    found = list(store.records("toy"))
    assert [record.key for record in found] == [f"{number:032x}" for number in range(20)]
    assert {record.generation for record in found} == {1}
    assert names(work / "tmp") == []


@pytest.mark.parametrize(
    "code, told",
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "the disk reports an error"),
        (errno.ESTALE, "the network disk lost it"),
    ],
)
def test_what_a_disk_can_do_is_one_clear_error(tmp_path: Path, code: int, told: str) -> None:
    def full(temporary: Path) -> Path:
        temporary.write_bytes(b"some")
        raise OSError(code, os.strerror(code))

    with pytest.raises(WorkError, match=f"cannot write .*{told}.*run the same command to go on"):
        write_whole(full, scratch=tmp_path / "tmp")
    assert names(tmp_path) == []


def test_other_errors_of_the_system_are_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_a_full_disk_is_met_in_the_record_too_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "work")
    synced = os.fsync

    def full(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}")
        if path.is_file() and b'"record"' in path.read_bytes():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkError, match="the disk is full"):
            store.commit("toy", "0" * 32, "set/0", {"rows": _write}, ingredients={}, counts={})
    assert store.latest("toy", "0" * 32) is None and names(store.scratch) == []
    assert store.commit("toy", "0" * 32, "set/0", {"rows": _write}, ingredients={}, counts={}).generation == 0


def _write(path: Path) -> None:
    path.write_bytes(b"rows")
