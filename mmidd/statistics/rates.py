"""Figures at a threshold (what scores at or above it is called positive), and of several classes, as arithmetic on counts.
All are shares, 0..1, and NaN where they are not defined."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmidd.statistics.values import Floats, classed, share

RATES = ("accuracy", "balanced_accuracy", "false_positive_rate", "true_positive_rate")


def outcomes(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> npt.NDArray[np.int64]:
    """(n,): 0 another that is called so, 1 another that is called positive, 2 a positive that is missed, 3 one that is
    called so."""
    given, classes = classed(scores, positive)
    return classes.astype(np.int64) * 2 + (given >= threshold)


def rates(counts: Floats) -> dict[str, Floats]:
    """RATES of counts (..., 4) of the outcomes. `accuracy` depends on the share of positives; `balanced_accuracy` is the
    mean of the share of positives and the share of others that are called what they are."""
    false = share(counts[..., 1], counts[..., :2].sum(-1))
    true = share(counts[..., 3], counts[..., 2:].sum(-1))
    right = share(counts[..., 0] + counts[..., 3], counts.sum(-1))
    return dict(zip(RATES, (right, (true + 1 - false) / 2, false, true), strict=True))


def class_accuracy(table: Floats) -> Floats:
    """The share of a confusion that is told right. `table` (..., classes, classes or one more): counts, row the class that a
    row has, column the one it is told to have, a last one for none."""
    return share(np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1)))


def macro_f1(table: Floats) -> Floats:
    """The mean over classes of the harmonic mean of precision and recall (Opitz and Burst 2019: the mean of F1, not the F1
    of means), over classes that are there or told: a class that is there and never told right has 0."""
    right, classes = np.diagonal(table, axis1=-2, axis2=-1), table.shape[-2]
    both = table.sum(-1) + table[..., :classes].sum(-2)
    return share((2 * right / np.where(both > 0, both, 1)).sum(-1), (both > 0).sum(-1).astype(np.float64))
