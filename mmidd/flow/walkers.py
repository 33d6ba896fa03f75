"""Who walks the flow: one who does the work, one who only looks how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmidd.engine.opened import Previous
from mmidd.engine.run import Silent, Stage, Survey, UnitEngine, Usable, run_units, survey
from mmidd.engine.store import Record
from mmidd.engine.units import Engine, Item, Outcome, Result, Unit
from mmidd.flow.refusals import NotUpToDate
from mmidd.flow.setup import Setup
from mmidd.media import Name
from mmidd.show import printable


@dataclass(frozen=True)
class Work:
    """What a step asks for: the units of a stage, from what they are made, and how they are run.

    `engine` opens who runs them (None: the setup's). `landed` sees each fresh result, `ended` the end of a run. `usable`
    says whether a record still counts.
    """

    stage: Stage
    base: dict[str, Any]
    units: Sequence[Unit]
    config: Any
    title: str | None = None
    engine: Callable[[], AbstractContextManager[Engine | UnitEngine]] | None = None
    time_limit: float | None = None
    quiet: bool = False
    retry: bool = False
    landed: Callable[[Result], None] = lambda result: None
    ended: Callable[[], None] = lambda: None
    usable: Usable = lambda unit, record: True


@dataclass(frozen=True)
class Reached:
    """How far a work is: the records of its units by unit name, and what a look found that is still to do.

    `taken_over` are the media of units to do that a run would take over from older units, with where they are told.
    `spoiled` are the keys of records that do not count any more.
    """

    work: Work
    records: Mapping[str, Record]
    to_do: tuple[Item, ...] = ()
    taken_over: Mapping[Name, tuple[Record, Outcome]] = field(default_factory=dict)
    spoiled: frozenset[str] = frozenset()

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that have a record."""
        return tuple(unit for unit in self.work.units if unit.name in self.records)

    @property
    def complete(self) -> bool:
        """Has every unit a record?"""
        return len(self.records) == len(self.work.units)

    @property
    def count(self) -> int:
        """How many items there are in all."""
        return sum(len(task.items) for unit in self.work.units for task in unit.tasks)


class Walker(Protocol):
    """Brings the work of each step as far as it means to."""

    @property
    def reads(self) -> bool:
        """May raw files be read, so that a file that was touched and is equal counts as what it is?"""
        ...

    def runs(self, stage: str) -> bool:
        """Is this stage's work done, and committed?"""
        ...

    def bring(self, setup: Setup, work: Work) -> Reached: ...


@dataclass(frozen=True)
class Build:
    """Does what is missing or stale, of every stage; or, with `only`, of the index and that stage alone, and raises
    WorkError where another one is not up to date."""

    only: str | None = None
    reads: bool = True

    def runs(self, stage: str) -> bool:
        return self.only is None or stage in ("index", self.only)

    def bring(self, setup: Setup, work: Work) -> Reached:
        if not self.runs(work.stage.name):
            return Reached(work, _insist(setup, work).done)
        if not work.units:
            return Reached(work, {})
        with nullcontext(setup.engine) if work.engine is None else work.engine() as engine:
            records = run_units(
                work.stage, work.base, work.units, work.config,
                store=setup.store, engine=engine, progress=Silent() if work.quiet else setup.progress, title=work.title,
                landed=work.landed, usable=work.usable, retry=work.retry, time_limit=work.time_limit,
            )  # fmt: skip
        work.ended()
        return Reached(work, records)


def _insist(setup: Setup, work: Work) -> Survey:
    found = survey(work.stage, work.base, work.units, setup.store, work.usable)
    if found.missing:
        left = sum(1 for unit in found.missing for _ in unit.items)
        name = work.stage.name
        way = printable(setup.options.command(name))
        raise NotUpToDate(f"{name} is not up to date ({left} media to do): run `mmidd {name}`, or `mmidd build`: {way}")
    return found


@dataclass(frozen=True)
class Look:
    """Says how far everything is, and why not further. Writes nothing, and reads no medium."""

    reads: bool = False

    def runs(self, stage: str) -> bool:
        return False

    def bring(self, setup: Setup, work: Work) -> Reached:
        found = survey(work.stage, work.base, work.units, setup.store, work.usable)
        previous = Previous({})
        if found.missing:
            previous = Previous.load(work.stage, work.base, setup.store, found.missing, found)
        to_do, taken_over = [], {}
        for item in (item for unit in found.missing for item in unit.items):
            place = previous.find(item)
            if place is None:
                to_do.append(item)
            else:
                taken_over[item.name] = place
        return Reached(work, found.done, tuple(to_do), taken_over, found.spoiled)
