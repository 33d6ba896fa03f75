"""Runs a stage over its units: only what is missing or stale; what still holds is taken over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from mmidd.engine import tables
from mmidd.engine.opened import Opened, Previous
from mmidd.engine.pace import Pace
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Crash, Engine, Item, Outcome, Result, StageFunction, Task, Unit, unit_key
from mmidd.errors import MmiddError
from mmidd.media import Name

MAX_ATTEMPTS = 2
SAVE_S = 5.0
"""How often what came back of units that are not complete is committed."""
LAST_TASKS = 64
"""Of all tasks, the last ones begin with the heaviest, so that no worker is left alone with a long one."""


@dataclass(frozen=True)
class Stage:
    """What the runner needs to know of a stage: its function, its row schema, and how its rows lie."""

    name: str
    version: int
    function: StageFunction
    schema: pa.Schema
    blobs: tuple[str, ...] = ()
    row_order: tuple[str, ...] = ("frame", "face")
    """How one medium's rows are sorted, in units of several media."""
    identify: Callable[[Item], tuple[tuple[str, ...], dict[str, Any]]] | None = None
    """Inputs and facts of an item that was never read because its worker died."""


class Progress(Protocol):
    """Somebody who watches. Counts are media."""

    def begin(self, stage: str, total: int, done: int) -> None: ...

    def advance(self, outcomes: Sequence[Outcome]) -> None: ...

    def end(self) -> None: ...


class Silent:
    """Nobody watches."""

    def begin(self, stage: str, total: int, done: int) -> None:
        return

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        return

    def end(self) -> None:
        return


@dataclass(frozen=True)
class Survey:
    """Which units of a stage are committed, and which are not; `spoiled` are the keys of records of no use any more."""

    done: dict[str, Record] = field(default_factory=dict)
    missing: tuple[Unit, ...] = ()
    spoiled: frozenset[str] = frozenset()


def ingredients(stage: Stage, recipe: Any, **others: Any) -> dict[str, Any]:
    """All that shapes a stage's bytes beside the media themselves; shown by `plan` when it changes."""
    return {"stage": stage.name, "version": stage.version, "recipe": recipe, **others}


Usable = Callable[[Unit, Record], bool]


@dataclass(frozen=True)
class Order:
    """What `run_units` has to know to bring units to their commits, for somebody who does it in another place.

    A record in `after` (by its key) does not count until it has a later generation.
    """

    stage: Stage
    base: dict[str, Any]
    config: Any
    root: Path
    after: Mapping[str, int]
    retry: bool
    time_limit: float | None

    def key(self, unit: Unit) -> str | None:
        """The key of the unit's record; None while the content of a member is not known."""
        known = [(item.name, item.inputs) for item in unit.items if item.inputs is not None]
        return unit_key(self.base, known) if len(known) == sum(len(task.items) for task in unit.tasks) else None

    def usable(self, unit: Unit, record: Record) -> bool:
        """Does the record count? What is to be retried has to be found first."""
        return self.retry or record.generation > self.after.get(record.key, -1)


@runtime_checkable
class UnitEngine(Protocol):
    """Has whole units committed in another place, and yields each with its record as soon as it is there."""

    def bring(self, order: Order, units: Sequence[Unit]) -> Iterator[tuple[Unit, Record]]: ...

    def close(self) -> None: ...


def survey(
    stage: Stage, base: dict[str, Any], units: Iterable[Unit], store: Store, usable: Usable = lambda unit, record: True
) -> Survey:
    """Look every unit up. One with an item of unknown content, or whose record is of no use any more, is missing."""
    done: dict[str, Record] = {}
    missing: list[Unit] = []
    spoiled: set[str] = set()
    for unit in units:
        record = None
        known = [(item.name, item.inputs) for item in unit.items if item.inputs is not None]
        if len(known) == sum(len(task.items) for task in unit.tasks):
            record = store.latest(stage.name, unit_key(base, known))
        if record is not None and usable(unit, record):
            done[unit.name] = record
            continue
        missing.append(unit)
        spoiled |= {record.key} if record is not None else set()
    return Survey(done, tuple(missing), frozenset(spoiled))


def run_units(
    stage: Stage,
    base: dict[str, Any],
    units: Sequence[Unit],
    config: Any,
    *,
    store: Store,
    engine: Engine | UnitEngine,
    progress: Progress,
    title: str | None = None,
    landed: Callable[[Result], None] = lambda result: None,
    committed: Callable[[Unit, Record], None] = lambda unit, record: None,
    usable: Usable = lambda unit, record: True,
    retry: bool = False,
    time_limit: float | None = None,
) -> dict[str, Record]:
    """Bring every unit to a commit and return the records by unit name, in the order of the units.

    `landed` sees each fresh result, or the outcomes of a unit that was committed in another place; `committed` each commit.
    Failed media stay failed unless `retry`; then they alone run again and their unit gets a new generation.
    """
    found = survey(stage, base, units, store, usable)
    records = dict(found.done)
    again = [unit for unit in units if retry and unit.name in records and records[unit.name].counts.get("failed")]
    pending = [*found.missing, *again]
    left = sum(len(task.items) for unit in pending for task in unit.tasks)
    total = sum(len(task.items) for unit in units for task in unit.tasks)
    progress.begin(title or stage.name, total, total - left)
    try:
        if pending and isinstance(engine, UnitEngine):
            again_after = {records[unit.name].key: records[unit.name].generation for unit in again}
            order = Order(
                stage, base, config, store.root.resolve(), _after(stage, store, found) | again_after, retry, time_limit
            )
            for unit, record in engine.bring(order, pending):
                outcomes = tables.read_outcomes(store, record)
                progress.advance(outcomes)
                landed(Result(stage.schema.empty_table(), tuple(outcomes)))
                committed(unit, record)
                records[unit.name] = record
        elif pending and not isinstance(engine, UnitEngine):
            previous = Previous.load(stage, base, store, pending, found)
            work = [Opened(stage, base, unit, previous, store, retry) for unit in pending]
            watch = _Watch(progress, landed)
            for opened in _complete(work, engine, stage, config, watch, time_limit):
                records[opened.unit.name] = record = opened.commit()
                committed(opened.unit, record)
    finally:  # also when it is stopped: bars hide the cursor
        progress.end()
    return {unit.name: records[unit.name] for unit in units if unit.name in records}


def _after(stage: Stage, store: Store, found: Survey) -> dict[str, int]:
    """The last generation of each record that is of no use any more."""
    return {key: record.generation for key in found.spoiled if (record := store.latest(stage.name, key)) is not None}


@dataclass(frozen=True)
class _Watch:
    progress: Progress
    landed: Callable[[Result], None]


def _complete(
    work: Sequence[Opened], engine: Engine, stage: Stage, config: Any, watch: _Watch, time_limit: float | None
) -> Iterator[Opened]:
    """Run all fresh tasks; yield each unit once its last medium is in. Crashed tasks run again at the end, singly.

    What came back is committed every few seconds, and when this is stopped half-way.
    """
    owner = {item.name: opened for opened in work for item in opened.fresh}
    for opened in work:
        watch.progress.advance(opened.taken)
        if not opened.fresh:
            yield opened
    queue = [task for opened in work for task in opened.tasks()]
    queue[-LAST_TASKS:] = sorted(queue[-LAST_TASKS:], key=lambda task: -task.weight)
    deaths: Counter[Name] = Counter()
    unsaved, saved = dict[str, Opened](), time.monotonic()
    pace = Pace()
    try:
        while queue:
            crashed: list[Task] = []
            for task, result in engine.map(stage.function, pace.runs(queue), config, time_limit=time_limit):
                pace.back(task)
                if isinstance(result, Crash):
                    retried, lost = _after_crash(stage, task, result, deaths)
                    crashed += retried
                    if lost is None:
                        continue
                    result = Result(stage.schema.empty_table(), (lost,))
                watch.progress.advance(result.outcomes)
                watch.landed(result)
                opened = owner[task.items[0].name]
                opened.take(task, result)
                unsaved[opened.unit.name] = opened
                if opened.complete:
                    yield opened
                    del unsaved[opened.unit.name]
                if time.monotonic() - saved > SAVE_S:
                    _save(unsaved)
                    saved = time.monotonic()
            queue = crashed
    except BaseException:
        with suppress(MmiddError, OSError):  # what stopped us is told, whatever comes of this
            _save(unsaved)
        raise


def _save(unsaved: dict[str, Opened]) -> None:
    """Commit what came back of these units, and forget them until more does."""
    for opened in unsaved.values():
        opened.save()
    unsaved.clear()


def _after_crash(stage: Stage, task: Task, crash: Crash, deaths: Counter[Name]) -> tuple[list[Task], Outcome | None]:
    """Charge the medium whose worker died: a run is split first; one medium has two attempts, then is quarantined."""
    if len(task.items) > 1:
        return [Task((item,)) for item in task.items], None
    item = task.items[0]
    deaths[item.name] += 1
    if deaths[item.name] < MAX_ATTEMPTS:
        return [task], None
    inputs, facts = (item.inputs, {}) if item.inputs or not stage.identify else stage.identify(item)
    lost = Outcome(
        item.dataset,
        item.media,
        "failed",
        inputs or ("unread",),
        error=crash.error,
        message=crash.message,
        attempts=deaths[item.name],
        facts=facts,
    )
    return [], lost
