"""Inputs that once broke an entry point, and every seed of the fuzzer: taken or refused, never anything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import FINDS
from .guard import watched
from .targets import TARGETS

FOUND = [(name, path) for name in TARGETS for path in sorted((FINDS / name).glob("*"))]


@pytest.fixture(scope="module", autouse=True)
def imported() -> Iterator[None]:
    """What targets import on their first run is no file that an input made them open."""
    for target in TARGETS.values():
        target.run(next(iter(target.seeds().values())))
    yield


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "path"), FOUND, ids=[f"{name}-{path.name}" for name, path in FOUND])
def test_what_once_broke_is_taken_or_refused(name: str, path: Path) -> None:
    data = path.read_bytes()
    with watched():
        TARGETS[name].run(data)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_taken_or_refused_and_some_are_taken(name: str) -> None:
    taken = 0
    for data in TARGETS[name].seeds().values():
        with watched():
            taken += TARGETS[name].run(data)
    assert taken > 0


REFUSED = [
    ("takedown", "line-separator"),
    ("labels", "half-a-character"),
    ("labels", "column-twice"),
    ("manifest", "bundled-elsewhere"),
    ("manifest", "bundled-absolute"),
    ("manifest", "bundled-a-folder"),
    ("manifest", "runaway-field"),
    ("manifest", "runaway-stars"),
]


@pytest.mark.parametrize(("name", "find"), REFUSED)
def test_what_must_not_be_taken_is_refused(name: str, find: str) -> None:
    assert TARGETS[name].run((FINDS / name / find).read_bytes()) is False
