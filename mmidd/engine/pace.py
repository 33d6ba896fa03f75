"""How many items a worker is given at once: what is under way when a build dies is lost, so it is seconds of work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmidd.engine.units import Task

UNDER_WAY_S = 5.0
"""About how long all that is under way may take to come back."""
FIRST_ITEMS = 4
"""As long as nobody knows how fast it goes."""


class Pace:
    """Cuts tasks into runs by how fast items have come back so far. A task whose items belong together stays whole."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._items = self._under_way = 0

    def runs(self, tasks: Sequence[Task]) -> Iterator[Task]:
        """The tasks in runs, each cut when it is asked for."""
        for task in tasks:
            at = 0
            while at < len(task.items):
                length = len(task.items) if task.together else self._length()
                self._under_way += 1
                yield replace(task, items=task.items[at : at + length])
                at += length

    def back(self, task: Task) -> None:
        """A run has come back, however it ended."""
        self._under_way -= 1
        self._items += len(task.items)

    def _length(self) -> int:
        if not self._items:
            return FIRST_ITEMS
        rate = self._items / max(time.monotonic() - self._began, 1e-6)
        return max(1, int(rate * UNDER_WAY_S / max(1, self._under_way)))
