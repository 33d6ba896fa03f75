"""Curves to draw and to read thresholds from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.ranking import Ranking
from mmidd.statistics.values import Floats


@dataclass(frozen=True, eq=False)
class Curve:
    """Points (x, y), each with its threshold: what scores at or above it is called positive."""

    x: Floats
    y: Floats
    thresholds: Floats

    def __len__(self) -> int:
        return len(self.x)


def roc(scores: npt.ArrayLike, positive: npt.ArrayLike, *, thin: bool = False) -> Curve | None:
    """True (y) over false positive rate (x), from (0, 0) at an infinite threshold to (1, 1): scikit-learn's `roc_curve`.
    `thin` drops the points that lie on the straight line between their neighbours: the area stays. None of one class."""
    ranking = Ranking.of(scores, positive)
    counts = ranking.counts()
    if not counts.positives or not counts.others:
        return None
    wrong, right = (np.concatenate([[0.0], each]) for each in (counts.mistaken, counts.taken))
    thresholds = np.concatenate([[np.inf], ranking.scores[::-1]])
    if thin:
        corner = _corners(wrong, right)
        wrong, right, thresholds = wrong[corner], right[corner], thresholds[corner]
    return Curve(wrong / counts.others, right / counts.positives, thresholds)


def precision_recall(scores: npt.ArrayLike, positive: npt.ArrayLike, *, thin: bool = False) -> Curve | None:
    """Precision (y) over recall (x) at each score as a threshold, the highest first: scikit-learn's `precision_recall_curve`
    turned round and without its made-up end at (0, 1). To be drawn as steps: between points lies no straight line. `thin`
    drops points that add no recall: the average precision stays. None without a positive."""
    ranking = Ranking.of(scores, positive)
    counts = ranking.counts()
    if not counts.positives:
        return None
    x, y, thresholds = counts.taken / counts.positives, counts.taken / (counts.taken + counts.mistaken), ranking.scores[::-1]
    if thin:
        adds = counts.up[::-1] > 0
        x, y, thresholds = x[adds], y[adds], thresholds[adds]
    return Curve(x, y, thresholds)


def _corners(x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Which points, of counts, do not lie on the line between their neighbours."""
    wide, rise = np.diff(x), np.diff(y)
    turns = wide[1:] * rise[:-1] != wide[:-1] * rise[1:]
    return np.concatenate([[True], turns, [True]])
