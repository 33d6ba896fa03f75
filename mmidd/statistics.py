"""Exact tests on counts, an interval for a share, and how well scores rank. Pure arithmetic: what is counted is the caller's
affair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Z = 1.959964
"""Of the Wilson interval: 95%."""
LEAST_GROUPS = 5
"""Under so many groups resampling them says nothing."""
_CELLS = 1 << 22
"""Weights of resamples that are held at once."""


def wilson(lost: int, total: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a share; (0, 1) of nothing."""
    if not total:
        return 0.0, 1.0
    share, weight = lost / total, Z * Z / total
    centre = (share + weight / 2) / (1 + weight)
    half = Z * sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def holm(p: Sequence[float]) -> list[float]:
    """Each p after Holm's correction over all of them."""
    adjusted = [1.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def fisher(lost_a: int, a: int, lost_b: int, b: int) -> float:
    """Fisher's exact two-sided p that `lost_a` of a and `lost_b` of b have one rate."""
    lost = lost_a + lost_b
    least, most = max(0, lost - b), min(lost, a)
    k = np.arange(least, most, dtype=np.float64)
    return _two_sided(_from_ratios((a - k) * (lost - k) / ((k + 1) * (b - lost + k + 1))), lost_a - least)


def matched(families: Iterable[Sequence[bool]]) -> float:
    """Exact two-sided p that in a family (the real first, then its fakes) each member is equally likely the lost one.

    Given that t of a family's n are lost, the real is among them with probability t/n, however its members depend on
    each other: over families that is a sum of binomials. With one fake each it is McNemar's exact test.
    """
    split = [(sum(family), len(family), family[0]) for family in families if 0 < sum(family) < len(family)]
    distribution: Floats = np.ones(1)
    for (lost, size), count in sorted(Counter((lost, size) for lost, size, _ in split).items()):
        k = np.arange(count, dtype=np.float64)
        distribution = np.convolve(distribution, _from_ratios((count - k) / (k + 1) * (lost / (size - lost))))
    return _two_sided(distribution, sum(real for _, _, real in split))


def _from_ratios(ratios: Floats) -> Floats:
    """A distribution from the ratios of each of its probabilities to the one before."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), np.float64)


def _two_sided(distribution: Floats, place: int) -> float:
    """The probability of all that is no likelier than what was seen."""
    return min(1.0, float(distribution[distribution <= distribution[place] * (1 + 1e-7)].sum()))


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The area under the ROC curve: how often a positive scores above another, ties counting half. None of one class."""
    return Ranking.of(scores, positive).auroc()


def average_precision(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean of the precision at each score's threshold, weighted by the recall that it adds. None without a positive."""
    ranking = Ranking.of(scores, positive)
    up, down = (np.cumsum(each[::-1]) for each in (ranking.up, ranking.down))
    if not len(up) or not up[-1]:
        return None
    return float((np.diff(up, prepend=0) * up / (up + down)).sum() / up[-1])


def equal_error_rate(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The rate at which as large a share of positives is missed as of others is taken for one, on straight lines between the
    thresholds of the scores. None of one class."""
    ranking = Ranking.of(scores, positive)
    missed = np.concatenate([[0.0], np.cumsum(ranking.up)])
    taken = np.concatenate([[0.0], np.cumsum(ranking.down)])[-1] - np.concatenate([[0.0], np.cumsum(ranking.down)])
    if not missed[-1] or not taken[0]:
        return None
    missed, taken = missed / missed[-1], taken / taken[0]
    place = int(np.argmax(missed >= taken))  # the first at or behind the crossing; it is at 0 for no threshold
    before, behind = taken[place - 1] - missed[place - 1], missed[place] - taken[place]
    return float(missed[place - 1] + (missed[place] - missed[place - 1]) * before / (before + behind))


def auroc_interval(
    scores: npt.ArrayLike, positive: npt.ArrayLike, groups: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> tuple[float, float] | None:
    """The 95% interval of `auroc` by the percentile bootstrap over groups (n codes or names), for their rows depend on each
    other.

    None where it would say nothing: under LEAST_GROUPS groups, or where more than one resample in twenty has one class.
    """
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1
    if count < LEAST_GROUPS:
        return None
    ranking, chance = Ranking.of(scores, positive), np.random.default_rng(seed)
    together = max(1, _CELLS // len(codes))
    found: list[Floats] = []
    for start in range(0, resamples, together):
        several = min(together, resamples - start)
        drawn = chance.integers(count, size=(several, count)) + np.arange(several)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=several * count).reshape(several, count)
        found.append(ranking.weighted(times[:, codes].astype(np.float64)))
    areas = np.concatenate(found)
    areas = areas[~np.isnan(areas)]
    if len(areas) < 0.95 * resamples:
        return None
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of their scores. `starts`: where, in that order, another score begins; `up` and `down`: how many
    positives and how many others have each score."""

    order: npt.NDArray[np.int64]
    positive: Floats
    starts: npt.NDArray[np.int64]
    up: Floats
    down: Floats

    @classmethod
    def of(cls, scores: npt.ArrayLike, positive: npt.ArrayLike) -> Ranking:
        """Raises ValueError for scores that are no numbers, and for other lengths."""
        given, classes = np.asarray(scores, np.float64).ravel(), np.asarray(positive).ravel().astype(np.float64)
        if len(given) != len(classes) or np.isnan(given).any():
            raise ValueError(f"{len(given)} scores of {len(classes)} rows, {int(np.isnan(given).sum())} of them no number")
        order = np.argsort(given, kind="stable")
        starts = np.flatnonzero(np.diff(given[order], prepend=np.nan) != 0)
        ordered = classes[order]
        if not len(starts):
            return cls(order, ordered, starts, np.zeros(0), np.zeros(0))
        return cls(order, ordered, starts, np.add.reduceat(ordered, starts), np.add.reduceat(1 - ordered, starts))

    def auroc(self) -> float | None:
        up, down = self.up.sum(), self.down.sum()
        if not up or not down:
            return None
        return float((self.up * (np.cumsum(self.down) - self.down / 2)).sum() / up / down)

    def weighted(self, weights: Floats) -> Floats:
        """The area for each row of weights (resamples, n), NaN where one class has none."""
        ordered = weights[:, self.order]
        ups = np.add.reduceat(ordered * self.positive, self.starts, axis=1)
        downs = np.add.reduceat(ordered, self.starts, axis=1) - ups
        won = (ups * (np.cumsum(downs, axis=1) - downs / 2)).sum(axis=1)
        both = ups.sum(axis=1) * downs.sum(axis=1)
        return np.where(both > 0, won / np.where(both > 0, both, 1), np.nan)
