"""What is Ray's own: a cluster of two real nodes, one of which is killed in mid-work; workers that never come."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mmidd.engine.tables import read_outcomes
from mmidd.engine.units import Crash, Result
from mmidd.errors import UsageError, WorkError

from ..toy import Bench, item, run, unit
from .conftest import Cluster, Engines

WAIT_S = 60.0


def wait_for(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def calls(bench: Bench) -> list[tuple[str, int]]:
    """The media that were begun, and the process of each."""
    if not bench.config.calls.exists():
        return []
    lines = (line.rsplit(" ", 1) for line in bench.config.calls.read_text().splitlines())
    return [(media, int(pid)) for media, pid in lines]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_node_that_is_killed_in_mid_work_costs_its_task_a_second_run_and_no_attempt(
    engines: Engines, cluster: Cluster, bench: Bench, tmp_path: Path
) -> None:
    engine = engines.make("ray")
    media = [item(f"hold{number}", "hold") for number in range(4)]

    def kill() -> None:
        wait_for(lambda: len(calls(bench)) == 2)  # one task on each node
        cluster.kill_second()
        wait_for(lambda: len(calls(bench)) == 2 and sum(map(alive, (pid for _, pid in calls(bench)))) == 1)
        bench.config.cure.touch()

    killer = Thread(target=kill)
    killer.start()
    (record,) = bench.run(unit(*media), engine=engine).values()
    killer.join()
    cluster.bring_second()
    assert [(o.status, o.attempts) for o in read_outcomes(bench.store, record)] == [("ok", 1)] * 4
    assert sorted(Counter(media for media, _ in calls(bench)).values()) == [1, 1, 1, 2]
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    other.config.cure.touch()
    (expected,) = other.run(unit(*media), engine=engines.make("inline")).values()
    assert bench.files(record) == other.files(expected)


def test_a_task_that_takes_every_machine_down_is_charged_in_the_end_and_leaves_no_orphan(
    engines: Engines, bench: Bench
) -> None:
    work = list(unit(item("a"), item("bad", "orphan")).tasks)
    found: dict[str, Any] = {}
    for task, result in engines.make("ray").map(run, work, bench.config, time_limit=None):
        found[task.items[0].media] = result
    assert isinstance(found["a"], Result)
    assert found["bad"] == Crash("WorkerLost", "the machine that worked on it was lost 3 times")
    pids = [pid for media, pid in calls(bench) if media == "bad"]
    assert len(pids) == 3
    wait_for(lambda: not any(map(alive, pids)))


def test_a_cluster_without_room_is_told_after_a_while(engines: Engines, bench: Bench) -> None:
    engine = engines.make("ray", workers=1, gpus=1.0, patience=1.0)
    with pytest.raises(WorkError, match="had a CPU and 1 of a GPU free"):
        bench.run(unit(item("a")), engine=engine)


def test_no_more_tasks_are_taken_ahead_than_there_are_workers(engines: Engines, bench: Bench) -> None:
    pulled = 0

    def endless() -> Any:
        nonlocal pulled
        for number in range(20):
            pulled += 1
            yield from unit(item(f"ok{number}")).tasks

    most = 0
    for done, _ in enumerate(engines.make("ray").map(run, endless(), bench.config, time_limit=None)):
        most = max(most, pulled - done)
    assert pulled == 20 and most <= 2 + 2  # under way, in hand and next


def test_an_address_where_no_cluster_is_is_said(engines: Engines, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    import ray

    from mmidd.engine.needs import Needs
    from mmidd.engine.ray import Ray
    from mmidd.engine.units import Resources

    if ray.is_initialized():
        engines.make("ray").close()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UsageError, match=r"no Ray cluster at '127\.0\.0\.1:1'"):
        bench.run(unit(item("a")), engine=Ray("127.0.0.1:1", 1, 0.0, Needs.here(Resources(), [])))
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
