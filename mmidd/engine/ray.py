"""The engine of a Ray cluster: one actor a worker, which has a worker process of its own and sees it die.

What an actor hands back is what the local engine would have said: a result, or a crash that its medium is charged
with. An actor that is lost itself (its node died, was taken away or ran out of memory) is nobody's fault: its task runs
again on another. Results come to the driver, which commits them.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mmidd.engine.local import Local
from mmidd.engine.needs import Needs
from mmidd.engine.start import children_with
from mmidd.engine.units import Crash, Result, StageFunction, Task
from mmidd.errors import MissingExtra, UsageError, WorkError, sanitised

LOCAL = "local"
_LOOK_S = 0.5
_MOST_LOSSES = 3
_KNOCK_S = 10.0
PATIENCE_S = 600.0


@dataclass(frozen=True)
class _Raised:
    """An error that a stage function raised, on its way to the driver."""

    error: Exception


class _Actor:
    """In an actor: a pool of one process. What it returns is small or a result; it never raises."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._local = Local(1, needs.resources, needs.memory)

    def ready(self) -> _Raised | None:
        try:
            self._needs.take()
        except Exception as error:
            return _Raised(error)
        return None

    def run(self, function: StageFunction, task: Task, config: Any, time_limit: float | None) -> Result | Crash | _Raised:
        try:
            ((_, result),) = self._local.map(function, [task], config, time_limit=time_limit)
        except Exception as error:
            return _Raised(error)
        return result


@dataclass
class _Job:
    """A task, and how many actors were lost with it."""

    task: Task
    losses: int = 0


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


class Ray:
    """Workers on the machines of a Ray cluster (`address`), or of one that is started here (`local`).

    At most one task a worker is under way, so the cluster's object store holds at most one result of each. Workers
    beyond what the cluster has room for wait until machines join. With `gpus`, a worker has that share of a GPU.
    """

    def __init__(
        self, address: str, workers: int | None, gpus: float, needs: Needs, *, patience: float = PATIENCE_S
    ) -> None:
        self._address, self._workers, self._gpus, self._needs = address, workers, gpus, needs
        self._patience = patience
        self._idle: list[Any] = []
        self._coming: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, _Job]] = {}
        self._stillborn = 0
        self._alive = time.monotonic()
        self._ours = False

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        """Yields in order of completion. Raises WorkError if no worker starts for as long as patience lasts."""
        ray = self._connected()
        given = ray.put(config)
        jobs = (_Job(task) for task in tasks)
        todo = deque(islice(jobs, 1))
        self._alive = time.monotonic()
        try:
            while todo or self._busy:
                self._fill()
                while todo and self._idle:
                    self._start(function, todo.popleft(), given, time_limit)
                    todo.extend(islice(jobs, 0 if todo else 1))
                for job, result in self._landed():
                    if result is None:
                        todo.appendleft(job)
                    else:
                        yield job.task, result
        finally:
            if self._busy:  # stopped half-way: what still runs is of no use to anybody
                self.close()

    def close(self) -> None:
        """Stop the workers, at once; leave the cluster, or end it if it was started here."""
        if not self._ours and not self._actors():
            return
        for actor in self._actors():
            self._drop(actor)
        self._idle, self._coming, self._busy = [], {}, {}
        if self._ours:
            import ray

            ray.shutdown()
            self._ours = False

    def _start(self, function: StageFunction, job: _Job, config: Any, time_limit: float | None) -> None:
        actor = self._idle.pop()
        self._busy[actor.run.remote(function, job.task, config, time_limit)] = actor, job

    def _actors(self) -> list[Any]:
        return [*self._idle, *self._coming.values(), *(actor for actor, _ in self._busy.values())]

    def _connected(self) -> Any:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("ray", "--engine ray") from error
        if ray.is_initialized():
            return ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers of every cluster that it starts
        # A client's job: of any other the workers would import from the driver's current folder first.
        job = ray.job_config.JobConfig(_client_job=True)
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "job_config": job}
        try:
            if self._address == LOCAL:
                cores = max(self._workers or 0, os.cpu_count() or 1)
                with children_with({}):
                    ray.init(address=LOCAL, include_dashboard=False, num_cpus=cores, **quiet)
            else:
                _knock(self._address)
                ray.init(address=self._address, **quiet)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            told = sanitised(str(error))
            raise UsageError(
                f"no Ray cluster at {self._address!r}: {told}. Give another address, start one, or set RAY_AUTH_MODE=token "
                "where it asks for its token."
            ) from error
        self._ours = True
        return ray

    def _fill(self) -> None:
        """Ask for workers in place of those that are lost, and for all of them at first."""
        import ray

        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": self._gpus, "max_restarts": 0, "max_task_retries": 0}
        wanted = self._workers or self._room(ray.cluster_resources())
        for _ in range(wanted - len(self._actors())):
            actor = ray.remote(**options)(_Actor).remote(self._needs)
            self._coming[actor.ready.remote()] = actor

    def _room(self, resources: dict[str, float]) -> int:
        """How many workers the cluster has room for now."""
        room = int(resources.get("CPU", 0))
        return max(1, min(room, int(resources.get("GPU", 0) / self._gpus)) if self._gpus else room)

    def _landed(self) -> list[tuple[_Job, Result | Crash | None]]:
        """What came back within a moment; None for a task whose worker was lost with its machine."""
        import ray

        landed: list[tuple[_Job, Result | Crash | None]] = []
        for ref in ray.wait([*self._busy, *self._coming], timeout=_LOOK_S)[0]:
            actor, job = self._busy.pop(ref, (None, None))
            if job is None:
                self._arrived(ref, self._coming.pop(ref))
                continue
            try:
                found = ray.get(ref)
            except ray.exceptions.RayError as error:
                self._drop(actor)
                landed.append((job, self._lost(job, error)))
                continue
            self._idle.append(actor)
            if isinstance(found, _Raised):
                raise found.error
            landed.append((job, found))
        self._check_patience()
        return landed

    def _lost(self, job: _Job, error: Exception) -> Crash | None:
        """An actor went, and nobody saw why: no fault of the task's, unless it happens to it again and again."""
        import ray

        if isinstance(error, ray.exceptions.RayTaskError):  # it never ran: it could not be read there
            raise WorkError(f"a worker of the Ray cluster cannot take up work: {sanitised(str(error.cause))}") from error
        job.losses += 1
        if job.losses < _MOST_LOSSES:
            return None
        job.losses = 0
        return Crash("WorkerLost", f"the machine that worked on it was lost {_MOST_LOSSES} times")

    def _arrived(self, ref: Any, actor: Any) -> None:
        import ray

        try:
            fault = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._drop(actor)
            self._stillborn += 1
            if self._stillborn > max(_MOST_LOSSES, 2 * (self._workers or 1)):
                raise WorkError(
                    f"no worker of the Ray cluster starts; the last one: {sanitised(str(error))}. "
                    "Is mmidd installed on all its machines?"
                ) from error
            return
        if isinstance(fault, _Raised):
            self._drop(actor)
            raise fault.error
        self._stillborn = 0
        self._idle.append(actor)

    def _check_patience(self) -> None:
        now = time.monotonic()
        if self._busy or self._idle:
            self._alive = now
        elif now - self._alive > self._patience:
            share = f" and {self._gpus:g} of a GPU" if self._gpus else ""
            raise WorkError(
                f"for {self._patience:g} s no machine of the Ray cluster had a CPU{share} free for a worker. Add machines, "
                "or ask for less; then run the same command to go on."
            )

    def _drop(self, actor: Any) -> None:
        import ray

        with suppress(ray.exceptions.RayError, ValueError):
            ray.kill(actor, no_restart=True)
