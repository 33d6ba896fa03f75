"""Intervals and tests by drawing whole groups again, for the rows of a group depend on each other.

All that is measured here is a function of sums over rows, and the sums of a resample are those of its groups: rows are
summed by group once, and then weighted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.ranking import Counts
from mmidd.statistics.values import Floats

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]
Measure = Callable[[Counts], Floats]

LEAST_GROUPS = 5
"""Under so many groups, or groups that hold one of the classes, resampling them says nothing."""
EXACT = 1024
"""Up to so many distinct scores are kept apart in resamples; more are put into bins of about equal numbers of each class."""
_BINS = 256
"""Bins by the scores of each class."""
_DENSE = 64
_TOGETHER = 128
_CELLS = 1 << 24
"""Times of groups that are held as floats at once."""
_FEWEST = 0.95
"""Of the resamples so many must have the figure."""


@dataclass(frozen=True, eq=False)
class Draws:
    """`group` (n): codes from 0 without gaps. `times` (resamples, groups): how often each group was drawn, with replacement,
    as many as there are; no resamples where there are under LEAST_GROUPS. The same for the same groups and seed, so that two
    figures of one object are paired.

    Groups that hold reals alone, fakes alone or both are drawn from one urn, so that the shares of the classes vary as well.
    Drawing each kind by itself keeps them, but its intervals are the narrower ones where they are too narrow already: with 5
    groups of reals, 95% intervals of an AUROC hold the truth in 84% of cases, and these in 87%; of 20 groups, 93% both.
    """

    group: Ints
    times: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, groups: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Draws:
        """Of n rows, by the code or name of each one's group."""
        codes = np.unique(np.asarray(groups).ravel(), return_inverse=True)[1].ravel().astype(np.int64)
        count, chance = int(codes.max(initial=-1)) + 1, np.random.default_rng(seed)
        if count < LEAST_GROUPS:
            return cls(codes, np.zeros((0, count), np.uint8))
        times = np.empty((resamples, count), np.uint8)
        for row in times:
            row[:] = np.bincount(chance.integers(count, size=count), minlength=count)
        return cls(codes, times)

    @property
    def groups(self) -> int:
        return int(self.times.shape[1])

    @property
    def few(self) -> bool:
        """Too few groups to say anything."""
        return not len(self.times)

    def held(self, rows: Bools) -> int:
        """How many groups hold one of these rows."""
        return len(np.unique(self.group[rows]))

    def sums(self, key: Ints, size: int, weight: Floats | None = None, rows: Bools | None = None) -> Floats:
        """(resamples, size): how many rows (or what sum of `weight`) have each key, in every resample."""
        group = self.group if rows is None else self.group[rows]
        if rows is not None:
            key, weight = key[rows], None if weight is None else weight[rows]
        both, place = np.unique(group * size + key, return_inverse=True)
        held = np.bincount(place, weights=weight, minlength=len(both)).astype(np.float64)
        owner, slot = both // size, both % size
        found = np.empty((len(self.times), size))
        if size <= _DENSE:
            drawn = self.times
            if weight is None and 2 * len(some := np.unique(owner)) < self.groups:  # the others add nothing: exact
                drawn, owner = self.times[:, some], np.searchsorted(some, owner)
            matrix = np.zeros((drawn.shape[1], size))
            matrix[owner, slot] = held
            together = max(1, _CELLS // max(1, drawn.shape[1]))
            for at in range(0, len(found), together):
                found[at : at + together] = drawn[at : at + together].astype(np.float64) @ matrix
        else:
            for into, times in zip(found, self.times, strict=True):
                into[:] = np.bincount(slot, weights=times[owner] * held, minlength=size)
        return found

    def ranked(self, score: Floats, fake: Bools, measures: Mapping[str, Measure]) -> dict[str, Floats]:
        """Each measure of how fakes and reals are spread over rising scores, in every resample (NaN where it lacks a class);
        nothing of few groups."""
        if self.few:
            return {}
        place, size = bins(score, fake)
        up, down = self.sums(place, size, rows=fake), self.sums(place, size, rows=~fake)
        parts: dict[str, list[Floats]] = {name: [] for name in measures}
        for at in range(0, len(up), _TOGETHER):  # so many lie in the processor's cache: all at once took twice the time
            counts = Counts(up[at : at + _TOGETHER], down[at : at + _TOGETHER])
            for name, measure in measures.items():
                parts[name].append(measure(counts))
        return {name: np.concatenate(found) for name, found in parts.items()}

    def auroc(self, score: Floats, fake: Bools) -> Floats | None:
        """In every resample; None of few groups."""
        return self.ranked(score, fake, {"auroc": Counts.auroc}).get("auroc")


def bins(score: Floats, fake: Bools) -> tuple[Ints, int]:
    """The bin of each score, from 0 in rising order, and how many there are: exact up to EXACT distinct scores."""
    values = np.unique(score)
    if len(values) > EXACT:
        shares = np.linspace(0, 1, _BINS + 1)
        sides = [np.quantile(each, shares, method="lower") for each in (score[fake], score[~fake]) if len(each)]
        values = np.unique(np.concatenate(sides))
        return np.searchsorted(values, score, side="right").astype(np.int64), len(values) + 1
    return np.searchsorted(values, score).astype(np.int64), len(values)


def interval(found: Floats) -> Interval | None:
    """The middle 95% of a figure's values in resamples; None where more than one in twenty is NaN."""
    kept = found[~np.isnan(found)]
    if not len(kept) or len(kept) < _FEWEST * len(found):
        return None
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def p_of(found: Floats) -> float:
    """The two-sided p that a difference is 0, by its values in resamples: never under 2 / (resamples + 1), so that after
    Holm over many comparisons it can only be small with enough of them."""
    kept = found[~np.isnan(found)]
    beyond = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(kept) + 1))


def auroc_interval(
    scores: npt.ArrayLike, positive: npt.ArrayLike, groups: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> Interval | None:
    """The 95% interval of `auroc` by the percentile bootstrap over groups (n codes or names), for their rows depend on each
    other. None where it would say nothing: under LEAST_GROUPS groups of either class, or where more than one resample in
    twenty lacks one."""
    score, fake = np.asarray(scores, np.float64).ravel(), np.asarray(positive).ravel().astype(bool)
    draws = Draws.of(groups, seed=seed, resamples=resamples)
    if len({len(score), len(fake), len(draws.group)}) > 1:
        raise ValueError(f"{len(score)} scores, {len(fake)} classes and {len(draws.group)} groups: one each a row")
    if draws.few or min(draws.held(fake), draws.held(~fake)) < LEAST_GROUPS:
        return None
    found = draws.auroc(score, fake)
    return None if found is None else interval(found)
