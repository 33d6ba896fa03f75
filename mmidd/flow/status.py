"""How far the last build on a work folder is, how its media ended, and what failed: told from the work folder alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.corpus.read import Corpus
from mmidd.curation.losses import Losses
from mmidd.engine import tables
from mmidd.engine.store import Store
from mmidd.engine.units import Outcome
from mmidd.errors import CorpusError, WorkError
from mmidd.flow.indexing import ODD
from mmidd.flow.losses import losses
from mmidd.flow.plan import Plan, plan
from mmidd.flow.setup import Setup
from mmidd.flow.steps import pair_levels
from mmidd.flow.traces import Takedown, takedown
from mmidd.flow.walk import Walked
from mmidd.media import Name
from mmidd.results import Result
from mmidd.show import plan as show
from mmidd.stages import extract

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, repr=False)
class Status(Result):
    """How far the last build is, how the media ended that are committed, and what extraction lost of real and fake."""

    plan: Plan
    media: Mapping[str, int]
    reasons: Mapping[str, int]
    losses: Losses
    pairs: str
    corpus: str
    samples: int | None
    takedown: Takedown | None = None

    def tell(self, console: Console) -> None:
        show.status(console, self)

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"complete": self.plan.complete, "losses": self.losses.document()}


def status(setup: Setup, walked: Walked) -> Status:
    """Of the last build, by a look at what it committed."""
    outcomes = walked.crops.outcomes if walked.crops is not None else {}
    out = setup.out or setup.store.root
    return Status(
        plan(setup, walked),
        dict(Counter[str](outcome.status for outcome in outcomes.values())),
        dict(Counter(each.reason or each.error or "" for each in outcomes.values() if each.status != "ok")),
        losses(walked.index.selected, walked.index.labelled, outcomes),
        setup.recipe.crop.pairs,
        str(out),
        _samples(out),
        takedown(setup, walked),
    )


def _samples(out: Path) -> int | None:
    """How many rows a corpus has; None where there is none that can be read."""
    try:
        return len(Corpus(out))
    except CorpusError:
        return None


@dataclass(frozen=True)
class Failure:
    """One thing that failed: which file, in which stage, how."""

    stage: str
    dataset: str
    media: str
    error: str
    message: str
    attempts: int

    @property
    def name(self) -> Name:
        return self.dataset, self.media


@dataclass(frozen=True, repr=False)
class Failures(Result):
    """Everything that failed, by stage, dataset and medium."""

    entries: tuple[Failure, ...]

    @property
    def serious(self) -> bool:
        """Did anything fail, files in no rule aside?"""
        return any(failure.error != "Unmatched" for failure in self.entries)

    def tell(self, console: Console) -> None:
        show.failures(console, self)

    def document(self) -> list[dict[str, Any]]:
        return [asdict(failure) for failure in self.entries]


def failures(setup: Setup, walked: Walked) -> Failures:
    """Everything that failed in the last build, and every file that no rule covers."""
    found = [
        Failure("index", row["dataset"], row["media"], row["status"].capitalize(), row["reason"] or "", 1)
        for row in walked.index.of_status(*ODD)
    ]
    found += [_failure(stage, outcome) for stage, outcome in _outcomes(setup.store, walked) if _failed(outcome)]
    return Failures(tuple(sorted(found, key=lambda failure: (failure.stage, failure.dataset, failure.media))))


def _outcomes(store: Store, walked: Walked) -> Iterator[tuple[str, Outcome]]:
    yield from (("extract", outcome) for outcome in (walked.crops.outcomes.values() if walked.crops is not None else ()))
    for record in walked.captions.records.values() if walked.captions is not None else ():
        yield from (("caption", outcome) for outcome in tables.read_outcomes(store, record))


def _failed(outcome: Outcome) -> bool:
    return outcome.status == "failed" or bool(outcome.failed)


def _failure(stage: str, outcome: Outcome) -> Failure:
    kinds = sorted({reason for _, status, reason in outcome.reasons if status == "failed"})
    lost = f"{outcome.failed} of {outcome.planned} frames: {', '.join(kinds)}"
    return Failure(
        stage, outcome.dataset, outcome.media, outcome.error or "LostFrames", outcome.message or lost, outcome.attempts
    )


@dataclass(frozen=True, repr=False)
class Retried(Result):
    """What a retry came to: the media that had failed, and what fails now."""

    before: Failures
    after: Failures

    @property
    def tried(self) -> frozenset[tuple[str, Name]]:
        """The media that were done again; frames that are lost stay lost."""
        return frozenset((each.stage, each.name) for each in self.before.entries if each.error != "LostFrames")

    @property
    def again(self) -> frozenset[tuple[str, Name]]:
        """Those of them that failed once more."""
        return self.tried & {(each.stage, each.name) for each in self.after.entries}

    def tell(self, console: Console) -> None:
        show.retried(console, self)

    def document(self) -> list[dict[str, Any]]:
        return self.after.document()


def check_retry(setup: Setup, walked: Walked) -> Failures:
    """What a retry will do again. Raises WorkError if a build would do anything beside: a retry does nothing else."""
    found = Failures(tuple(each for each in failures(setup, walked).entries if each.stage != "index"))
    failed = {each.name for each in found.entries} | _failed_once(setup.store)
    pairs = pair_levels(setup.recipe, walked.index.selected)
    waiting = walked.crops.to_do if walked.crops is not None else ()
    others = {"extract": sum(item.name not in failed and pairs.get(item.name) not in failed for item in waiting)}
    if not waiting and walked.captions is not None:
        others["caption"] = len(walked.captions.to_do)
    told = ", ".join(f"{count} media to {stage}" for stage, count in others.items() if count)
    if told:
        raise WorkError(f"the work folder is not up to date ({told}): run the build first; --retry does failed media only")
    return found


def _failed_once(store: Store) -> set[Name]:
    """The media that some extraction failed on, whatever their files are now: mended ones are not in today's failures."""
    records = store.records(extract.STAGE.name)
    outcomes = (outcome for record in records for outcome in tables.read_outcomes(store, record))
    return {(outcome.dataset, outcome.media) for outcome in outcomes if outcome.status == "failed"}
