"""How sure an AUROC is, and the difference of two on the same rows, without resampling."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
import numpy.typing as npt

from mmidd.statistics.counts import Z
from mmidd.statistics.ranking import Ranking
from mmidd.statistics.values import Floats

_ROUNDED = 1e-12
"""What is nearer to 0 is 0, but for rounding."""


@dataclass(frozen=True)
class Delong:
    """Two AUROCs of the same rows: `difference` is the first less the second, `error` its standard error, `z` their
    quotient, `p` two-sided, that the difference is 0. z and p are None where the error is 0 though the areas differ (each
    ranks its rows perfectly right or wrong): the method cannot say."""

    areas: tuple[float, float]
    difference: float
    error: float
    z: float | None
    p: float | None

    def interval(self) -> tuple[float, float]:
        """95%, of the difference."""
        return self.difference - Z * self.error, self.difference + Z * self.error


def delong(a: npt.ArrayLike, b: npt.ArrayLike, positive: npt.ArrayLike) -> Delong | None:
    """Are two AUROCs on the same rows one? (DeLong et al. 1988, Biometrics 44; the placements in O(n log n), Sun and Xu
    2014, IEEE SPL 21.) Right only where rows are independent: one clip of each group. Frames of a clip, clips of a person, a
    fake and its real are not: use `delong_clustered`. None with fewer than two of a class."""
    return delong_clustered(a, b, positive, np.arange(np.size(positive)))


def delong_clustered(a: npt.ArrayLike, b: npt.ArrayLike, positive: npt.ArrayLike, groups: npt.ArrayLike) -> Delong | None:
    """As `delong`, where the rows of a group (n codes or names) depend on each other and groups do not (Obuchowski 1997,
    Biometrics 53). With one row a group it is `delong`. Few groups (under some 20 of either class) make it too sure. None
    with fewer than two groups that hold a positive, or another."""
    first, second = Placements.of(a, positive), Placements.of(b, positive)
    variance = first.less(second).variance(groups)
    if variance is None:
        return None
    difference, error = first.area - second.area, sqrt(variance) if variance > _ROUNDED**2 else 0.0
    z = difference / error if error else 0.0 if abs(difference) < _ROUNDED else None
    return Delong((first.area, second.area), difference, error, z, None if z is None else erfc(abs(z) / sqrt(2)))


def auroc_error(scores: npt.ArrayLike, positive: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> float | None:
    """The standard error of an AUROC: of independent rows (DeLong), or of groups (Obuchowski). None where it has none."""
    variance = Placements.of(scores, positive).variance(np.arange(np.size(positive)) if groups is None else groups)
    return None if variance is None else sqrt(variance)


@dataclass(frozen=True, eq=False)
class Placements:
    """`values` (n,): for a positive the share of others below it, for another the share of positives above it, ties counting
    half; either's mean is the area. `positive` (n,): bool."""

    values: Floats
    positive: npt.NDArray[np.bool_]
    area: float

    @classmethod
    def of(cls, scores: npt.ArrayLike, positive: npt.ArrayLike) -> Placements:
        ranking = Ranking.of(scores, positive)
        counts = ranking.counts()
        below = np.cumsum(counts.down) - counts.down / 2
        above = counts.taken[::-1] - counts.up / 2
        place = np.repeat(np.arange(len(ranking.starts)), np.diff(ranking.starts, append=len(ranking.order)))
        up = ranking.positive == 1
        values, classes = np.empty(len(up)), np.empty(len(up), np.bool_)
        values[ranking.order] = np.where(
            up, below[place] / max(float(counts.others), 1), above[place] / max(float(counts.positives), 1)
        )
        classes[ranking.order] = up
        return cls(values, classes, float(values[classes].mean()) if up.any() else 0.0)

    def less(self, other: Placements) -> Placements:
        """Of the difference of the areas."""
        return Placements(self.values - other.values, self.positive, self.area - other.area)

    def variance(self, groups: npt.ArrayLike) -> float | None:
        """Of the area, or the difference."""
        codes = np.unique(np.asarray(groups).ravel(), return_inverse=True)[1].ravel()
        if len(codes) != len(self.values):
            raise ValueError(f"{len(codes)} groups of {len(self.values)} rows")
        of = (self.positive, ~self.positive)
        held = [len(np.unique(codes[each])) for each in of]
        if min(held) < 2:
            return None
        sums = [np.bincount(codes[each], self.values[each] - self.area, codes.max() + 1) / each.sum() for each in of]
        alone = sum(count / (count - 1) * float(total @ total) for count, total in zip(held, sums, strict=True))
        together = len(sums[0]) / (len(sums[0]) - 1) * float(sums[0] @ sums[1])
        return max(0.0, alone + 2 * together)
