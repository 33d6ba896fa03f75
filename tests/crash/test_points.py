"""Killed at every step of every commit, and at every other point where it hurts, a build ends with the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmidd.corpus.verify import verify

from .conftest import HERE, LONG, STAGES, Commands, Ground, Site

COMMIT = (
    ("before_write", "{}", "kill"),
    ("written", "/data/{}/", "kill"),
    ("written", "/data/{}/", "tear"),
    ("before_rename", "/data/{}/", "kill"),
    ("renamed", "/data/{}/", "kill"),
    ("before_record", "/records/{}/", "kill"),
    ("record_written", "/records/{}/", "tear"),
    ("recorded", "/records/{}/", "kill"),
    ("recorded", "/records/{}/", "tear"),
)
"""The steps of a commit; the last leaves half a record under its own name, as a disk may that lost its power."""


@dataclass(frozen=True)
class Cell:
    """Where a build is killed: at the `number`-th pass of a point. `older`: it finds an older corpus to bring up to date."""

    point: str
    part: str
    action: str
    number: int = 1
    older: bool = True
    before: str = ""

    def order(self, tally: Path) -> str:
        return f"{self.before}{self.point}@{self.part}:{self.number}:{self.action}:{tally}"

    def __str__(self) -> str:
        return f"{self.point}@{self.part}-{self.action}-{self.number}"


def _commit_cells() -> Iterator[Cell]:
    for stage in STAGES:
        early = stage in ("index", "extract")
        for point, part, action in COMMIT:
            yield Cell(point, part.format(stage), action, 2 if early else 1, not early)


OTHERS = (
    Cell("decode", "mp4", "kill", 2, older=False),
    Cell("decode", "manipulated", "kill", 1, older=False),
    Cell("detect", "", "kill", 2, older=False),
    Cell("caption", "", "kill", 2),
    Cell("shard_written", "", "kill", 2),
    Cell("shard_written", "", "tear", 2),
    Cell("shard_renamed", "", "kill", 2),
    Cell("digests", "", "kill", 3, older=False),
    Cell("digests", "", "tear", 3, older=False),
    Cell("written", "/build.json", "tear"),
    Cell("before_rename", "/builds.json", "kill"),
    Cell("renamed", "/rates.json", "kill", older=False),
    Cell("before_swap", "", "kill"),
    Cell("before_swap", "", "kill", older=False),
    Cell("swapped", "", "kill"),
    Cell("between_renames", "", "kill", before="exchange:*:ENOSYS;"),
    Cell("old_stays", "", "kill", before="exchange:*:ENOSYS;"),
)
IN_WORKERS = ("decode", "detect", "caption", "shard_written", "shard_renamed")
CELLS = (*_commit_cells(), *OTHERS)
PARENTS = tuple(Cell(c.point, c.part, "parent", c.number, c.older) for c in OTHERS if c.point in IN_WORKERS)
SHORT = (
    Cell("written", "/data/extract/", "tear", 2, older=False),
    Cell("renamed", "/data/caption/", "kill"),
    Cell("recorded", "/records/curate/", "tear"),
    Cell("shard_written", "", "tear", 2),
    Cell("swapped", "", "kill"),
    Cell("between_renames", "", "kill", before="exchange:*:ENOSYS;"),
)


@contextmanager
def watched(site: Site) -> Iterator[None]:
    """A reader looks at everything meanwhile, and finds everything whole."""
    reader = subprocess.Popen(
        [sys.executable, str(HERE / "reader.py"), str(site.work), str(site.out)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        reader.send_signal(signal.SIGTERM)
        told, _ = reader.communicate(timeout=120)
    seen = json.loads(told)
    assert seen["looks"] > 0 and seen["problems"] == [], seen


def killed_and_resumed(cell: Cell, ground: Ground, commands: Commands, root: Path, workers: int, *, reader: bool) -> int:
    """Kill a build at a cell's point, let another end; gives the exit code of the first."""
    site = ground.place(root / "place", older=cell.older)
    tally = root / "tally"
    with watched(site) if reader else _alone():
        code = commands.run(site.building(workers), site.log, cell.order(tally))
        assert tally.exists() and tally.stat().st_size >= cell.number, f"{cell} was never met\n{site.told()}"
        assert code in (0, -signal.SIGKILL), site.told()
        site.log.unlink()  # a worker that was just starting may still complain there that its parent is gone
        again = commands.run(site.building(workers), site.log)
    assert again == 0 and "Traceback" not in site.told(), site.told()
    assert site.digests() == ground.straight
    assert verify(site.out).findings == ()
    assert list((site.work / "tmp").iterdir()) == []
    assert sorted(path.name for path in root.joinpath("place").iterdir()) == ["corpus", "corpus.work", "log.txt"]
    return code


@contextmanager
def _alone() -> Iterator[None]:
    yield


@pytest.mark.parametrize("cell", CELLS if LONG else SHORT, ids=str)
def test_a_build_in_one_process(cell: Cell, ground: Ground, commands: Commands, tmp_path: Path) -> None:
    code = killed_and_resumed(cell, ground, commands, tmp_path, 0, reader=LONG or cell.older)
    assert code == -signal.SIGKILL


@pytest.mark.parametrize("cell", (*CELLS, *PARENTS) if LONG else PARENTS[:1], ids=str)
def test_a_build_with_workers(cell: Cell, ground: Ground, commands: Commands, tmp_path: Path) -> None:
    code = killed_and_resumed(cell, ground, commands, tmp_path, 2, reader=LONG)
    assert code == (0 if cell.point in IN_WORKERS and cell.action != "parent" else -signal.SIGKILL)
