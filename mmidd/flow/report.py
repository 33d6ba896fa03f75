"""What commands that do work have to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow.compute as pc

from mmidd.engine import tables
from mmidd.engine.units import Outcome
from mmidd.errors import ChangedMedia
from mmidd.flow.captioning import Usage, usage
from mmidd.flow.finish import Built, finish
from mmidd.flow.indexing import Indexed
from mmidd.flow.setup import Setup
from mmidd.flow.takedowns import last_sha256, named
from mmidd.flow.traces import Takedown, takedown
from mmidd.flow.turns import Turned, turned
from mmidd.flow.walk import Walked
from mmidd.media import MASKS, CurateFacts, Name, SampleFacts
from mmidd.results import Result
from mmidd.show import build as show
from mmidd.takedown import idle_lines

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, repr=False)
class Report(Result):
    """The end of a build: what there is now, what was lost, and what is to be known of the raw data.

    `pairs` is the recipe's policy for the geometry of pairs, `idle_takedowns` the takedown lines that hit nothing,
    `unsteady` the media that changed while they were read, `two_methods` equal samples under two methods (`CurateFacts`),
    `short` the media whose file ends before its header says that it does, and that has no index to tell frames by,
    `masks` the frames of media with a mask whose mask was taken, and those that have none, by why, `turned` the media whose
    rules speak of turning.
    """

    indexed: Indexed
    built: Built
    captions: Usage | None
    work: str
    pairs: str
    idle_takedowns: tuple[str, ...]
    takedown: Takedown | None = None
    unsteady: tuple[Name, ...] = ()
    two_methods: tuple[Sequence[Any], ...] = ()
    short: tuple[Name, ...] = ()
    masks: Mapping[str, int] = field(default_factory=dict)
    turned: tuple[Turned, ...] = ()

    @property
    def failed(self) -> bool:
        """Did a medium, a frame or a caption fail?"""
        built = self.built
        return bool(built.media.get("failed") or built.frames["failed"] or (self.captions and self.captions.null))

    @property
    def types(self) -> dict[str, int]:
        """Samples by forgery type, family of attacks, or "unknown"."""
        found = Counter[str]()
        for (_, kind, _), count in self.built.counts.items():
            found[kind] += count
        return dict(found)

    def tell(self, console: Console) -> None:
        show.built(console, self)

    def document(self) -> dict[str, Any]:
        built = self.built
        counted = [
            {"dataset": dataset, "type": kind, "split": split, "samples": count}
            for (dataset, kind, split), count in sorted(built.counts.items())
        ]
        return {
            "corpus": str(built.out),
            "work": self.work,
            "changed": built.changed,
            "samples": built.samples,
            "counts": counted,
            "media": {end: built.media.get(end, 0) for end in ("ok", "dropped", "failed")},
            "frames": dict(built.frames),
            "drops": dict(built.drops),
            "captions": asdict(self.captions) if self.captions is not None else None,
            "losses": built.losses.summary(),
            "absent": list(self.indexed.absent),
            "lists": {name: [asdict(each) for each in lists] for name, lists in self.indexed.lists.items()},
            "unlabelled": len(self.indexed.of_status("unlabelled")),
            "idle_takedowns": list(self.idle_takedowns),
            "takedown": asdict(self.takedown) if self.takedown is not None else None,
            "unsteady": [list(name) for name in self.unsteady],
            "two_methods": [list(each) for each in self.two_methods],
            "short_files": [list(name) for name in self.short],
            "masks": dict(self.masks),
            "turned": [asdict(each) for each in self.turned],
        }


def report(setup: Setup, walked: Walked) -> Report:
    """End a build whose walk came to the shards, and tell of it."""
    built = finish(setup, walked)
    records = walked.captions.records.values() if walked.captions is not None else ()
    took = usage(setup.store, records)
    idle = tuple(idle_lines(named(setup, walked.index.media), last_sha256(setup), setup.excluded))
    policy = setup.recipe.crop.pairs
    outcomes = walked.crops.outcomes if walked.crops is not None else {}
    unsteady = tuple(sorted(name for name, each in outcomes.items() if each.error == ChangedMedia.__name__))
    root = str(setup.store.root)
    judged = walked.verdicts.records.values() if walked.verdicts is not None else ()
    facts = [cast(CurateFacts, each.facts) for record in judged for each in tables.read_outcomes(setup.store, record)]
    twice = tuple(pair for each in facts for pair in each.get("two_methods", ()))
    short = tuple(sorted(n for n, each in outcomes.items() if cast(SampleFacts, each.facts).get("missing_bytes")))
    masks = _masks(cast(SampleFacts, each.facts) for each in outcomes.values())
    taken = takedown(setup, walked)
    lying = turned(walked.index.selected, outcomes)
    return Report(walked.index, built, took, root, policy, idle, taken, unsteady, twice, short, masks, lying)


def _masks(facts: Iterable[SampleFacts]) -> dict[str, int]:
    """The frames of media with a mask, by what came of it."""
    found = Counter[str]()
    for each in facts:
        found.update({name.removeprefix("mask_"): count for name in MASKS if isinstance(count := each.get(name), int)})
    return dict(found)


@dataclass(frozen=True, repr=False)
class Outcomes(Result):
    """How the media of a stage ended; `following` is the command that comes next."""

    stage: str
    found: tuple[Outcome, ...]
    following: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Media by how they ended."""
        counted = Counter[str](outcome.status for outcome in self.found)
        return {status: counted[status] for status in ("ok", "dropped", "failed")}

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.found if outcome.status == "failed")

    def tell(self, console: Console) -> None:
        show.outcomes(console, self)

    def document(self) -> dict[str, Any]:
        told = [
            {"dataset": each.dataset, "media": each.media, "error": each.error, "message": each.message}
            for each in self.failed
        ]
        return {"stage": self.stage, **self.counts, "failures": told}


def of_captions(setup: Setup, walked: Walked) -> Outcomes:
    """How the media ended in captioning."""
    records = walked.captions.records.values() if walked.captions is not None else ()
    found = tuple(each for record in records for each in tables.read_outcomes(setup.store, record))
    return Outcomes("caption", found, setup.options.command("curate"))


@dataclass(frozen=True, repr=False)
class Curated(Result):
    """The verdicts on samples, counted: kept ones by split, others by the reason that they are dropped for.
    `following` is the command that comes next."""

    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    following: str = ""

    def tell(self, console: Console) -> None:
        show.curated(console, self)

    def document(self) -> dict[str, Any]:
        return {"kept": dict(self.kept), "dropped": dict(self.dropped)}


def curated(setup: Setup, walked: Walked) -> Curated:
    """Of a walk that came to curation."""
    if walked.verdicts is None:
        raise ValueError("the walk did not come to curation")
    (record,) = walked.verdicts.records.values()
    judged = tables.read_rows(setup.store, record, ["frame", "drop", "split"])
    samples = judged.filter(pc.is_valid(judged["frame"]))
    kept = samples.filter(pc.is_null(samples["drop"]))
    counted = Counter[str](kept["split"].to_pylist()), Counter[str](samples["drop"].drop_null().to_pylist())
    return Curated(*counted, setup.options.command("shard"))
