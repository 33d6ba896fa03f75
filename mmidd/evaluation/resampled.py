"""Figures of resamples by whole groups, many at once. All that is measured here is a function of sums over rows, and the
sums of a resample are those of its groups: rows are summed by group once, and then weighted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.items import Bools, Floats, Ints
from mmidd.statistics import LEAST_GROUPS, Counts, wilson

Measure = Callable[[Counts], Floats]

EXACT = 1024
"""Up to so many distinct scores are kept apart in resamples; more are put into bins of about equal numbers of each class."""
_BINS = 256
"""Bins by the scores of each class."""
MANY_ROWS, FEW_RESAMPLES = 200_000, 200
"""More rows than this are resampled so often at most."""
WILSON = "interval by Wilson over groups: no resample differs"
_DENSE = 64
_TOGETHER = 128
_FEWEST = 0.95
"""Of the resamples so many must have the figure."""


def resamples_for(rows: int, asked: int) -> int:
    """How many resamples are drawn for so many rows."""
    return asked if rows <= MANY_ROWS else min(asked, FEW_RESAMPLES)


@dataclass(frozen=True, eq=False)
class Draws:
    """`group` (n): codes from 0 without gaps. `times` (resamples, groups): how often each group was drawn."""

    group: Ints
    times: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, groups: npt.ArrayLike, *, seed: int, resamples: int) -> Draws:
        """The same for the same groups and seed."""
        codes = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
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

    def sums(self, key: Ints, size: int, weight: Floats | None = None, rows: Bools | None = None) -> Floats:
        """(resamples, size): how many rows (or what sum of `weight`) have each key, in every resample."""
        group = self.group if rows is None else self.group[rows]
        if rows is not None:
            key, weight = key[rows], None if weight is None else weight[rows]
        both, place = np.unique(group * size + key, return_inverse=True)
        held = np.bincount(place, weights=weight, minlength=len(both)).astype(np.float64)
        owner, slot = both // size, both % size
        if size <= _DENSE:
            matrix = np.zeros((self.groups, size))
            matrix[owner, slot] = held
            return np.concatenate(
                [np.zeros((0, size))]
                + [self.times[at : at + 100].astype(np.float64) @ matrix for at in range(0, len(self.times), 100)]
            )
        found = np.empty((len(self.times), size))
        for into, times in zip(found, self.times, strict=True):
            into[:] = np.bincount(slot, weights=times[owner] * held, minlength=size)
        return found

    def ranked(self, score: Floats, fake: Bools, measures: Mapping[str, Measure]) -> dict[str, Floats]:
        """Each measure of how fakes and reals are spread over rising scores, in every resample; nothing of few groups."""
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

    def figure(self, value: float, found: Floats | None, of: Bools | None = None, *, rate: bool = False) -> Figure:
        """The value with the percentile interval of what was `found` in the resamples (NaN where it has none), for the rows
        `of` (all). A `rate` that is 0 or 1 has the Wilson interval over groups instead: no resample differs from it."""
        mine = self.group if of is None else self.group[of]
        rows, groups = len(mine), len(np.unique(mine))
        if self.few or found is None or groups < LEAST_GROUPS:
            return Figure(value, rows=rows, groups=groups, why=f"no interval: {counted(groups, 'group')}")
        if rate and value in (0.0, 1.0):
            return Figure(value, *wilson(round(value * groups), groups), rows, groups, WILSON)
        bounds = interval(found)
        if bounds is None:
            why = "no interval: more than one resample in twenty lacks a class"
            return Figure(value, rows=rows, groups=groups, why=why)
        if bounds[0] == bounds[1]:
            return Figure(value, rows=rows, groups=groups, why="no interval: every resample gives the same")
        return Figure(value, *bounds, rows, groups)


def interval(found: Floats) -> tuple[float, float] | None:
    """The middle 95%; None where more than one in twenty is NaN."""
    kept = found[~np.isnan(found)]
    if not len(kept) or len(kept) < _FEWEST * len(found):
        return None
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def bins(score: Floats, fake: Bools) -> tuple[Ints, int]:
    """The bin of each score, from 0 in rising order, and how many there are: exact up to EXACT distinct scores."""
    values = np.unique(score)
    if len(values) > EXACT:
        shares = np.linspace(0, 1, _BINS + 1)
        sides = [np.quantile(each, shares, method="lower") for each in (score[fake], score[~fake]) if len(each)]
        values = np.unique(np.concatenate(sides))
        return np.searchsorted(values, score, side="right").astype(np.int64), len(values) + 1
    return np.searchsorted(values, score).astype(np.int64), len(values)


def paired(
    first: Figure, second: Figure, many: Floats | None, other: Floats | None, draws: Draws
) -> tuple[Figure, float | None]:
    """The first less the second with its interval over groups, and the two-sided p that it is 0 by the same resamples (never
    under 2 / (resamples + 1)); p None where there is no interval."""
    if first.value is None or second.value is None:
        return Figure(None, why=first.why if first.value is None else second.why), None
    value, rows, groups = first.value - second.value, len(draws.group), draws.groups
    if draws.few or many is None or other is None:
        return Figure(value, rows=rows, groups=groups, why=f"no interval: {counted(groups, 'group')}"), None
    bounds, found = interval(many - other), many - other
    if bounds is None:
        return Figure(
            value, rows=rows, groups=groups, why="no interval: more than one resample in twenty lacks a class"
        ), None
    found = found[~np.isnan(found)]
    beyond = min(int((found <= 0).sum()), int((found >= 0).sum()))
    return Figure(value, *bounds, rows, groups), min(1.0, 2 * (beyond + 1) / (len(found) + 1))
