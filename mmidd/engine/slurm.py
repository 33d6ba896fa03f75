"""The engine of a Slurm cluster: arrays of jobs, each of which brings a share of the units to their commits by itself.

A job runs its units as one machine would, with the local engine, and commits them on the shared file system. After each
commit it leaves a note that names the record; the driver follows the notes. So a killed driver loses nothing that its
jobs commit, the next one takes it over, and jobs that overlap do work twice and commit it once.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mmidd.engine.files import canonical, digest, put_if_absent
from mmidd.engine.local import Local
from mmidd.engine.needs import Needs
from mmidd.engine.run import Order, run_units
from mmidd.engine.start import children_with
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Outcome, Unit
from mmidd.errors import MissingExtra, UsageError, WorkError, sanitised

JOBS, NOTES = "jobs", "notes"
_VISIBLE_S = 120.0
"""How long a network disk may take to show the driver what a job has written."""


@dataclass(frozen=True)
class Settings:
    """How many jobs run at once, what each of them gets, and how often one may be lost before the build gives up."""

    cluster: str = "slurm"
    jobs: int = 8
    attempts: int = 3
    parameters: dict[str, Any] = field(default_factory=dict)
    """What submitit is told beside: time, memory, GPUs, partition ..."""


@dataclass(frozen=True)
class _Ended:
    """How a job ended that was not killed: the key of each unit's record by its note's name, or what stopped it."""

    keys: dict[str, str]
    error: Exception | None = None


@dataclass
class _Share:
    """The units of one job, and how often in a row it was lost without a commit."""

    units: dict[str, Unit]
    job: Any = None
    losses: int = 0


class Slurm:
    """Jobs of `workers` processes each, sent with submitit. `poll` is how often the driver looks, in seconds."""

    def __init__(self, settings: Settings, workers: int, needs: Needs, *, poll: float = 5.0) -> None:
        self._settings, self._workers, self._needs, self._poll = settings, workers, needs, poll

    def bring(self, order: Order, units: Sequence[Unit]) -> Iterator[tuple[Unit, Record]]:
        """Have the units committed, and yield each with its record as it is seen. Stopped half-way, it cancels its jobs."""
        round_ = _Round(self._executor(order), self._settings, order, _Notes(order), self._workers, self._needs)
        round_.left = {_note_name(order, unit): unit for unit in units}
        try:
            yield from round_.seen()  # jobs of an earlier driver may have gone on without it
            round_.submit(_shares(round_.left, self._settings.jobs))
            while round_.left:
                ended = round_.ended()
                yield from round_.seen()
                round_.settle(ended)
                if round_.left:
                    time.sleep(self._poll)
        finally:
            round_.cancel()
        shutil.rmtree(round_.executor.folder, ignore_errors=True)

    def close(self) -> None:
        """Nothing is held: jobs end with their round."""

    def _executor(self, order: Order) -> Any:
        try:
            import submitit
        except ImportError as error:
            raise MissingExtra("slurm", "--engine slurm") from error
        folder = order.root / JOBS / f"{order.stage.name}-{uuid.uuid4().hex[:12]}"
        try:
            python = f"{shlex.quote(sys.executable)} -P"  # a job starts in the driver's current folder
            executor = submitit.AutoExecutor(
                folder, cluster=self._settings.cluster, slurm_python=python, local_python=python
            )
        except RuntimeError as error:
            raise UsageError(f"no Slurm here: {sanitised(str(error))}; start the build on a login node") from error
        executor.update_parameters(
            name=f"mmidd-{order.stage.name}", cpus_per_task=self._workers, **self._settings.parameters
        )
        return executor


def _shares(units: dict[str, Unit], count: int) -> list[_Share]:
    """Every count-th unit: neighbours are of one dataset, and datasets differ in what a unit costs."""
    names = list(units)
    parts = (names[start::count] for start in range(count))
    return [_Share({name: units[name] for name in part}) for part in parts if part]


def _note_name(order: Order, unit: Unit) -> str:
    """Names a unit's work, for all drivers and jobs: what is in it, and after which generation of its record.

    A medium whose content is not known yet is named by its payload, which holds its size and time.
    """
    key = order.key(unit)
    if key is not None:
        return digest(key, order.after.get(key, -1))
    members = [[*item.name, list(item.inputs) if item.inputs is not None else repr(item.payload)] for item in unit.items]
    return digest(order.base, members)


class _Notes:
    """Small files that say which record a unit's commit has put."""

    def __init__(self, order: Order) -> None:
        self._order, self.store = order, Store(order.root)
        self.folder = order.root / JOBS / NOTES
        self.known: dict[str, str] = {}

    def write(self, name: str, key: str) -> None:
        put_if_absent(self.folder / f"{name}.json", canonical({"key": key}).encode(), scratch=self.store.scratch)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Record]]:
        """The records that can be read by now."""
        here = {path.stem for path in self.folder.glob("*.json")}
        for name in names:
            if name in here:
                with suppress(OSError, ValueError, KeyError, TypeError):  # torn: its unit is done again
                    self.known[name] = str(json.loads((self.folder / f"{name}.json").read_bytes())["key"])
            record = self._record(self.known[name]) if name in self.known else None
            if record is not None:
                yield name, record

    def _record(self, key: str) -> Record | None:
        record = self.store.latest(self._order.stage.name, key)
        return record if record is not None and record.generation > self._order.after.get(key, -1) else None

    def forget(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)


@dataclass
class _Round:
    """One stage's units on their way through jobs."""

    executor: Any
    settings: Settings
    order: Order
    notes: _Notes
    workers: int
    needs: Needs
    left: dict[str, Unit] = field(default_factory=dict)
    shares: list[_Share] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    moved: float = field(default_factory=time.monotonic)

    def submit(self, shares: Sequence[_Share]) -> None:
        if not shares:
            return
        work = _Work(self.order, self.workers, self.needs)
        with children_with({}):
            jobs = self.executor.map_array(work, [share.units for share in shares])
        for share, job in zip(shares, jobs, strict=True):
            share.job = job
        self.shares += shares

    def ended(self) -> list[_Share]:
        """Take the jobs that ended out of those that run."""
        ended = [share for share in self.shares if share.job.done()]
        if ended:
            self.moved = time.monotonic()
        for share in ended:
            self.notes.known |= _outcome(share.job).keys
        self.shares = [share for share in self.shares if share not in ended]
        return ended

    def seen(self) -> Iterator[tuple[Unit, Record]]:
        """The units that are committed by now, each once, with its record."""
        for name, record in list(self.notes.read(self.left)):
            self.moved = time.monotonic()
            yield self.left.pop(name), record
            self.notes.forget(name)

    def settle(self, ended: Sequence[_Share]) -> None:
        """Send again what is left of jobs that were lost. Raises WorkError when one is lost too often."""
        again = []
        for share in ended:
            left = {name: unit for name, unit in share.units.items() if name in self.left and name not in self.notes.known}
            if not left:
                continue
            losses = share.losses + 1 if len(left) == len(share.units) else 1
            if losses < self.settings.attempts:
                again.append(_Share(left, losses=losses))
            else:
                self.failures.append(f"{len(left)} units, log {share.job.paths.stderr}")
        self.submit(again)
        if self.left and not self.shares:
            self._stuck()

    def _stuck(self) -> None:
        if self.failures:
            raise WorkError(
                f"jobs of {self.order.stage.name} ended {self.settings.attempts} times in a row without a result: "
                f"{'; '.join(self.failures[:3])}. Their neighbours are committed. Give them more time or memory, "
                "and run the same command to go on."
            )
        if time.monotonic() - self.moved > _VISIBLE_S:
            raise WorkError(
                f"jobs have committed {len(self.left)} units that cannot be seen here; does {self.order.root} lie on a file "
                "system that all machines share? Run the same command to go on."
            )

    def cancel(self) -> None:
        for share in self.shares:
            with suppress(OSError):
                share.job.cancel(check=False)
        self.shares = []


def _outcome(job: Any) -> _Ended:
    """What a job that ended says. One that was killed says nothing; one that was stopped by an error raises it."""
    import submitit

    try:
        ended = job.result()
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError):
        return _Ended({})
    if not isinstance(ended, _Ended):
        return _Ended({})
    if ended.error is not None:
        raise ended.error
    return ended


@dataclass(frozen=True)
class _Work:
    """In a job: bring a share of units to their commits, with a note for each."""

    order: Order
    workers: int
    needs: Needs

    def __call__(self, units: dict[str, Unit]) -> _Ended:
        from submitit.core.utils import UncompletedJobError

        notes, names = _Notes(self.order), {unit.name: name for name, unit in units.items()}
        keys: dict[str, str] = {}

        def committed(unit: Unit, record: Record) -> None:
            keys[names[unit.name]] = record.key
            notes.write(names[unit.name], record.key)

        engine, order = Local(self.workers, self.needs.resources, self.needs.memory), self.order
        try:
            self.needs.take()
            done = run_units(
                order.stage, order.base, list(units.values()), order.config, store=notes.store, engine=engine,
                progress=_Silent(), committed=committed, usable=order.usable, retry=order.retry, time_limit=order.time_limit,
            )  # fmt: skip
            for unit in units.values():
                committed(unit, done[unit.name])  # also what another job has committed meanwhile
        except UncompletedJobError:  # Slurm takes the time away: no result, and the driver sends the rest again
            raise
        except Exception as error:
            return _Ended(keys, error)
        finally:
            engine.close()
        return _Ended(keys)


class _Silent:
    """Nobody watches a job; its notes tell."""

    def begin(self, stage: str, total: int, done: int) -> None: ...

    def advance(self, outcomes: Sequence[Outcome]) -> None: ...

    def end(self) -> None: ...
