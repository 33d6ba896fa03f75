"""Figures of resamples by whole groups, many at once. All that is measured here is a function of sums over rows, and the sums
of a resample are those of its groups: rows are summed by group once, and then weighted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.items import Bools, Floats, Ints
from mmidd.statistics import LEAST_GROUPS, wilson

EXACT = 1024
"""Up to so many distinct scores are kept apart in resamples; more are put into bins of about equal numbers of each class."""
_BINS = 256
"""Bins by the scores of each class."""
MANY_ROWS, FEW_RESAMPLES = 200_000, 200
"""More rows than this are resampled so often at most."""
_DENSE = 64
_FEWEST = 0.95
"""Of the resamples so many must have the figure."""


def resamples_for(rows: int, asked: int) -> int:
    """How many resamples are drawn for so many rows."""
    return asked if rows <= MANY_ROWS else min(asked, FEW_RESAMPLES)


@dataclass(frozen=True, eq=False)
class Draws:
    """`group` (n): codes from 0 without gaps. `times` (resamples, groups): how often each group was drawn."""

    group: Ints
    times: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, groups: npt.ArrayLike, *, seed: int, resamples: int) -> Draws:
        """The same for the same groups and seed."""
        codes = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
        count, chance = int(codes.max(initial=-1)) + 1, np.random.default_rng(seed)
        if count < LEAST_GROUPS:
            return cls(codes, np.zeros((0, count), np.uint16))
        times = np.empty((resamples, count), np.uint16)
        for row in times:
            row[:] = np.bincount(chance.integers(count, size=count), minlength=count)
        return cls(codes, times)

    @property
    def groups(self) -> int:
        return self.times.shape[1]

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

    def figure(self, value: float, found: Callable[[], Floats], rows: int, *, rate: bool = False) -> Figure:
        """The value with the percentile interval of what `found` gives for the resamples (NaN where it has none). A `rate`
        that is 0 or 1 has the Wilson interval over groups instead: no resample differs from it."""
        if self.few:
            return Figure(value, rows=rows, groups=self.groups, why=f"no interval: {counted(self.groups, 'group')}")
        if rate and value in (0.0, 1.0):
            low, high = wilson(round(value * self.groups), self.groups)
            return Figure(value, low, high, rows, self.groups, "interval by Wilson over groups: no resample differs")
        bounds = interval(found())
        if bounds is None:
            why = "no interval: more than one resample in twenty lacks a class"
            return Figure(value, rows=rows, groups=self.groups, why=why)
        if bounds[0] == bounds[1]:
            return Figure(value, rows=rows, groups=self.groups, why="no interval: every resample gives the same")
        return Figure(value, *bounds, rows, self.groups)


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


@dataclass(frozen=True, eq=False)
class Curves:
    """How fakes (`up`) and reals (`down`) are spread over rising scores, in each of some resamples (resamples, bins)."""

    up: Floats
    down: Floats

    @classmethod
    def of(cls, draws: Draws, score: Floats, fake: Bools) -> Curves:
        place, size = bins(score, fake)
        return cls(draws.sums(place, size, rows=fake), draws.sums(place, size, rows=~fake))

    @cached_property
    def _true(self) -> Floats:
        """(resamples, bins + 1): true positive rates from the highest threshold down, 0 first."""
        return _shares(self.up)

    @cached_property
    def _false(self) -> Floats:
        return _shares(self.down)

    def auroc(self) -> Floats:
        return area(self.up, self.down)

    def average_precision(self) -> Floats:
        true, false = (np.cumsum(each[:, ::-1], axis=1) for each in (self.up, self.down))
        both = true + false
        precision = true / np.where(both > 0, both, 1)
        found = (self.up[:, ::-1] * precision).sum(1)
        return _over(found, true[:, -1])

    def equal_error_rate(self) -> Floats:
        """On straight lines between thresholds, as `statistics.equal_error_rate`."""
        missed, taken = 1 - self._true[:, ::-1], self._false[:, ::-1]
        place = np.maximum(1, np.argmax(missed >= taken, axis=1))
        row = np.arange(len(place))
        m0, m1, t0, t1 = missed[row, place - 1], missed[row, place], taken[row, place - 1], taken[row, place]
        before, behind = t0 - m0, m1 - t1
        found = m0 + (m1 - m0) * before / np.where(before + behind > 0, before + behind, 1)
        return np.where(np.isnan(missed[:, 0]) | np.isnan(taken[:, 0]), np.nan, found)

    def true_rate_at(self, share: float) -> Floats:
        """The highest true positive rate of a threshold whose false positive rate is `share` at most."""
        return np.where(
            np.isnan(self._true[:, -1]), np.nan, np.where(self._false <= share + 1e-12, self._true, 0).max(axis=1)
        )

    def partial(self, up_to: float) -> Floats:
        """The area up to a false positive rate, standardised to 0.5..1, as sklearn's `max_fpr`."""
        x, y = self._false, self._true
        row, last = np.arange(len(x)), x.shape[1] - 1
        stop = np.minimum((x <= up_to).sum(1), last)
        x0, x1, y0, y1 = x[row, stop - 1], x[row, stop], y[row, stop - 1], y[row, stop]
        end = y0 + (y1 - y0) * np.clip((up_to - x0) / np.where(x1 > x0, x1 - x0, 1), 0, 1)
        steps = np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2
        inside = np.arange(last)[None, :] < (stop - 1)[:, None]
        whole = np.where(inside, steps, 0).sum(1) + (up_to - x0) * (y0 + end) / 2
        least = up_to**2 / 2
        found = 0.5 * (1 + (whole - least) / (up_to - least))
        return np.where(np.isnan(x[:, -1]) | np.isnan(y[:, -1]), np.nan, found)


def area(up: Floats, down: Floats) -> Floats:
    """AUROC of each row, NaN of one class."""
    won = (up * (np.cumsum(down, axis=1) - down / 2)).sum(1)
    return _over(won, up.sum(1) * down.sum(1))


def _shares(of: Floats) -> Floats:
    from_above = np.cumsum(of[:, ::-1], axis=1)
    total = from_above[:, -1:]
    shares = np.where(total > 0, from_above / np.where(total > 0, total, 1), np.nan)
    return np.concatenate([np.where(total > 0, 0.0, np.nan), shares], axis=1)


def _over(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)
