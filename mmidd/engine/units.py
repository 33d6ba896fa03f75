"""The shape of work: items (one medium each) in tasks (atomic) in units (committed as one), and what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mmidd.engine.files import digest

if TYPE_CHECKING:  # the local engine starts workers before it loads anything heavy
    import pyarrow as pa

TASK_ITEMS = 256
UNIT_TASKS = 16
LEAST_UNITS = 64
"""A small dataset is cut finer, so that a kill costs it a sixty-fourth and not all."""

Status = Literal["ok", "dropped", "failed"]


@dataclass(frozen=True, slots=True)
class Item:
    """One medium's share of a stage's work.

    `inputs` is everything that the medium's result depends on beside the stage's ingredients; None while the content
    digest is not known yet. `payload` is what the stage function needs to do it, `weight` about how much work that is,
    among the items of its stage.
    """

    dataset: str
    media: str
    inputs: tuple[str, ...] | None
    payload: Any = None
    weight: int = 0

    @property
    def name(self) -> tuple[str, str]:
        return self.dataset, self.media


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker takes at once: one video, or a run of at most 256 images, of which it may be given a few at a time
    unless they belong `together`."""

    items: tuple[Item, ...]
    together: bool = False

    @property
    def weight(self) -> int:
        return sum(item.weight for item in self.items)


@dataclass(frozen=True, slots=True)
class Unit:
    """A stable bucket of tasks that is committed as one."""

    name: str
    tasks: tuple[Task, ...]

    @property
    def dataset(self) -> str:
        """Whose media these are: a unit's name begins with it."""
        return dataset_of(self.name)

    @property
    def items(self) -> Iterator[Item]:
        return (item for task in self.tasks for item in task.items)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one medium ended in one stage, with every planned frame accounted for.

    `reasons` lists each frame that gave no sample as (frame, status, reason). `facts` are what the stage learned about
    the medium (digest, size, geometry ...). `error` is the class of a failure, `message` its sanitised text.
    """

    dataset: str
    media: str
    status: Status
    inputs: tuple[str, ...]
    reason: str | None = None
    error: str | None = None
    message: str | None = None
    attempts: int = 1
    planned: int = 0
    ok: int = 0
    dropped: int = 0
    failed: int = 0
    reasons: tuple[tuple[int, str, str], ...] = ()
    rows_digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def conserved(self) -> bool:
        """Every planned frame has exactly one outcome, and the odd ones are listed."""
        return self.ok + self.dropped + self.failed == self.planned and len(self.reasons) == self.dropped + self.failed


@dataclass(frozen=True)
class Result:
    """What a stage function gives for one task: rows, and one outcome for every item."""

    rows: pa.Table
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Crash:
    """A task whose worker died or ran out of time: `error` is the class, `message` what is known."""

    error: str
    message: str


@dataclass(frozen=True)
class Resources:
    """What a worker may use."""

    device: Literal["cpu", "cuda"] = "cpu"


def dataset_of(unit: str) -> str:
    """The dataset in a unit's name."""
    return unit.partition("/")[0]


StageFunction = Callable[[Task, Any, Resources], Result]


class Engine(Protocol):
    """Runs one function over tasks, at least once each, in any order; a dead worker comes back as a Crash."""

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]: ...

    def close(self) -> None: ...


def unit_key(base: dict[str, Any], members: Iterable[tuple[tuple[str, str], tuple[str, ...]]]) -> str:
    """The key of a unit whose members have these inputs."""
    return digest(base, sorted([name[0], name[1], list(inputs)] for name, inputs in members))


def order_key(dataset: str, media: str) -> str:
    """Places a medium: the same everywhere, whatever else is there. 16 hex digits."""
    return hashlib.sha256(f"{dataset}\0{media}".encode()).hexdigest()[:16]


def bucket(
    stage_part: str,
    items: Sequence[Item],
    *,
    per_task: int,
    together: bool = False,
    beside: Mapping[tuple[str, str], tuple[str, str]] | None = None,
) -> list[Unit]:
    """Group items into tasks of `per_task` and units of at most about 16 tasks, by the hash of each medium's name.

    The number of buckets is a power of two, so growth moves media only when it doubles. Tasks may be cut later unless their
    items belong `together`. `beside` names another medium in
    whose place an item lies.
    """
    beside = beside or {}
    count = -(-len(items) // per_task)
    wanted = max(1, -(-count // UNIT_TASKS), min(count, LEAST_UNITS))
    bits = (wanted - 1).bit_length()
    buckets: dict[int, list[tuple[str, Item]]] = {}
    for item in items:
        place = order_key(*beside.get(item.name, item.name))
        buckets.setdefault(int(place, 16) >> (64 - bits), []).append((place, item))
    units = []
    for number in sorted(buckets):
        members = [item for _, item in sorted(buckets[number], key=lambda pair: (pair[0], pair[1].name))]
        tasks = tuple(Task(tuple(members[i : i + per_task]), together) for i in range(0, len(members), per_task))
        units.append(Unit(f"{stage_part}/{number:0{max(1, -(-bits // 4))}x}-{bits}", tasks))
    return units
