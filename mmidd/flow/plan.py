"""What a build would do, before any work: what is up to date, stale and why, missing; what disk and time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mmidd.engine.store import Store
from mmidd.engine.units import Item, dataset_of
from mmidd.flow.captioning import Estimate, estimate
from mmidd.flow.digesting import reread
from mmidd.flow.finish import is_current
from mmidd.flow.forecast import Space, forecast, frames_of
from mmidd.flow.setup import Setup
from mmidd.flow.steps import Extracted
from mmidd.flow.traces import Line, lines
from mmidd.flow.walk import Walked, walk
from mmidd.flow.walkers import Look, Reached
from mmidd.raw.path import RemotePath
from mmidd.results import Result
from mmidd.show import plan as show

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class StagePlan:
    """One stage: how many of its items are up to date, and why the others are not. The items are media; datasets for index,
    files for shard, one each for curate and for corpus (card, media table and `mmidd.json`).

    `waits_for` names the stage that has to be complete before it is known what is to do.
    """

    stage: str
    up_to_date: int
    to_do: int
    why: Mapping[str, int] = field(default_factory=dict)
    waits_for: str | None = None


@dataclass(frozen=True, repr=False)
class Plan(Result):
    """What a build would do. `refused`: what it would end with instead of writing the corpus.

    `taken_down`: what the takedown list covers, line by line (`status` says that by itself).
    `near`: which folders may be meant for absent datasets. `lists`: what is to be known of label files, `unlabelled`
    counts media that are lost for want of a label.
    `to_fetch`: bytes of the media that would be extracted, where they lie in an object store; of archives their members'.
    `reread`: files whose size and time are as they were, but that were copied, moved or replaced: a build reads them again,
    and does what depends on them only where their bytes are others.
    """

    stages: tuple[StagePlan, ...]
    absent: tuple[str, ...]
    not_taken: Mapping[str, int]
    samples: int
    work: Space
    corpus: Space
    hours: float
    basis: str
    captions: Estimate | None = None
    to_fetch: int = 0
    refused: str | None = None
    taken_down: tuple[Line, ...] = ()
    lists: tuple[str, ...] = ()
    unlabelled: int = 0
    reread: int = 0
    near: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Is there nothing to do?"""
        return not (self.refused or any(stage.to_do or stage.waits_for for stage in self.stages))

    def tell(self, console: Console) -> None:
        show.plan(console, self)

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"complete": self.complete}


def look(setup: Setup) -> Walked:
    """How far everything is. Writes nothing."""
    return walk(setup, Look())


def plan(setup: Setup, walked: Walked) -> Plan:
    """What a build would do after this look. A setup of an earlier build tells how far that one is."""
    crops = _of(walked.crops)
    will = forecast(setup, walked, crops)
    stages = tuple(_stages(setup, walked, crops))
    return Plan(
        stages,
        walked.index.absent,
        dict(Counter(walked.index.dropped.values())),
        will.samples,
        will.work,
        will.corpus,
        will.hours,
        will.basis,
        estimate(setup, _undescribed(setup, walked, crops)),
        sum(item.payload.file.bytes for item in crops.to_do) if isinstance(setup.data, RemotePath) else 0,
        walked.shards.refused if walked.shards is not None else None,
        lines(setup, walked) if setup.note is None else (),
        _lists(walked),
        len(walked.index.of_status("unlabelled")),
        reread(setup.digests, walked.index.selected.values()) if setup.note is None else 0,
        walked.index.near,
    )


def _lists(walked: Walked) -> tuple[str, ...]:
    """What is to be known of label files: those that are missing, and those that are not sound."""
    index = walked.index
    odd = (f"{name}: {each}" for name, lists in index.lists.items() for each in lists if not each.sound)
    return (*index.lists_missing, *odd)


def _of(crops: Extracted | None) -> Extracted:
    if crops is None:
        raise ValueError("the walk did not come to extraction")
    return crops


def _stages(setup: Setup, walked: Walked, crops: Extracted) -> Iterable[StagePlan]:
    index = walked.index
    why = {"new, or its files or label files changed": len(index.fresh)} if index.fresh else {}
    yield StagePlan("index", len(index.datasets) - len(index.fresh), len(index.fresh), why)
    yield _stage(setup, "extract", len(index.selected), crops.to_do, lambda item: _why_crops(setup, crops, item))
    before = None if crops.complete else "extract"
    if setup.recipe.captioner.kind != "none":
        yield _later(setup, "caption", walked.captions, before, "missing: not captioned")
    before = before or ("caption" if walked.captions is not None and not walked.captions.complete else None)
    waits = None if crops.complete else "extract"
    yield _later(setup, "curate", walked.verdicts, waits, "stale: rows, labels, or curation settings changed")
    before = before or ("curate" if walked.verdicts is not None and walked.verdicts.to_do else None)
    if setup.out is None:
        return
    shards = walked.shards.reached if walked.shards is not None else None
    yield _later(setup, "shard", shards, before, "missing, or its rows, captions, labels or verdicts changed")
    if setup.note is None:
        before = before or ("shard" if shards is not None and shards.to_do else None)
        yield _corpus(setup, walked, before)


def _later(setup: Setup, stage: str, reached: Reached | None, waits_for: str | None, otherwise: str) -> StagePlan:
    """A stage after extraction: its plan; that it waits; or that it has nothing to do it on."""
    if waits_for is not None or reached is None:
        return StagePlan(stage, 0, 0, {}, waits_for or "extract")
    return _stage(setup, stage, reached.count, reached.to_do, lambda item: otherwise)


def _stage(setup: Setup, stage: str, count: int, to_do: tuple[Item, ...], why: Callable[[Item], str]) -> StagePlan:
    changes = _all_changes(setup.store, stage, setup.bases[stage], to_do)
    told = Counter(f"stale: {changes[item.dataset]}" if changes[item.dataset] else why(item) for item in to_do)
    return StagePlan(stage, count - len(to_do), len(to_do), dict(told))


def _corpus(setup: Setup, walked: Walked, waits_for: str | None) -> StagePlan:
    if waits_for is not None and waits_for != "shard":
        return StagePlan("corpus", 0, 0, {}, waits_for)
    if waits_for is None and is_current(setup, walked):
        return StagePlan("corpus", 1, 0)
    return StagePlan("corpus", 0, 1, {"card, media table or mmidd.json are written anew": 1})


def _why_crops(setup: Setup, crops: Extracted, item: Item) -> str:
    if setup.digests.last(*item.name) is None:
        return "missing: never extracted"
    if item.inputs is None:
        return "stale: the file changed (or was touched)"
    if item.name in crops.waiting:
        return "stale: its real is to be extracted first"
    return "missing: its last extraction was not committed, or its content, frames or real changed"


def _undescribed(setup: Setup, walked: Walked, crops: Extracted) -> list[int]:
    """How many samples each medium has that is to be described; before extraction every planned frame may become one."""
    if crops.to_do:
        return [frames_of(setup, medium.dataset, medium.kind) for medium in walked.index.selected.values()]
    to_do = walked.captions.to_do if walked.captions is not None else ()
    return [crops.outcomes[item.name].ok for item in to_do]


def _all_changes(store: Store, stage: str, base: dict[str, Any], items: Iterable[Item]) -> dict[str, str | None]:
    """`_changes` of each dataset that has items: all records are read for one."""
    return {dataset: _changes(store, stage, base, dataset) for dataset in {item.dataset for item in items}}


def _changes(store: Store, stage: str, base: dict[str, Any], dataset: str) -> str | None:
    """How the ingredients differ from those of the dataset's newest units, if none was made with these."""
    nearest: list[str] | None = None
    for record in store.records(stage):
        if stage != "shard" and dataset_of(record.unit) != dataset:  # a shard's unit is named by its file
            continue
        differences = list(differing(record.ingredients, base))
        if not differences:
            return None
        if nearest is None or len(differences) < len(nearest):
            nearest = differences
    return "; ".join(nearest[:4]) if nearest else None


def differing(before: Any, after: Any, path: str = "") -> Iterable[str]:
    """The leaves in which two trees of ingredients differ, as `crop.margin 1.3 -> 1.2`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            place = f"{path}.{key}" if path and path != "recipe" else key
            yield from differing(before.get(key), after.get(key), place)
    elif before != after:
        yield f"{path} {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
