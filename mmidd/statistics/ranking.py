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
    """Rows in the order of their scores. `starts`: where, in that order, another score begins; `scores`: these, ascending;
    `positive`: the class of each row in that order."""

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
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
        return cls(order, classes[order], starts, ordered[starts])

    def counts(self, weights: Floats | None = None) -> Counts:
        """Of every row once, or for each row of weights (resamples, n)."""
        if not len(self.starts):
            nothing = np.zeros((*(() if weights is None else weights.shape[:1]), 1))  # of one score, which no row has
            return Counts(nothing, nothing)
        ordered = np.ones(len(self.order)) if weights is None else weights[..., self.order]
        up = ordered * self.positive
        down = ordered - up
        if len(self.starts) < len(self.order):
            up, down = (np.add.reduceat(each, self.starts, axis=-1) for each in (up, down))
        return Counts(up, down)

    def auroc(self) -> float | None:
        return number(self.counts().auroc())


@dataclass(frozen=True, eq=False)
class Counts:
    """How many positives and how many others have each score, ascending: (scores,), or (resamples, scores). Its figures have
    the shape () or (resamples,) and are NaN where they are not defined."""

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

    @cached_property
    def positives(self) -> Floats:
        return np.asarray(self.up.sum(axis=-1), np.float64)

    @cached_property
    def others(self) -> Floats:
        return np.asarray(self.down.sum(axis=-1), np.float64)

    def points(self) -> tuple[Floats, Floats]:
        """The ROC curve: false and true positive rate from (0, 0) to (1, 1)."""
        rates = (share(self.mistaken, self.others[..., None]), share(self.taken, self.positives[..., None]))
        width = [(0, 0)] * (self.up.ndim - 1) + [(1, 0)]
        return np.pad(rates[0], width), np.pad(rates[1], width)

    def auroc(self) -> Floats:
        won = (self.up * (np.cumsum(self.down, axis=-1) - self.down / 2)).sum(axis=-1)
        return share(won, self.positives * self.others)

    def average_precision(self) -> Floats:
        precision = self.taken / np.maximum(self.taken + self.mistaken, np.finfo(np.float64).tiny)
        return share((self.up[..., ::-1] * precision).sum(axis=-1), self.positives)

    def equal_error_rate(self) -> Floats:
        x, y = self.points()
        defined = (self.positives > 0) & (self.others > 0)
        place = np.argmax(x >= 1 - y, axis=-1)  # the first at or behind the crossing; never 0 of two classes
        place = np.maximum(place, 1)[..., None]
        x0, x1, y0, y1 = (np.take_along_axis(of, at, -1)[..., 0] for of in (x, y) for at in (place - 1, place))
        before, behind = 1 - y0 - x0, x1 - (1 - y1)
        return np.where(defined, x0 + (x1 - x0) * share(before, before + behind), np.nan)

    def tpr_at(self, fpr: float) -> Floats:
        x, y = self.points()
        return np.where(self.others > 0, np.where(x <= fpr, y, 0).max(axis=-1), np.nan)

    def partial_auroc(self, up_to: float) -> Floats:
        x, y = self.points()
        wide, end = np.diff(x, axis=-1), np.minimum(x, up_to)
        inside = np.diff(end, axis=-1)
        rise = np.divide(inside, wide, out=np.zeros_like(wide), where=wide > 0) * np.diff(y, axis=-1)
        area = (inside * (y[..., :-1] + rise / 2)).sum(axis=-1)
        least = up_to * up_to / 2
        return np.asarray(0.5 * (1 + (area - least) / (up_to - least)))


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
    threshold where both shares differ least, which is off by up to half a step of the curve (to either side: 0.25 with two
    of each class), and some the mean of both shares there.
    """
    return number(Ranking.of(scores, positive).counts().equal_error_rate())


def tpr_at(scores: npt.ArrayLike, positive: npt.ArrayLike, fpr: float) -> float | None:
    """The largest true positive rate of any threshold whose false positive rate is at most `fpr` (0..1); nothing between
    thresholds is made up. None of one class, and of fewer than 1/fpr others (`lacking` says so): then not one may be
    mistaken, and the figure is the fate of the highest one."""
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
        return "no clips" if not fakes and not reals else "no fakes" if not fakes else "no reals"
    if fpr is not None and (fpr <= 0 or reals < (least := ceil(1 / fpr - 1e-9))):
        return f"{reals} reals: a false positive rate of {fpr:g} needs {least}" if fpr > 0 else "a rate of 0 needs all reals"
    return None
