"""A build whose parent, worker or both are killed at moments that a seed draws ends with the same bytes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from .conftest import LONG, Commands, Ground, Site

MOST_KILLS = 6
VICTIMS = ("parent", "worker", "both")


@pytest.mark.parametrize("seed", range(8) if LONG else ())
def test_random_kills(seed: int, ground: Ground, commands: Commands, tmp_path: Path) -> None:
    random, site = Random(seed), ground.place(tmp_path / "place", older=False)
    kills = Counter[str]()
    while kills.total() < MOST_KILLS:
        pid = commands.start(site.building(2), site.log)
        time.sleep(random.uniform(0.3, 6.0))
        victim = random.choice(VICTIMS)
        kills[victim] += _kill(pid, victim)
        code = commands.end()
        assert code == (-signal.SIGKILL if victim != "worker" and code < 0 else 0), site.told()
        if code == 0:
            break
    site.log.unlink()
    assert commands.run(site.building(2), site.log) == 0 and "Traceback" not in site.told(), site.told()
    assert site.digests() == ground.straight
    assert list((site.work / "tmp").iterdir()) == []
    print(f"seed {seed}: {dict(kills)}")


def _kill(pid: int, victim: str) -> int:
    """Kill a build, one of its workers, or both; 1 if anybody was there to be killed."""
    workers = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    marks = {"parent": [pid], "worker": workers[-1:], "both": [*workers[-1:], pid]}[victim]
    for mark in marks:
        with suppress(ProcessLookupError):
            os.kill(mark, signal.SIGKILL)
    return int(bool(marks))


def test_a_worker_that_is_killed_while_it_works_costs_nothing(ground: Ground, commands: Commands, tmp_path: Path) -> None:
    site: Site = ground.place(tmp_path / "place", older=False)
    code = commands.run(site.building(2), site.log, f"decode@manipulated:1:kill:{tmp_path / 'tally'}")
    assert code == 0 and site.digests() == ground.straight, site.told()
