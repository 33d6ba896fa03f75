"""What the engine of threads promises: every task once, several at a time, and errors at once to who iterates."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmidd.engine.local import Inline
from mmidd.engine.threads import Threads
from mmidd.engine.units import Resources, Result, Task
from mmidd.errors import WorkError

from .toy import SCHEMA, Bench, item, unit

TASKS = [Task((item(f"m{number}"),)) for number in range(20)]
EMPTY = Result(SCHEMA.empty_table(), ())


def test_every_task_is_done_once_and_several_at_a_time() -> None:
    met, seen = threading.Barrier(4, timeout=20), Counter[str]()

    def together(task: Task, config: Any, resources: Resources) -> Result:
        seen[task.items[0].media] += 1
        met.wait()
        return EMPTY

    done = [task for task, _ in Threads(4).map(together, iter(TASKS), None, time_limit=None)]
    assert sorted(task.items[0].media for task in done) == sorted(task.items[0].media for task in TASKS)
    assert set(seen.values()) == {1} and len(seen) == 20


def test_an_error_ends_it_and_no_further_task_is_begun() -> None:
    begun: list[str] = []

    def failing(task: Task, config: Any, resources: Resources) -> Result:
        begun.append(task.items[0].media)
        if task.items[0].media == "m3":
            raise WorkError("the server is down")
        time.sleep(0.05)
        return EMPTY

    with pytest.raises(WorkError, match="the server is down"):
        list(Threads(2).map(failing, iter(TASKS), None, time_limit=None))
    at_end = len(begun)
    time.sleep(0.2)
    assert len(begun) <= at_end + 1 < 10


def test_units_are_committed_as_under_the_other_engines(bench: Bench, inline: Inline, tmp_path: Path) -> None:
    units = [unit(*(item(f"{name}{n}") for n in range(5)), name=f"set/{name}") for name in "ab"]
    other = tmp_path / "other"
    other.mkdir()
    here, there = bench.run(*units, engine=inline), Bench(other).run(*units, engine=Threads(3))
    assert {name: record.digest for name, record in here.items()} == {name: record.digest for name, record in there.items()}
