"""What in a corpus folder is the user's stays there through every rebuild, wherever that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Place

from mmidd.corpus.about import MANIFEST
from mmidd.corpus.target import Target
from mmidd.engine.faults import VARIABLE
from mmidd.errors import CorpusError

USERS = {
    ".git/HEAD": "ref: refs/heads/main",
    ".git/objects/ab/cd": "an object",
    ".gitattributes": "*.parquet filter=lfs",
    "NOTES.md": "ours",
    "data/own.parquet": "a table of the user's",
    "data/more/own.txt": "in a folder",
}


def _version(out: Path, number: int) -> None:
    """Build a version beside `out`, and swap it in."""
    target, names = Target(out), {f"data/train-{number}.parquet"}
    (target.building / "data").mkdir(parents=True, exist_ok=True)
    for name in names:
        (target.building / name).write_text(str(number))
    files = {name: {"bytes": 1, "sha256": "0" * 64, "rows": 1} for name in names}
    about = {"schema_version": 1, "version": number, "files": files}
    target.write({MANIFEST: json.dumps(about).encode()}, names)
    target.swap()


def _add(out: Path) -> None:
    for name, text in USERS.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    (out / "link").symlink_to("NOTES.md")


def _users(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text() for name in USERS if (out / name).is_file()}


def _listed(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_the_users_is_in_the_next_version_as_well(
    exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setenv(VARIABLE, "exchange:*:ENOSYS")
    out = tmp_path / "corpus"
    _version(out, 1)
    _add(out)
    inode = (out / ".git").stat().st_ino
    for number in (2, 3):
        _version(out, number)
        assert _listed(out) == {*USERS, MANIFEST, f"data/train-{number}.parquet"} and _users(out) == USERS
        assert (out / "link").readlink() == Path("NOTES.md") and (out / ".git").stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


POINTS = ("before_swap", "swapped", "carried", "between_renames", "old_stays")


@pytest.mark.parametrize("point", [*POINTS, "carried@data", "carried@NOTES"])
@pytest.mark.parametrize("exchange", ["", "exchange:*:ENOSYS;"])
def test_after_a_kill_the_next_build_has_it_in_its_place(point: str, exchange: str, tmp_path: Path) -> None:
    out, tally = tmp_path / "place" / "corpus", tmp_path / "tally"
    _version(out, 1)
    _add(out)
    code = "import pathlib, sys, test_own; test_own._version(pathlib.Path(sys.argv[1]), 2)"
    environment = {**os.environ, VARIABLE: f"{exchange}{point}:1:kill:{tally}"}
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    ended = subprocess.run([sys.executable, "-c", code, str(out)], env=environment).returncode
    assert ended == (-signal.SIGKILL if tally.exists() else 0)
    beside = {name for folder in out.parent.iterdir() for name in _users(folder)}
    assert beside == set(USERS)
    with Target(out).held():
        assert _users(out) == USERS
        _version(out, 3)
    assert _listed(out) == {*USERS, MANIFEST, "data/train-3.parquet"} and _users(out) == USERS
    assert [path.name for path in out.parent.iterdir()] == ["corpus"]


def _link(folder: Path, elsewhere: Path) -> None:
    folder.symlink_to(elsewhere)


def _full(folder: Path, elsewhere: Path) -> None:
    folder.mkdir()
    (folder / "thesis.docx").write_text("years of work")


def _torn(folder: Path, elsewhere: Path) -> None:
    _full(folder, elsewhere)
    (folder / MANIFEST).write_text("{")


def _linked_data(folder: Path, elsewhere: Path) -> None:
    folder.mkdir()
    (folder / "data").symlink_to(elsewhere)


@pytest.mark.parametrize("make", [_link, _full, _torn, _linked_data, lambda folder, elsewhere: folder.write_text("a file")])
@pytest.mark.parametrize("name", [".corpus.building", ".corpus.old"])
def test_a_folder_beside_it_that_mmidd_did_not_make_is_refused_and_left(name: str, make: object, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "place" / "corpus", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "train-celeba.parquet").write_text("not ours")
    _version(out, 1)
    assert callable(make)
    make(out.with_name(name), elsewhere)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    for refused in (Target(out).check, Target(out).claim, Target(out).held().__enter__):
        with pytest.raises(CorpusError, match=r"mmidd did not make"):
            refused()
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_a_name_that_the_next_version_needs_is_not_taken_from_the_user(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    _version(out, 1)
    (out / "data" / "train-2.parquet").write_text("the user's")
    with pytest.raises(CorpusError, match=r"under a name that the next version needs \(data/train-2.parquet\)"):
        _version(out, 2)
    assert (out / "data" / "train-2.parquet").read_text() == "the user's"


def test_half_a_version_after_a_whole_one_is_nobodys_but_mmidds(tmp_path: Path) -> None:
    """A build that was killed before the swap leaves a whole version: what another build adds to it is not the user's."""
    out = tmp_path / "corpus"
    _version(out, 1)
    target = Target(out)
    (target.building / "data").mkdir(parents=True)
    about = {"schema_version": 1, "files": {"README.md": {"bytes": 1, "sha256": "0" * 64}}}
    target.write({"README.md": b"x", MANIFEST: json.dumps(about).encode()}, ())
    with target.held():
        (target.building / "data").mkdir(exist_ok=True)
        (target.building / "data" / "train-9.parquet").write_text("half")
    with target.held():
        target.discard()
    assert _listed(out) == {MANIFEST, "data/train-1.parquet"} and [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_clone_of_a_hub_repository_is_built_into(place: Place, mmidd: object) -> None:
    assert callable(mmidd)
    _add(place.out)
    assert mmidd(*place.words("build")).code == 0 and _users(place.out) == USERS
    assert mmidd(*place.words("build", "--set", "seed=7", "--set", "captioner=none")).code == 0
    assert _users(place.out) == USERS and not (place.root / ".corpus.building").exists()
