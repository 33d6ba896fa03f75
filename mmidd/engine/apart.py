"""Work in worker processes for who is no stage and keeps no records: a worker that dies or hangs costs one item alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from mmidd.engine.local import Inline, Local
from mmidd.engine.units import Crash, Resources, StageFunction, Task

_LEAST_S, _SLOWEST = 600.0, 1e6
"""Seconds that any task is given, and bytes a second of the slowest medium."""
Asked = TypeVar("Asked")
Found = TypeVar("Found")


def each_of(
    engine: Local | Inline,
    function: Callable[[Task, Asked, Resources], Found],
    tasks: Iterable[Task],
    asked: Asked,
    largest: int | None,
) -> Iterator[tuple[Task, Found | Crash]]:
    """What each task gives, in the order in which they are done; few are under way at once. The items of a task whose worker
    died or hung are tried alone, in the end; a Crash is of one item. `largest`: bytes of the largest (None: no time limit).
    """
    limit = None if largest is None else _LEAST_S + largest / _SLOWEST
    alone: list[Task] = []
    for some in (tasks, alone):
        for task, found in engine.map(cast(StageFunction, function), some, cast(Any, asked), time_limit=limit):
            if isinstance(found, Crash) and len(task.items) > 1:
                alone += [Task((item,)) for item in task.items]
            else:
                yield task, cast("Found | Crash", found)
