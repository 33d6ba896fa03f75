"""The engine for tasks that wait for somebody else, such as a server: threads of this process."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mmidd.engine.units import Crash, Resources, Result, StageFunction, Task

_LOOK_S, _GRACE_S = 0.5, 5.0


@dataclass(frozen=True)
class Threads:
    """Runs `count` tasks at a time here. The time limit is not kept: a thread cannot be stopped, so the function must end
    by itself. What a function raises is raised; threads never outlive the process or hold up its end."""

    count: int
    resources: Resources = field(default_factory=Resources)
    _started: list[threading.Thread] = field(default_factory=list, repr=False)

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        """Yields in order of completion."""
        todo = _Shared(tasks)
        done: queue.SimpleQueue[tuple[Task, Result] | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while (task := todo.take()) is not None:
                    done.put((task, function(task, config, self.resources)))
            except BaseException as error:  # whatever it is, it belongs to who iterates
                done.put(error)
            done.put(None)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        self._started.extend(threads)
        try:
            running = len(threads)
            while running:
                try:
                    found = done.get(timeout=_LOOK_S)
                except queue.Empty:  # so that an interrupt is seen
                    continue
                if found is None:
                    running -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:
            todo.stop()

    def close(self) -> None:
        """Wait a little for threads that still run because the iteration was left early."""
        until = time.monotonic() + _GRACE_S
        while self._started:
            self._started.pop().join(max(0.0, until - time.monotonic()))


class _Shared:
    """An iterator that several threads take from, until it ends or is stopped."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks, self._lock, self._stopped = iter(tasks), threading.Lock(), False

    def take(self) -> Task | None:
        with self._lock:
            return None if self._stopped else next(self._tasks, None)

    def stop(self) -> None:
        self._stopped = True
