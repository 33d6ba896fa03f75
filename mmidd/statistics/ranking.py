"""How well scores rank positives above others: figures without a threshold.

Of any scores that have an order; infinite ones too, so that what has no score can rank last (a fake at -inf, a real at inf).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from mmidd.statistics.values import Floats, classed, number, share


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of their scores, the lowest first. `positive`: the class of each row in that order; `starts`: where
    in it another score begins; `scores`: these, ascending."""

    order: npt.NDArray[np.int64]
    positive: Floats
    starts: npt.NDArray[np.int64]
    scores: Floats

    @classmethod
    def of(cls, scores: npt.ArrayLike, positive: npt.ArrayLike) -> Ranking:
        """Raises ValueError for scores that are no numbers, and for other lengths."""
        given, classes = classed(scores, positive)
        order = np.argsort(given, kind="stable")
        ordered = given[order]
        another = ordered[1:] != ordered[:-1]  # and not their difference, which is no number between infinite ones
        starts = np.flatnonzero(np.concatenate([[True], another])[: len(ordered)])
        return cls(order, classes[order], starts, ordered[starts])

    def counts(self) -> Counts:
        if not len(self.starts):
            return Counts(np.zeros(1), np.zeros(1))  # of one score, of no row
        rows = np.diff(self.starts, append=len(self.order)).astype(np.float64)
        up = np.add.reduceat(self.positive, self.starts)
        return Counts(up, rows - up)

    def auroc(self) -> float | None:
        return number(self.counts().auroc())


@dataclass(frozen=True, eq=False)
class Counts:
    """How many positives (`up`) and how many others (`down`) have each score, the lowest first: (scores,), or (resamples,
    scores). Its figures have the shape () or (resamples,) and are NaN where they are not defined; what each is, the function
    of its name says."""

    up: Floats
    down: Floats

    @cached_property
    def taken(self) -> Floats:
        """The positives at or above each score, the highest first."""
        return np.cumsum(self.up[..., ::-1], axis=-1)

    @cached_property
    def mistaken(self) -> Floats:
        """The others at or above each score, the highest first."""
        return np.cumsum(self.down[..., ::-1], axis=-1)

    @property
    def positives(self) -> Floats:
        return self.taken[..., -1]

    @property
    def others(self) -> Floats:
        return self.mistaken[..., -1]

    def auroc(self) -> Floats:
        up, down = self.up[..., ::-1], self.down[..., ::-1]
        return share(np.einsum("...s,...s->...", down, self.taken - up / 2), self.positives * self.others)

    def average_precision(self) -> Floats:
        called = np.maximum(self.taken + self.mistaken, np.finfo(np.float64).tiny)  # a resample may lack the highest scores
        return share(np.einsum("...s,...s->...", self.up[..., ::-1], self.taken / called), self.positives)

    def equal_error_rate(self) -> Floats:
        ups, downs = self.positives, self.others
        both = self.taken * downs[..., None] + self.mistaken * ups[..., None]
        place = np.minimum((both < (ups * downs)[..., None]).sum(axis=-1), both.shape[-1] - 1)  # at or behind the crossing
        (y0, y1), (x0, x1) = _step(self.taken, place), _step(self.mistaken, place)
        missed, rate = share(ups - y0, ups), share(x0, downs)
        before, behind = missed - rate, share(x1, downs) - share(ups - y1, ups)
        return rate + share(x1 - x0, downs) * share(before, before + behind)

    def tpr_at(self, fpr: float) -> Floats:
        allowed = self._within(fpr)
        return np.where(self.others > 0, share(_step(self.taken, allowed)[0], self.positives), np.nan)

    def partial_auroc(self, up_to: float) -> Floats:
        end = int(np.max(self._within(up_to))) + 1
        up, down = (each[..., ::-1][..., :end] for each in (self.up, self.down))
        limit = (up_to * self.others)[..., None]
        inside = np.clip(limit - (self.mistaken[..., :end] - down), 0, down)
        rise = np.divide(inside, down, out=np.zeros_like(down), where=down > 0) * up
        won = (inside * (self.taken[..., :end] - up + rise / 2)).sum(axis=-1)
        least = up_to * up_to / 2
        return 0.5 * (1 + (share(won, self.positives * self.others) - least) / (up_to - least))

    def _within(self, fpr: float) -> npt.NDArray[np.int64]:
        """How many scores, as thresholds, take at most `fpr` of the others; a share of fpr itself is not rounded over it."""
        return np.asarray((self.mistaken <= (fpr * self.others * (1 + 1e-12))[..., None]).sum(axis=-1), np.int64)


def _step(summed: Floats, place: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """A sum before a place and at it."""
    before, at = (
        np.take_along_axis(summed, np.clip(of, 0, summed.shape[-1] - 1)[..., None], -1)[..., 0] for of in (place - 1, place)
    )
    return np.where(place > 0, before, 0), at


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The area under the ROC curve: how often a positive scores above another, ties counting half (Hanley and McNeil 1982,
    Radiology 143). None of one class."""
    return number(Ranking.of(scores, positive).counts().auroc())


def average_precision(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean of the precision at each score's threshold, weighted by the recall that it adds; no straight lines between
    points (Davis and Goadrich 2006, ICML, section 4). It depends on the share of positives. None without a positive."""
    return number(Ranking.of(scores, positive).counts().average_precision())


def equal_error_rate(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The rate at which as large a share of positives is missed as of others is taken for one, on straight lines between the
    thresholds of the scores. None of one class.

    It is what peers find as the root of 1 - x - tpr(x) on the ROC curve (brentq). Others give the false positive rate at the
    threshold where both shares differ least, which is off, to either side, by up to half a step of the curve along each
    axis; and some the mean of both shares there.
    """
    return number(Ranking.of(scores, positive).counts().equal_error_rate())


def tpr_at(scores: npt.ArrayLike, positive: npt.ArrayLike, fpr: float) -> float | None:
    """The largest true positive rate of any threshold whose false positive rate is at most `fpr` (0..1); nothing between
    thresholds is made up. None of one class, and of fewer than 1/fpr others (`lacking` says so): then not one may be
    mistaken, and the figure is the fate of the highest one. With just 1/fpr it is still biased upwards (0.14 for 0.09), and
    its 95% intervals hold the truth in 75 to 83% of cases; with three times as many they do in 92% and more."""
    ranking = Ranking.of(scores, positive)
    return None if lacking(ranking.positive, fpr) else number(ranking.counts().tpr_at(fpr))


def partial_auroc(scores: npt.ArrayLike, positive: npt.ArrayLike, up_to: float) -> float | None:
    """The area under the ROC curve up to a false positive rate (0 < up_to <= 1), standardised so that chance is 0.5 and the
    best 1 (McClish 1989, Med. Decis. Making 9): as scikit-learn's `roc_auc_score(max_fpr=)`. None of one class, and of fewer
    than 1/up_to others."""
    if not 0 < up_to <= 1:
        raise ValueError(f"up_to is a false positive rate over 0 and at most 1, not {up_to}")
    ranking = Ranking.of(scores, positive)
    return None if lacking(ranking.positive, up_to) else number(ranking.counts().partial_auroc(up_to))


def lacking(positive: npt.ArrayLike, fpr: float | None = None) -> str | None:
    """Why these rows (1: fake, 0: real) have no figure of two classes, or none at a false positive rate; None if they
    have."""
    classes = np.asarray(positive).astype(bool)
    fakes, reals = int(classes.sum()), int((~classes).sum())
    if not fakes or not reals:
        what = f"all {len(classes):,} rows are {'fake' if fakes else 'real'}" if len(classes) else "there are no rows"
        return f"{what}: both classes are needed"
    if fpr is not None and (fpr <= 0 or reals < (least := ceil(1 / fpr - 1e-9))):
        more = f"{reals:,} reals: a false positive rate of {fpr:g} needs {least:,}" if fpr > 0 else ""
        return more or "a rate of 0 needs all reals"
    return None
