"""A unit on its way to its commit: what is taken over from earlier commits, what came back, what is safe by now.

Units are large, so that a million media are not a million files; a build that dies must not lose one for that. So what
came back is committed every few seconds, as a *part* of its unit. A part is a commit like any other: the next build takes
its media over. Once the whole unit is committed its parts are removed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine import tables
from mmidd.engine.files import digest
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Item, Outcome, Result, Task, Unit, dataset_of, unit_key
from mmidd.errors import WorkError
from mmidd.media import Name

if TYPE_CHECKING:
    from mmidd.engine.run import Stage, Survey

PART = "/part"
"""Ends the unit's name in the record of a part."""


def _rows_by_medium(result: Result) -> Counter[Name]:
    """How many rows each medium has; nobody asks where no frame was planned."""
    if not any(outcome.planned for outcome in result.outcomes):
        return Counter()
    return Counter(zip(result.rows["dataset"].to_pylist(), result.rows["media"].to_pylist(), strict=True))


class Previous:
    """What earlier units of a stage know about single media, so that a changed neighbour costs nobody a second run."""

    def __init__(self, places: dict[tuple[Name, tuple[str, ...]], tuple[Record, Outcome]]) -> None:
        self._places = places

    @classmethod
    def load(cls, stage: Stage, base: dict[str, Any], store: Store, pending: Iterable[Unit], *found: Survey) -> Previous:
        """What may be known of the media of these units. A record that is another unit's own holds none of them."""
        places: dict[tuple[Name, tuple[str, ...]], tuple[Record, Outcome]] = {}
        pending = list(pending)
        names = {unit.name for unit in pending}
        datasets = {item.dataset for unit in pending for item in unit.items}
        aside = {record.key for each in found for unit, record in each.done.items() if unit not in names}
        aside = aside.union(*(each.spoiled for each in found))
        wanted = digest(base)
        for record in store.records(stage.name):
            other = digest(record.ingredients) != wanted or dataset_of(record.unit) not in datasets
            if other or record.key in aside:
                continue
            for outcome in _outcomes(store, record):
                place = ((outcome.dataset, outcome.media), outcome.inputs)
                if place not in places or outcome.status != "failed":
                    places[place] = (record, outcome)
        return cls(places)

    def find(self, item: Item) -> tuple[Record, Outcome] | None:
        return self._places.get((item.name, item.inputs)) if item.inputs is not None else None


def _outcomes(store: Store, record: Record) -> list[Outcome]:
    """A part may go while it is read: another command, or another job, has just committed its unit."""
    try:
        return tables.read_outcomes(store, record)
    except WorkError:
        if store.latest(record.stage, record.key) is None:
            return []
        raise


class Opened:
    """A unit on its way to a commit: what is taken over, what runs, what has come back, what of that is committed."""

    def __init__(
        self, stage: Stage, base: dict[str, Any], unit: Unit, previous: Previous, store: Store, retry: bool
    ) -> None:
        self.stage, self.base, self.unit, self.store = stage, base, unit, store
        self.started = time.monotonic()
        self.sources: dict[Name, Record] = {}
        self.outcomes: dict[Name, Outcome] = {}
        self.back: list[tuple[dict[Name, Outcome], pa.Table]] = []
        """What came back and is not committed: one entry a result, so that nothing is ever half in."""
        self.parts: set[str] = set()
        self.attempts: Counter[Name] = Counter()
        for item in unit.items:
            place = previous.find(item)
            if place is not None and retry and place[1].status == "failed":
                self.attempts[item.name] = place[1].attempts
            elif place is not None:
                self.sources[item.name], self.outcomes[item.name] = place
        self.parts |= {each.key for each in self.sources.values() if each.unit == self.unit.name + PART}
        self.taken = list(self.outcomes.values())
        self.fresh = [item for item in unit.items if item.name not in self.outcomes]

    def tasks(self) -> Iterator[Task]:
        """The unit's tasks, without the media that were taken over."""
        for task in self.unit.tasks:
            items = tuple(item for item in task.items if item.name not in self.sources)
            if items:
                yield replace(task, items=items)

    def take(self, task: Task, result: Result) -> None:
        """Accept a task's result: one conserved outcome for each of its media, or it is a fault of ours."""
        names = [(outcome.dataset, outcome.media) for outcome in result.outcomes]
        if sorted(names) != sorted(item.name for item in task.items):
            raise WorkError(f"stage {self.stage.name} lost or invented a medium of {self.unit.name}: {names[:3]}")
        rows = _rows_by_medium(result)
        found = {}
        for name, outcome in zip(names, result.outcomes, strict=True):
            if rows[name] < outcome.ok:
                raise WorkError(f"stage {self.stage.name} lost rows of {'/'.join(name)}: {rows[name]} of {outcome.ok}")
            if not outcome.conserved():
                raise WorkError(f"stage {self.stage.name} lost a frame of {'/'.join(name)}: {outcome}")
            found[name] = replace(outcome, attempts=outcome.attempts + self.attempts[name])
        self.back.append((found, result.rows))
        self.outcomes.update(found)

    @property
    def complete(self) -> bool:
        return all(item.name in self.outcomes for item in self.fresh)

    def save(self) -> None:
        """Commit what came back since the last time, as a part of the unit; from then on it is taken over from there."""
        for found, _ in self.back:
            self.outcomes.update(found)
        back = set[Name]().union(*(found for found, _ in self.back))
        names = [item.name for item in self.fresh if item.name in back]
        if names:
            part = self._put(names, (rows for _, rows in self.back), self.unit.name + PART)
            self.back.clear()
            self.parts.add(part.key)
            self.sources.update(dict.fromkeys(names, part))

    def commit(self) -> Record:
        """Put the unit; then its parts may go."""
        names = [item.name for item in self.unit.items]
        try:
            record = self._put(names, chain((rows for _, rows in self.back), self._taken_rows()), self.unit.name)
        except WorkError:  # a part goes once its unit is there: another job may have put this one meanwhile
            found = self.store.latest(self.stage.name, self._key(names))
            if found is None or found.unit != self.unit.name:
                raise
            record = found
        self.back.clear()  # a build of days must not hold the crops of all its units
        for key in sorted(self.parts - {record.key}):
            self.store.discard(self.stage.name, key)
        return record

    def _put(self, names: Sequence[Name], pieces: Iterable[pa.Table], unit: str) -> Record:
        """Rows lie in the order of the unit, whatever order they came in."""
        rows = pa.concat_tables([self.stage.schema.empty_table(), *pieces])
        if len(names) > 1:
            rows = tables.in_order(rows, names, self.stage.row_order)
        outcomes = [self.outcomes[name] for name in names]
        counts = Counter[str](outcome.status for outcome in outcomes)
        return self.store.commit(
            self.stage.name,
            self._key(names),
            unit,
            tables.writers(rows, outcomes, self.stage.blobs),
            ingredients=self.base,
            counts={"media": len(names), "rows": rows.num_rows, "fresh": len(self.fresh), **counts},
            seconds=time.monotonic() - self.started if self.fresh else 0.0,
        )

    def _key(self, names: Iterable[Name]) -> str:
        return unit_key(self.base, ((name, self.outcomes[name].inputs) for name in names))

    def _taken_rows(self) -> Iterator[pa.Table]:
        for record in {record.key: record for record in self.sources.values()}.values():
            wanted = {name for name, source in self.sources.items() if source.key == record.key}
            stored = tables.read_rows(self.store, record, ["dataset", "media"])
            pairs = zip(stored["dataset"].to_pylist(), stored["media"].to_pylist(), strict=True)
            mask = pa.array([pair in wanted for pair in pairs], pa.bool_())
            if pc.any(mask).as_py():
                yield tables.read_inline(self.store, record, self.stage.schema, self.stage.blobs, mask)
