"""The corpus folder: what it refuses, how a version takes the place of another, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmidd.corpus.about import MANIFEST
from mmidd.corpus.target import Target, link_or_copy, read_manifest
from mmidd.engine.faults import VARIABLE
from mmidd.errors import CorpusError


def _corpus(out: Path, version: int, files: int = 3) -> set[str]:
    """Fill the building folder of `out` with a version, ready to be swapped in; returns its files."""
    target = Target(out)
    (target.building / "data").mkdir(parents=True, exist_ok=True)
    names = {f"data/{version}-{number}.parquet" for number in range(files)}
    for name in names:
        (target.building / name).write_text(str(version))
    listed = {name: {"bytes": len(str(version)), "sha256": "0" * 64, "rows": 1} for name in names}
    about = {"schema_version": 1, "version": version, "files": listed}
    target.write({MANIFEST: json.dumps(about).encode()}, names)
    return names | {MANIFEST}


def _put(out: Path, version: int) -> set[str]:
    """Make a version the corpus."""
    names = _corpus(out, version)
    Target(out).swap()
    return names


def _listed(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def _version(out: Path) -> int | None:
    about = read_manifest(out)
    return about["version"] if about else None


def test_a_version_takes_the_place_of_another_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    for version in (1, 2):
        (Target(out).building / "data").mkdir(parents=True)
        (Target(out).building / "left over.tmp").write_text("from a killed build")
        (Target(out).building / "data/9-0.parquet").write_text("from a killed build")
        kept = _put(out, version)
        assert _listed(out) == kept and _version(out) == version
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


READER = """
import json, os, sys
from pathlib import Path
out, ready = Path(sys.argv[1]), Path(sys.argv[2])
ready.touch()
seen, mixed, absent = set(), 0, 0
while ready.exists():
    try:
        seen.add(json.loads((out / "mmidd.json").read_text())["version"])
        versions = {name.split("-")[0] for name in os.listdir(out / "data")}
        mixed += len(versions) > 1
    except FileNotFoundError as error:
        absent += 1
print(json.dumps({"seen": sorted(seen), "mixed": mixed, "absent": absent}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot exchange two folders in one step")
def test_a_reader_in_another_process_never_sees_a_mixture_nor_nothing(tmp_path: Path) -> None:
    out, ready = tmp_path / "corpus", tmp_path / "ready"
    _put(out, 0)
    command = [sys.executable, "-c", READER, str(out), str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        while not ready.exists():
            assert reader.poll() is None
            time.sleep(0.005)
        for version in range(1, 150):
            _put(out, version)
        ready.unlink()
        found = json.loads(reader.communicate()[0])
    assert len(found["seen"]) > 3
    assert (found["mixed"], found["absent"]) == (0, 0)


def test_without_an_exchange_two_renames_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "exchange:*:ENOSYS")
    out = tmp_path / "corpus"
    for version in (1, 2, 3):
        kept = _put(out, version)
        assert _listed(out) == kept and _version(out) == version
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_kill_between_the_two_renames_is_mended_by_the_next_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "exchange:*:ENOSYS")
    out = tmp_path / "corpus"
    _put(out, 1)
    kept = _corpus(out, 2)
    rename = Path.rename

    def dies_at_the_second(self: Path, target: Path) -> Path:
        if target == out:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", dies_at_the_second)
        Target(out).swap()
    assert not out.exists()
    with Target(out).held():
        assert _version(out) == 1
        _put(out, 2)
    assert _version(out) == 2 and _listed(out) == kept


def _foreign_folder(out: Path) -> None:
    out.mkdir()
    (out / "thesis.docx").write_text("years of work")


def _broken_manifest(out: Path) -> None:
    out.mkdir()
    (out / MANIFEST).write_text("{")


def _other_json(out: Path) -> None:
    out.mkdir()
    (out / MANIFEST).write_text('{"name": "something else"}')


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_foreign_folder, "holds something that is no corpus"),
        (_broken_manifest, "holds something that is no corpus"),
        (_other_json, "holds something that is no corpus"),
        (lambda out: out.write_text("a file"), "is a file"),
    ],
)
def test_a_place_that_holds_something_else_is_refused_and_left_as_it_is(tmp_path: Path, make: object, reason: str) -> None:
    out = tmp_path / "corpus"
    assert callable(make)
    make(out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CorpusError, match=reason):
        Target(out).claim()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("make", [lambda out: None, lambda out: out.mkdir(), lambda out: _put(out, 1)])
def test_a_free_place_an_empty_folder_and_a_corpus_may_be_claimed_and_are_not_changed(tmp_path: Path, make: object) -> None:
    out = tmp_path / "corpus"
    assert callable(make)
    make(out)
    before = sorted(tmp_path.rglob("*"))
    Target(out).claim()
    assert sorted(tmp_path.rglob("*")) == before


def test_only_one_build_at_a_time_writes_a_corpus(tmp_path: Path) -> None:
    corpus = Target(tmp_path / "corpus")
    code = "import pathlib, sys, mmidd.corpus.target as f\nwith f.Target(pathlib.Path(sys.argv[1])).held(): pass"
    command = [sys.executable, "-c", code, str(corpus.out)]
    with corpus.held():
        second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode and "another build is writing" in second.stderr
    assert subprocess.run(command).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_right_file_is_taken_over_from_the_old_version_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    _put(out, 1)
    corpus, name = Target(out), "data/1-0.parquet"
    sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert not corpus.has(name, 2, sha256) and not corpus.has(name, 1, "0" * 64) and not corpus.has("data/none", 1, sha256)
    assert not corpus.building.exists()
    assert corpus.has(name, 1, sha256)
    assert (corpus.building / name).read_text() == "1" and (corpus.building / name).samefile(out / name)


def test_a_file_is_copied_where_hard_links_are_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    source, target = tmp_path / "a", tmp_path / "b" / "c"
    source.write_text("content")
    link_or_copy(source, target)
    assert target.read_text() == "content" and not target.samefile(source)
