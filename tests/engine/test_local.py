"""What the local engine promises, with real spawned workers: a dead or hanging one costs its task and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pebble.pool.process import TaskManager

from mmidd.engine.local import Inline, Local
from mmidd.engine.tables import read_outcomes
from mmidd.engine.units import Crash, Outcome, Resources, Result, Task
from mmidd.errors import MissingExtra

from .toy import SCHEMA, Bench, item, run, unit

WAIT_S = 20.0


def tasks(*deeds: str) -> list[Task]:
    return [Task((item(f"{deed}{number}", deed),)) for number, deed in enumerate(deeds)]


def ended(local: Local, bench: Bench, work: list[Task], time_limit: float | None = None) -> dict[str, str]:
    """How each task ended: `ok`, or the error of its crash."""
    found = {}
    for task, result in local.map(run, work, bench.config, time_limit=time_limit):
        found[task.items[0].media] = result.error if isinstance(result, Crash) else result.outcomes[0].status
    return found


def gone(pid: int) -> bool:
    """No such process, or a dead one that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def all_gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return all(map(gone, pids))


@pytest.mark.parametrize("deed", ["exit", "kill"])
def test_a_worker_that_dies_costs_its_task_only(local: Local, bench: Bench, deed: str) -> None:
    found = ended(local, bench, tasks("ok", deed, "ok", "ok", deed, "ok"))
    assert Counter(found.values()) == {"ok": 4, "WorkerDied": 2}
    assert {name for name, end in found.items() if end != "ok"} == {f"{deed}1", f"{deed}4"}


@pytest.mark.parametrize("limit", [None, 30.0])
def test_a_worker_that_dies_before_the_pool_hears_that_it_took_a_task_up_is_noticed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> None:
    """pebble looks for a dead worker's task once; it must not be lost for ever if the worker's word of it comes later."""
    started = TaskManager.task_start

    def late(manager: TaskManager, number: int, worker: int | None) -> None:
        media = manager.tasks[number].payload.args[2].items[0].media
        if media.startswith("exit"):
            time.sleep(2)
            assert all_gone({worker or 0})
        started(manager, number, worker)

    monkeypatch.setattr(TaskManager, "task_start", late)
    engine = Local(2, Resources(), look=0.1, notice=0.5)
    found: dict[str, Result | Crash] = {}
    try:
        for task, result in engine.map(run, tasks("hold", "exit", "ok"), bench.config, time_limit=limit):
            found[task.items[0].media] = result
            bench.config.cure.touch()
        again = ended(engine, bench, tasks("ok", "ok"))
    finally:
        engine.close()
    assert found.keys() == {"hold0", "exit1", "ok2"} and set(again.values()) == {"ok"}
    crashes = {name: result.error for name, result in found.items() if isinstance(result, Crash)}
    assert crashes == {"exit1": "WorkerDied"}


def test_a_task_that_hangs_costs_itself_only(local: Local, bench: Bench) -> None:
    found = ended(local, bench, tasks("ok", "hang", "ok", "ok", "ok"), time_limit=3)
    assert found == {"ok0": "ok", "hang1": "TimedOut", "ok2": "ok", "ok3": "ok", "ok4": "ok"}


def test_a_crash_says_what_happened(local: Local, bench: Bench) -> None:
    made = local.map(run, tasks("exit", "kill"), bench.config, time_limit=None)
    told = {task.items[0].media: result.message for task, result in made if isinstance(result, Crash)}
    assert told == {
        "exit0": "the worker process ended with exit code 7",
        "kill1": "the worker process ended with signal SIGKILL",
    }


@pytest.mark.parametrize(
    ("deed", "error", "end"),
    [
        ("abort", "WorkerDied", "the worker process ended with signal SIGABRT"),
        ("segfault", "WorkerDied", "the worker process ended with signal SIGSEGV"),
        ("mutter", "TimedOut", "no result within 3 s"),
    ],
)
def test_the_last_words_of_a_dead_worker_are_said_without_escapes_and_kept_nowhere(
    deed: str, error: str, end: str, local: Local, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are a library's and may quote a path, so no outcome holds them."""
    (record,) = bench.run(unit(item("a"), item("bad", deed), item("b")), engine=local, time_limit=3).values()
    found = {outcome.media: outcome for outcome in read_outcomes(bench.store, record)}
    assert [found[name].status for name in ("a", "b")] == ["ok", "ok"]
    lines = [f"frame {number} of the damaged clip" for number in range(1996, 2000)]
    said = f"a worker's last words: {' | '.join([*lines, 'fatal: cannot read toy.py'])}\n"
    assert (found["bad"].error, found["bad"].attempts, found["bad"].message) == (error, 2, end)
    assert capsys.readouterr().err == 2 * said


def test_what_a_worker_says_on_the_way_reaches_the_terminal(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    local = Local(1, Resources())  # started here, so that it inherits the captured stderr
    try:
        assert ended(local, bench, tasks("warn", "ok")) == {"warn0": "ok", "ok1": "ok"}
    finally:
        local.close()
    assert capfd.readouterr().err.count("of the damaged clip") == 2000


@pytest.mark.parametrize("own", [False, True])
def test_nothing_stays_in_the_temporary_folder(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere" if own else tmp_path / "tmp"))
    local = Local(1, Resources())
    local.scratch = tmp_path / "tmp" if own else None
    assert ended(local, bench, tasks("ok", "abort")) == {"ok0": "ok", "abort1": "WorkerDied"}
    left = local.map(run, tasks("ok", "hang", "hang"), bench.config, time_limit=None)
    next(left)
    left.close()  # type: ignore[attr-defined]
    local.close()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_task_that_runs_out_of_memory_is_charged_and_the_others_go_on(bench: Bench, local: Local, workers: int) -> None:
    engine: Any = local if workers else Inline()
    assert ended(engine, bench, tasks("ok", "exhaust", "ok")) == {"ok0": "ok", "exhaust1": "OutOfMemory", "ok2": "ok"}


def test_a_worker_that_holds_more_than_it_may_costs_its_task_only(bench: Bench) -> None:
    local = Local(2, Resources(), memory=1_000_000_000)
    try:
        found = ended(local, bench, tasks("ok", "gorge", "ok", "ok"))
    finally:
        local.close()
    assert found == {"ok0": "ok", "gorge1": "OutOfMemory", "ok2": "ok", "ok3": "ok"}


def test_killers_are_quarantined_and_their_neighbours_committed(local: Local, bench: Bench) -> None:
    units = [
        unit(item("a"), item("killer", "kill"), item("b"), per_task=3, name="set/0"),
        unit(item("c"), item("d", "once"), item("e"), name="set/1"),
    ]
    records = bench.run(*units, engine=local, time_limit=60)
    found = {o.media: o for record in records.values() for o in read_outcomes(bench.store, record)}
    assert {name: outcome.status for name, outcome in found.items()} == {
        "a": "ok", "killer": "failed", "b": "ok", "c": "ok", "d": "ok", "e": "ok",
    }  # fmt: skip
    assert (found["killer"].error, found["killer"].attempts) == ("WorkerDied", 2)
    calls = Counter(bench.calls())
    assert calls["killer"] == 3 and calls["d"] == 2 and calls["c"] == calls["e"] == 1
    assert bench.run(*units, engine=local) == records and bench.calls() == []


def test_workers_give_the_bytes_of_this_process(local: Local, bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "inline").mkdir()
    other = Bench(tmp_path / "inline")
    units = [unit(*map(item, media), per_task=2, name=f"set/{number}") for number, media in enumerate(("abcd", "efg"))]
    here, there = other.run(*units, engine=Inline()), bench.run(*units, engine=local)
    assert [bench.files(record) for record in there.values()] == [other.files(record) for record in here.values()]


def test_an_error_of_ours_reaches_the_parent_as_it_was_raised(local: Local, bench: Bench) -> None:
    with pytest.raises(MissingExtra, match=r"mmidd\[faces\]"):
        ended(local, bench, tasks("ok", "miss"))
    assert ended(local, bench, tasks("ok", "ok")) == {"ok0": "ok", "ok1": "ok"}


def test_workers_that_die_while_they_wait_are_replaced(bench: Bench) -> None:
    local = Local(2, Resources())
    try:
        assert set(ended(local, bench, tasks(*["ok"] * 6)).values()) == {"ok"}
        for pid in {int(line.split()[1]) for line in bench.config.calls.read_text().splitlines()}:
            os.kill(pid, signal.SIGKILL)
        assert set(ended(local, bench, tasks(*["ok"] * 6)).values()) == {"ok"}
    finally:
        local.close()


def test_no_more_than_three_tasks_a_worker_are_taken_ahead(local: Local, bench: Bench) -> None:
    pulled = 0

    def endless() -> Iterator[Task]:
        nonlocal pulled
        for task in tasks(*["ok"] * 40):
            pulled += 1
            yield task

    most = 0
    for done, _ in enumerate(local.map(run, endless(), bench.config, time_limit=None)):
        most = max(most, pulled - done)
    assert pulled == 40 and most <= 3 * 2 + 1  # the one in hand beside those under way


def test_a_map_that_is_left_half_way_stops_its_workers_and_the_engine_can_be_used_again(bench: Bench) -> None:
    local = Local(2, Resources())
    try:
        left = local.map(run, tasks("ok", "hang", "hang", "hang"), bench.config, time_limit=None)
        _, result = next(left)
        assert isinstance(result, Result)
        pids = {int(line.split()[1]) for line in bench.config.calls.read_text().splitlines()}
        left.close()  # type: ignore[attr-defined]
        assert all_gone(pids)
        assert ended(local, bench, tasks("ok")) == {"ok0": "ok"}
    finally:
        local.close()


def test_closing_twice_or_before_any_work_is_fine() -> None:
    local = Local(2, Resources())
    local.close()
    local.close()
    Inline().close()


def test_workers_run_one_thread_each_and_the_parents_environment_is_left_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    local = Local(1, Resources())
    try:
        _, seen = next(iter(local.map(_threads, tasks("ok"), None, time_limit=None)))
        assert isinstance(seen, Result) and seen.outcomes[0].facts == {"threads": ["1", "1"]}
    finally:
        local.close()
    assert "OMP_NUM_THREADS" not in os.environ and os.environ["MKL_NUM_THREADS"] == "5"


def _threads(task: Task, config: Any, resources: Resources) -> Result:
    told = [os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]]
    return Result(SCHEMA.empty_table(), (Outcome("set", "a", "ok", (), facts={"threads": told}),))


PARENT = """
import sys
from pathlib import Path
from engine.toy import Config, item, run
from mmidd.engine.local import Local
from mmidd.engine.units import Resources, Task

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    work = [Task((item(f"hang{number}", "hang"),)) for number in range(2)]
    list(Local(2, Resources()).map(run, work, Config(folder / "calls.txt", folder / "cure"), time_limit=None))
"""


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment)
    try:
        pids = _workers_at_work(tmp_path / "calls.txt", 2)
    finally:
        parent.kill()
        parent.wait()
    assert len(pids) == 2 and all_gone(pids)


def _workers_at_work(calls: Path, count: int) -> set[int]:
    deadline = time.monotonic() + 3 * WAIT_S
    while time.monotonic() < deadline:
        if calls.exists() and len(lines := calls.read_text().splitlines()) >= count:
            return {int(line.split()[1]) for line in lines}
        time.sleep(0.05)
    raise AssertionError("the workers did not start")


REFUSED = """
import os, resource, sys
from mmidd.engine.local import Local
from mmidd.engine.units import Resources
from mmidd.errors import WorkError
if __name__ == "__main__":
    local = Local(2, Resources())
    if sys.argv[1] == "folder":
        os.mkdir("away"), os.chdir("away"), os.rmdir("../away")
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), 64))
    try:
        local.start()
    except WorkError as error:
        print(error)
    local.close()
"""


@pytest.mark.parametrize(
    ("limit", "told"), [("folder", "the current folder is gone; change to"), ("10", "raise the limit (`ulimit -n")]
)
def test_a_system_that_starts_no_worker_is_told_with_the_way_out(tmp_path: Path, limit: str, told: str) -> None:
    (tmp_path / "script.py").write_text(REFUSED)
    words = [sys.executable, "script.py", limit]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and "Traceback" not in said.stderr, said.stderr
    assert "no worker process can be started" in said.stdout and told in said.stdout, said.stdout + said.stderr
