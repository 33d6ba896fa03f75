"""Intervals and tests by drawing whole groups again, for the rows of a group depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.ranking import Ranking
from mmidd.statistics.values import Figure, Floats

LEAST_GROUPS = 5
"""Under so many groups, or groups that hold one of the classes, resampling them says nothing."""
_CELLS = 1 << 18
"""Weights of resamples that are held at once."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Of two figures on the same rows: `difference` is the first less the second, with the 95% interval over groups and the
    two-sided p that it is 0, never under 2 / (resamples + 1): after Holm over many comparisons a p can only be small with
    enough resamples."""

    difference: float
    interval: Interval
    p: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """`resamples` draws of as many groups as there are, with replacement: the same for the same seed, so that two figures of
    one object are paired. `codes` (n,): the group of each row. `fewest`: how many groups hold the class that fewer hold.

    Groups that hold reals alone, fakes alone or both are drawn from one urn, so that the shares of the classes vary as well.
    Drawing each kind by itself keeps them, but its intervals are the narrower ones where they are too narrow already: with 5
    groups of reals, 95% intervals of an AUROC hold the truth in 84% of cases, and these in 87%; of 20 groups, 93% both.
    """

    codes: npt.NDArray[np.int64]
    groups: int
    fewest: int
    seed: int
    resamples: int

    @classmethod
    def of(
        cls, groups: npt.ArrayLike, positive: npt.ArrayLike | None = None, *, seed: int = 0, resamples: int = 1000
    ) -> Resamples:
        """Of n rows, by the code or name of each one's group, and their classes if the figures need both."""
        codes = np.unique(np.asarray(groups).ravel(), return_inverse=True)[1].ravel().astype(np.int64)
        count = fewest = int(codes.max(initial=-1)) + 1
        if positive is not None:
            classes = np.asarray(positive).ravel().astype(bool)
            if len(classes) != len(codes):
                raise ValueError(f"{len(codes)} groups of {len(classes)} rows")
            fewest = min(len(np.unique(codes[each])) for each in (classes, ~classes))
        return cls(codes, count, fewest, seed, resamples)

    def weights(self) -> Iterator[Floats]:
        """(some resamples, n), until all were given: how often each row counts."""
        chance = np.random.default_rng(self.seed)
        together = max(1, _CELLS // max(1, len(self.codes)))
        for start in range(0, self.resamples, together):
            several = min(together, self.resamples - start)
            drawn = chance.integers(self.groups, size=(several, self.groups)) + np.arange(several)[:, None] * self.groups
            times = np.bincount(drawn.ravel(), minlength=several * self.groups).reshape(several, self.groups)
            yield np.take(times.astype(np.float64), self.codes, axis=1)

    def values(self, figure: Figure) -> Floats:
        """The figure in each resample: (resamples,), or (resamples, figures) of one that gives several. NaN where a resample
        has none, as without one class."""
        return np.concatenate([figure(weights) for weights in self.weights()])

    def interval(self, figure: Figure) -> Interval | None:
        """95%, by percentiles. None where it would say nothing: under LEAST_GROUPS groups (of either class), or where more
        than one resample in twenty has no figure."""
        return None if self.fewest < LEAST_GROUPS else _interval(self.values(figure), self.resamples)

    def intervals(self, figure: Figure) -> tuple[Interval | None, ...]:
        """Of a figure that gives several: each one's, for the price of one."""
        if self.fewest < LEAST_GROUPS:
            return (None,) * int(figure(np.ones((1, len(self.codes)))).shape[1])
        return tuple(_interval(each, self.resamples) for each in self.values(figure).T)

    def difference(self, first: Figure, second: Figure) -> Difference | None:
        """Are two figures of the same rows one? None where an interval would say nothing."""
        if self.fewest < LEAST_GROUPS:
            return None
        once = np.ones((1, len(self.codes)))
        found = self.values(lambda weights: first(weights) - second(weights))
        interval, difference = _interval(found, self.resamples), float((first(once) - second(once))[0])
        if interval is None or np.isnan(difference):
            return None
        found = found[~np.isnan(found)]
        beyond = min(int((found <= 0).sum()), int((found >= 0).sum()))
        return Difference(difference, interval, min(1.0, 2 * (beyond + 1) / (len(found) + 1)))


def auroc_interval(
    scores: npt.ArrayLike, positive: npt.ArrayLike, groups: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> Interval | None:
    """The 95% interval of `auroc` by the percentile bootstrap over groups (n codes or names), for their rows depend on each
    other. None where it would say nothing (`Resamples.interval`)."""
    ranking = Ranking.of(scores, positive)
    return Resamples.of(groups, positive, seed=seed, resamples=resamples).interval(
        lambda weights: ranking.counts(weights).auroc()
    )


def _interval(found: Floats, resamples: int) -> Interval | None:
    found = found[~np.isnan(found)]
    if len(found) < 0.95 * resamples:
        return None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
