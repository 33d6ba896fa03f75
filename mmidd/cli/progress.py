"""Progress of long work: bars on a terminal, a plain line every 30 s (the first after 5) elsewhere, nothing under --json."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mmidd.engine.units import Outcome
from mmidd.show import elapsed

EVERY, FIRST = 30.0, 5.0
NOUNS = {"index": "datasets", "shard": "files", "export": "rows"}


class Bars:
    """One bar a stage, with rate, counts and time left. For terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._task = TaskID(0)
        self._counts: Counter[str] = Counter()
        self._started = 0.0

    def begin(self, stage: str, total: int, done: int) -> None:
        self._counts = Counter(done=done)
        self._started = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}  {task.fields[counts]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._bars.start()
        self._task = self._bars.add_task(stage, total=total, completed=done, rate="", counts=self._told())

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        self._counts.update(outcome.status for outcome in outcomes)
        if self._bars is not None:
            ran = sum(self._counts.values()) - self._counts["done"]
            rate = f"{ran / max(time.monotonic() - self._started, 1e-9):.1f}/s"
            self._bars.update(self._task, advance=len(outcomes), rate=rate, counts=self._told())

    def end(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _told(self) -> str:
        done = f"{self._counts['done']} up to date, " if self._counts["done"] else ""
        return done + told(self._counts)


class Lines:
    """A plain line when a stage begins and ends, 5 s after it began, and every 30 s from then on. For logs."""

    def __init__(self, write: Callable[[str], None], every: float = EVERY) -> None:
        self._write, self._every = write, every
        self._stage, self._total, self._ran = "", 0, 0
        self._counts: Counter[str] = Counter()
        self._started = self._told_at = 0.0

    def begin(self, stage: str, total: int, done: int) -> None:
        self._stage, self._total, self._ran = stage, total, 0
        self._counts = Counter(done=done)
        self._started = time.monotonic()
        self._told_at = self._started - self._every + min(FIRST, self._every)
        self._write(f"{stage}: {total} {NOUNS.get(stage, 'media')}, {done} up to date")

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        self._counts.update(outcome.status for outcome in outcomes)
        self._ran += len(outcomes)
        unfinished = self._counts["done"] + self._ran < self._total
        if unfinished and time.monotonic() - self._told_at >= self._every:
            self._told_at = time.monotonic()
            self._write(self._line())

    def end(self) -> None:
        if self._ran:
            self._write(self._line())

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        finished = self._counts["done"] + self._ran
        left = (self._total - finished) * seconds / max(self._ran, 1)
        eta = f", {elapsed(left)} left" if left > 0 else f", took {elapsed(seconds)}"
        return f"{self._stage}: {finished}/{self._total}, {told(self._counts)}, {self._ran / seconds:.1f}/s{eta}"


class Steps:
    """A run's steps: a bar on a terminal, a line every 30 s (the first after 5) elsewhere."""

    def __init__(self, console: Console, every: float = EVERY) -> None:
        self._console, self._every = console, every
        self._bars: Progress | None = None
        self._task = TaskID(0)
        self._what, self._total, self._begun, self._told_at, self._from = "", 0, 0.0, 0.0, 0

    def begin(self, what: str, total: int, done: int, of: str = "steps") -> None:
        self._what, self._total, self._from, self._begun = what, total, done, time.monotonic()
        self._told_at = self._begun - self._every + min(FIRST, self._every)
        if not self._console.is_terminal:
            self._write(f"{what}: {total:,} {of}" + (f", {done:,} of them done" if done else ""))
            return
        columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        self._bars = Progress(TextColumn("{task.description:<8}"), *columns, console=self._console)
        self._bars.start()
        self._task = self._bars.add_task(what, total=total, completed=done, told="")

    def at(self, step: int, told: str) -> None:
        if self._bars is not None:
            self._bars.update(self._task, completed=step, told=told)
        elif time.monotonic() - self._told_at >= self._every:
            self._told_at = time.monotonic()
            left = (self._told_at - self._begun) / max(1, step - self._from) * (self._total - step)
            self._write(f"{self._what}: {step:,}/{self._total:,}, {told}, {elapsed(left)} left")

    def end(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _write(self, line: str) -> None:
        self._console.print(escape(line))


def told(counts: Counter[str]) -> str:
    """ok, dropped and failed, in words."""
    return ", ".join(f"{counts[status]} {status}" for status in ("ok", "dropped", "failed"))
