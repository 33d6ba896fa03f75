"""The operating point: a threshold and a temperature that validation chose, with the error rates measured there. Test never
chooses anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.items import Bools, Floats, Items
from mmidd.evaluation.resampled import figure, resamples_for
from mmidd.scores.file import ScoreFile
from mmidd.statistics import Draws, auroc, temperature

RULES = {
    "eer": "where as large a share of validation fakes is missed as of validation reals is taken for fake",
    "fpr": "the lowest at which this share of validation reals is taken for fake at most",
    "balanced": "where the balanced accuracy on validation is highest",
}


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen: `eer`, `fpr=0.05`, `balanced`."""

    name: str
    share: float | None = None

    @classmethod
    def parse(cls, text: str | Rule) -> Rule:
        """Raises UsageError."""
        if isinstance(text, Rule):
            return text
        name, equals, given = text.partition("=")
        try:
            share = float(given) if equals else None
        except ValueError:
            share = -1.0
        if name not in RULES or (name == "fpr") != bool(equals) or (share is not None and not 0 <= share < 1):
            raise UsageError(f"--rule {text}: there are eer, balanced and fpr=SHARE (0 up to 1), such as fpr=0.05")
        return cls(name, share)

    def __str__(self) -> str:
        return self.name if self.share is None else f"{self.name}={self.share:g}"


@dataclass(frozen=True)
class Operating:
    """A clip is called fake where its score is `threshold` or more. `temperature`: logits are divided by it; None where
    validation fits none. The rates are those of the clips of `split` that have a score; `missing` counts those without, by
    label. `model`: whose scores they are."""

    rule: str
    threshold: float
    temperature: float | None
    false_positive_rate: Figure
    true_positive_rate: Figure
    auroc: Figure
    clips: Mapping[str, int]
    missing: Mapping[str, int]
    groups: int
    split: str
    model: Mapping[str, Any]
    corpus: Mapping[str, Any]

    def fake(self, score: float) -> bool:
        """The verdict on a clip's score."""
        return score >= self.threshold

    def __str__(self) -> str:
        clips = " and ".join(f"{count:,} {label}" for label, count in self.clips.items())
        return (
            f"fake from {self.threshold:.4g} on (rule {self.rule}): on {clips} {self.split} clips of "
            f"{counted(self.groups, 'group')} it takes {self.false_positive_rate} of the reals for fake and finds "
            f"{self.true_positive_rate} of the fakes"
        )

    def document(self) -> dict[str, Any]:
        """JSON."""
        figures = {name: getattr(self, name).document() for name in ("false_positive_rate", "true_positive_rate", "auroc")}
        return {
            **vars(self), **figures, "means": RULES[self.rule.partition("=")[0]],
            **{name: dict(getattr(self, name)) for name in ("clips", "missing", "model", "corpus")},
        }  # fmt: skip


def operating(validation: ScoreFile, rule: str | Rule = "eer", *, seed: int = 0, resamples: int = 1000) -> Operating:
    """What the validation clips of a file choose: those of its split `validation`, else what a run held out of train.

    Raises ScoreError where there are none of these, or not both classes with a score; UsageError for a rule that is none.
    """
    chosen = Rule.parse(rule)
    split, items = validation_clips(validation)
    has = items.has
    kept = items.where(has)
    labels = {"real": ~items.fake, "fake": items.fake}
    clips = {label: int((mask & has).sum()) for label, mask in labels.items()}
    if not all(clips.values()):
        lacks = " or ".join(label for label, count in clips.items() if not count)
        raise ScoreError(
            f"the {split} clips of {name_of(validation)} have no {lacks} one with a score: no threshold can be chosen"
        )
    at = threshold(kept.score, kept.fake, chosen)
    draws = Draws.of(kept.group, seed=seed, resamples=resamples_for(len(kept), resamples))
    return Operating(
        rule=str(chosen),
        threshold=at,
        temperature=temperature(kept.score, kept.fake),
        false_positive_rate=rate(kept, ~kept.fake, at, seed, resamples),
        true_positive_rate=rate(kept, kept.fake, at, seed, resamples),
        auroc=figure(draws, auroc(kept.score, kept.fake) or 0.0, draws.auroc(kept.score, kept.fake), fake=kept.fake),
        clips=clips,
        missing={label: int((mask & ~has).sum()) for label, mask in labels.items()},
        groups=kept.groups,
        split=split,
        model=dict(validation.about.model),
        corpus=dict(validation.about.corpus),
    )


def validation_clips(file: ScoreFile) -> tuple[str, Items]:
    """The split that may choose a threshold, and its clips: validation, or what a run held out of train to validate on.
    Raises ScoreError where there are none."""
    for split in ("validation", *(("train",) if "restricted" in file.about.corpus else ())):
        table = file.level("clip", split)
        if len(table):
            return split, Items.of(table)
    raise ScoreError(
        f"{name_of(file)} has no clips of validation: a threshold is never chosen on test, nor on what was trained on; "
        "mmidd score ... --split validation writes some"
    )


def name_of(file: ScoreFile) -> str:
    """Whose scores they are, and of what."""
    model, corpus = file.about.model.get("name", "?"), file.about.corpus.get("name", "?")
    return f"the scores of {model} on {corpus}"


def threshold(score: Floats, fake: Bools, rule: Rule) -> float:
    """Of the thresholds half-way between neighbouring scores (and below and above them all) the one that `rule` chooses; of
    several equal ones that with the highest balanced accuracy, of these the lowest."""
    values = np.unique(score)
    at = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, [np.nextafter(values[-1], 2.0)]])
    missed = np.searchsorted(np.sort(score[fake]), at, side="left") / max(1, fake.sum())
    taken = 1 - np.searchsorted(np.sort(score[~fake]), at, side="left") / max(1, (~fake).sum())
    wrong = (missed + taken) / 2
    if rule.name == "fpr":
        return float(at[np.argmax(taken <= (rule.share or 0.0) + 1e-12)])
    first = np.abs(missed - taken) if rule.name == "eer" else wrong
    return float(at[np.lexsort((at, wrong.round(12), first.round(12)))[0]])


def rate(items: Items, of: Bools, at: float, seed: int, resamples: int) -> Figure:
    """The share of these rows that are called fake."""
    mine = items.where(of)
    draws = Draws.of(mine.group, seed=seed, resamples=resamples_for(len(mine), resamples))
    called = (mine.score >= at).astype(np.int64)
    sums = draws.sums(called, 2)
    return figure(draws, float(called.mean()), sums[:, 1] / sums.sum(1), rate=True)
