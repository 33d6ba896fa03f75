"""The area under the ROC curve within strata, and its interval by resampling groups."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmidd.audit.rows import Bools, Ints

Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 1000
CROSSED = sqrt(2)
"""By how much intervals are widened. Each fold is tested by what was trained on the others, and they by what was trained on
it: without a leak those two say the same, so evidence counts twice and its variance doubles; resampling cannot see that."""


@dataclass(frozen=True)
class Area:
    """An AUC with its 95% interval, and its standard error."""

    auc: float
    low: float
    high: float
    error: float

    def above(self, tolerated: float) -> float:
        """One-sided p that the AUC is no higher than tolerated."""
        if self.error == 0:
            return 0.0 if self.auc > tolerated else 1.0
        return 0.5 * erfc((self.auc - tolerated) / self.error / sqrt(2))


def area(scores: Floats, positive: Bools, strata: Ints, groups: Ints, seed: int) -> Area | None:
    """How well scores (n) rank the positive above the others of the same stratum, 0.5 by chance; ties count half.

    Strata count by their effective size, p n / (p + n). The interval resamples groups (n codes), not rows: rows of one
    group are not independent. None where no stratum holds both.
    """
    ranking = _Ranking.of(scores, positive, strata)
    whole = ranking.auc(np.ones(len(scores)))
    if whole is None:
        return None
    codes = np.unique(groups, return_inverse=True)[1]
    count, chance = int(codes.max()) + 1, np.random.default_rng(seed)
    drawn = (np.bincount(chance.integers(count, size=count), minlength=count) for _ in range(RESAMPLES))
    found = [auc for times in drawn if (auc := ranking.auc(times[codes].astype(np.float64))) is not None]
    low, high = np.clip(whole + CROSSED * (np.percentile(found, [2.5, 97.5]) - whole), 0.0, 1.0)
    return Area(whole, float(low), float(high), CROSSED * float(np.std(found, ddof=1)))


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Rows in the order of (stratum, score): `blocks` and `starts` say where a tie and where a stratum begins."""

    order: Ints
    positive: Bools
    blocks: Ints
    stratum: Ints
    starts: Ints

    @classmethod
    def of(cls, scores: Floats, positive: Bools, strata: Ints) -> _Ranking:
        order = np.lexsort((scores, strata))
        ordered, within = scores[order], strata[order]
        new = np.diff(within, prepend=within[0] - 1) != 0
        blocks = np.flatnonzero(new | (np.diff(ordered, prepend=np.nan) != 0))
        starts = np.flatnonzero(new[blocks])
        stratum = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(blocks)))
        return cls(order, positive[order], blocks, stratum, starts)

    def auc(self, weights: Floats) -> float | None:
        weights = weights[self.order]
        up = np.add.reduceat(np.where(self.positive, weights, 0.0), self.blocks)
        down = np.add.reduceat(np.where(self.positive, 0.0, weights), self.blocks)
        before = np.cumsum(down) - down
        before -= before[self.starts][self.stratum]
        won = np.add.reduceat(up * (before + down / 2), self.starts)
        ups, downs = np.add.reduceat(up, self.starts), np.add.reduceat(down, self.starts)
        both = (ups > 0) & (downs > 0)
        if not both.any():
            return None
        won, ups, downs = won[both], ups[both], downs[both]
        return float((won / (ups + downs)).sum() / (ups * downs / (ups + downs)).sum())
