"""Work folders: new, used, foreign, broken, in use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmidd.doctor.work import folder
from mmidd.engine.lock import held
from mmidd.engine.store import MARKER, Store

from .conftest import by_name

Make = Callable[[Path], Any]


def _note(place: Path, name: str, text: str) -> None:
    Store.open(place)
    (place / name).write_text(text)


def _file(place: Path) -> None:
    place.write_text("")


def _thesis(place: Path) -> None:
    place.mkdir()
    (place / "thesis.txt").write_text("years of work")


PLACES: list[tuple[Make, str, str]] = [
    (lambda place: None, "ok", "is not there yet"),
    (lambda place: place.mkdir(), "ok", "is empty"),
    (lambda place: (place / "tmp").mkdir(parents=True), "ok", "is empty"),
    (Store.open, "ok", "format 1"),
    (lambda place: _note(place, MARKER, '{"format": 1, "mmidd": "0.3"}'), "ok", "made by mmidd 0.3"),
    (_file, "problem", "is a file"),
    (lambda place: place.symlink_to("nowhere"), "problem", "is a link to nothing"),
    (_thesis, "problem", "holds thesis.txt and no mmidd-work.json"),
    (lambda place: _note(place, MARKER, '{"format": 7}'), "problem", "has format 7"),
    (lambda place: _note(place, MARKER, "{"), "problem", "cannot be read"),
    (lambda place: _note(place, MARKER, "[1]"), "problem", "cannot be read"),
]


@pytest.mark.parametrize(("make", "state", "told"), PLACES)
def test_what_lies_at_the_place_of_a_work_folder_is_told(make: Make, state: str, told: str, tmp_path: Path) -> None:
    place = tmp_path / "w"
    make(place)
    before = sorted(tmp_path.rglob("*"))
    found = by_name(folder(place))["folder"]
    assert found.state == state and told in found.found
    assert sorted(tmp_path.rglob("*")) == before


def _build(data: object, out: object = "/c") -> str:
    return json.dumps({"recipe": {}, "data": data, "out": out, "only": [], "device": "cpu", "workers": 1})


@pytest.mark.parametrize(
    ("note", "state", "told"),
    [
        (None, "note", "nothing was built here"),
        (_build("/"), "ok", "of /, into /c"),
        (_build("s3://b/x", None), "ok", "of s3://b/x, into no corpus yet"),
        (_build("/absent"), "warning", "not there any more"),
        ("{", "problem", "is not whole"),
        ("[]", "problem", "is not whole"),
        ('{"recipe": {}}', "problem", "is not whole"),
        ("[" * 100_000, "problem", "is not whole"),
    ],
)
def test_the_last_build_is_told_if_its_note_is_whole(note: str | None, state: str, told: str, tmp_path: Path) -> None:
    Store.open(tmp_path / "w")
    if note is not None:
        (tmp_path / "w" / "build.json").write_text(note)
    found = by_name(folder(tmp_path / "w"))["last build"]
    assert found.state == state and told in found.found


def _dead() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize(
    ("pid", "host", "state", "told"),
    [
        (_dead, None, "ok", "which is gone"),
        (os.getpid, None, "warning", "held by process"),
        (_dead, "elsewhere", "warning", "nobody can tell"),
        (lambda: "odd", None, "ok", "which is gone"),
    ],
)
def test_whoever_says_to_write_there_is_named(
    pid: Callable[[], object], host: str | None, state: str, told: str, tmp_path: Path
) -> None:
    Store.open(tmp_path)
    assert by_name(folder(tmp_path))["lock"].found == "nobody is writing here"
    about = {"pid": pid(), "host": host or socket.gethostname(), "since": "today"}
    (tmp_path / "lock").write_text(json.dumps(about).ljust(512))
    found = by_name(folder(tmp_path))["lock"]
    assert found.state == state and told in found.found and f"process {about['pid']}" in found.found


def test_a_lock_that_is_held_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    Store.open(tmp_path)
    with held(tmp_path / "lock", lambda who: AssertionError(who)):
        (tmp_path / "lock").write_text("not yet its name")
        found = by_name(folder(tmp_path))["lock"]
        assert found.state == "warning" and "a process without a name" in found.found
    assert by_name(folder(tmp_path))["lock"].state == "ok"
