"""A build that is killed, at whatever moment, goes on where it was and ends with the very bytes of one that was not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Ground, models_here
from place import digests

WAIT_S = 120.0
LONG = bool(os.environ.get("MMIDD_CRASH"))
"""The long form, on the whole sample: `make crash`. `make test` has the small data."""
MOMENTS = (("extract", 2), ("caption", 1), ("shard", 1))
"""When to kill: as soon as so many units of a stage are committed, beside those of the runs before."""


@dataclass(frozen=True)
class Task:
    """What is to be built, and the files that come of it without interruption."""

    recipe: str
    data: Path
    environment: Mapping[str, str]
    straight: Mapping[str, str]


class Command:
    """A build in a process group of its own, as a terminal would start it."""

    def __init__(self, task: Task, folder: Path) -> None:
        self.out, self.work = folder / "corpus", folder / "corpus.work"
        self.log = folder / "log.txt"
        arguments = ["build", task.recipe, "--data", str(task.data), "--out", str(self.out), "--workers", "2"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mmidd", *arguments],
                stdout=log, stderr=log, start_new_session=True, env={**os.environ, **task.environment},
            )  # fmt: skip

    def committed(self, stage: str) -> int:
        return len(list(self.work.glob(f"records/{stage}/*/*.json")))

    def wait_for(self, stage: str, more: int) -> bool:
        """Wait until so many more units are committed; False if the build ended first."""
        before, deadline = self.committed(stage), time.monotonic() + WAIT_S
        while self.committed(stage) < before + more and time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return self.process.poll() is None

    def end(self) -> int:
        return self.process.wait(WAIT_S)

    def told(self) -> str:
        return self.log.read_text()

    def workers(self) -> set[int]:
        """The processes that this one started."""
        return {
            int(pid)
            for path in Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for pid in path.read_text().split()
        }


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(_alive, pids))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def places(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def task(request: pytest.FixtureRequest) -> Task:
    if LONG:
        built = request.getfixturevalue("built")
        return Task("sample", built.data, {}, digests(built.out))
    ground: Ground = request.getfixturevalue("ground")
    return Task(str(ground.finished.recipe), ground.data, models_here(), ground.finished.digests())


@dataclass(frozen=True)
class Resumed:
    """What came of a build that was killed at every moment and then left to end: how often, and the last command."""

    kills: int
    orphans: bool
    halves: bool
    last: Command


@pytest.fixture(scope="module")
def resumed(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    folder = tmp_path_factory.mktemp("killed")
    kills, orphans, halves = 0, False, False
    for stage, more in MOMENTS:
        command = Command(task, folder)
        under_way = command.wait_for(stage, more)
        workers = command.workers()
        command.process.kill()
        kills += command.end() == -signal.SIGKILL and under_way
        orphans |= not gone(workers)
        halves |= command.out.exists() and digests(command.out) != task.straight
    last = Command(task, folder)
    last.end()
    return Resumed(kills, orphans, halves, last)


def test_a_build_that_was_killed_again_and_again_ends_as_one_that_was_not(task: Task, resumed: Resumed) -> None:
    assert resumed.kills >= len(MOMENTS) - 1  # the last moment is a short one
    assert not resumed.orphans, "a worker outlived its build"
    assert not resumed.halves, "a killed build left half a corpus"
    last = resumed.last
    assert last.process.returncode == 0 and " 0 failed" in last.told(), last.told()
    assert digests(last.out) == task.straight
    assert [path.name for path in last.out.parent.iterdir() if path.name.startswith(".")] == []


def test_one_more_build_does_nothing_and_leaves_every_file_as_it_is(task: Task, resumed: Resumed) -> None:
    out, work = resumed.last.out, resumed.last.work
    before, records = places(out), sorted(work.glob("records/*/*/*.json"))
    command = Command(task, out.parent)
    assert command.end() == 0, command.told()
    told = re.findall(r"^(\w+).*: (\d+) \w+, (\d+) up to date$", command.told(), re.MULTILINE)
    assert {stage for stage, _, _ in told} == {"index", "extract", "caption", "shard"}, command.told()
    assert all(total == done for _, total, done in told), command.told()
    assert "(unchanged)" in command.told()
    assert places(out) == before and sorted(work.glob("records/*/*/*.json")) == records


def test_an_interrupt_stops_cleanly_and_says_how_to_go_on(task: Task, tmp_path: Path) -> None:
    command = Command(task, tmp_path)
    assert command.wait_for("extract", 1), command.told()
    workers = command.workers()
    assert len(workers) >= 2
    os.killpg(command.process.pid, signal.SIGINT)  # as Ctrl-C does: the workers hear it too
    assert command.end() == 130, command.told()
    assert "run the same command to go on" in command.told() and "Traceback" not in command.told()
    assert gone(workers) and not command.out.exists()
    assert list(command.work.glob("tmp/*")) == []


_MAIN = """\
import os, signal, sys, mmidd.__main__ as it
signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # nobody is at the first line of `main` when it says that it begins
print('begun', flush=True)
sys.argv[:1] = ['mmidd']
it.main()
"""


@pytest.mark.parametrize("after, times", [(0.0, 1), (0.15, 3), (0.5, 1), (1.0, 3), (2.0, 1), (3.0, 5)])
def test_ctrl_c_at_any_moment_and_however_often_ends_with_130_and_in_words(
    after: float, times: int, task: Task, tmp_path: Path
) -> None:
    arguments = ["build", task.recipe, "--data", str(task.data), "--out", str(tmp_path / "corpus"), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **task.environment},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    time.sleep(after)
    for _ in range(times):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    told = process.communicate(timeout=WAIT_S)[0].decode()  # not before the last worker has closed its end
    assert "Traceback" not in told, told
    assert process.returncode == 130 or (tmp_path / "corpus").exists(), told  # a fast machine may have come to its end
