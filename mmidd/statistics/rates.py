"""Figures at a threshold (what scores at or above it is called positive), and of several classes. All are shares, 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.values import Figure, Floats, classed, number, plain, share


@dataclass(frozen=True)
class Outcomes:
    """Counts at a threshold: positives that are called so and that are missed, others that are taken for one and that are
    not."""

    true_positives: int
    missed: int
    false_positives: int
    true_negatives: int

    @classmethod
    def at(cls, scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Outcomes:
        given, classes = classed(scores, positive)
        called, really = given >= threshold, classes == 1
        pairs = ((called, really), (~called, really), (called, ~really), (~called, ~really))
        return cls(*(int((a & b).sum()) for a, b in pairs))


def accuracy(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> float | None:
    """The share of rows that are called what they are; it depends on the share of positives. None without rows."""
    return plain(accuracy_of(scores, positive, threshold), np.size(positive))


def balanced_accuracy(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> float | None:
    """The mean of the share of positives and the share of others that are called what they are. None of one class."""
    return plain(balanced_accuracy_of(scores, positive, threshold), np.size(positive))


def true_positive_rate(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> float | None:
    """The share of positives that are called so. None without one."""
    return plain(true_positive_rate_of(scores, positive, threshold), np.size(positive))


def false_positive_rate(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> float | None:
    """The share of others that are taken for positives. None without one."""
    return plain(false_positive_rate_of(scores, positive, threshold), np.size(positive))


def mean_of(values: npt.ArrayLike) -> Figure:
    """The mean of values (n,), as a figure of weights."""
    given = np.asarray(values, np.float64).ravel()
    return lambda weights: share(weights @ given, weights.sum(axis=-1))


def accuracy_of(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Figure:
    """`accuracy` as a figure of weights."""
    given, classes = classed(scores, positive)
    return mean_of((given >= threshold) == (classes == 1))


def true_positive_rate_of(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Figure:
    """`true_positive_rate` as a figure of weights."""
    given, classes = classed(scores, positive)
    called = classes * (given >= threshold)
    return lambda weights: share(weights @ called, weights @ classes)


def false_positive_rate_of(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Figure:
    """`false_positive_rate` as a figure of weights."""
    return true_positive_rate_of(scores, 1 - classed(scores, positive)[1], threshold)


def balanced_accuracy_of(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Figure:
    """`balanced_accuracy` as a figure of weights."""
    right = true_positive_rate_of(scores, positive, threshold)
    wrong = false_positive_rate_of(scores, positive, threshold)
    return lambda weights: (right(weights) + 1 - wrong(weights)) / 2


def confusion(truth: npt.ArrayLike, told: npt.ArrayLike, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes) counts: row the class (0..classes-1) that a row has, column the one that it is told to have."""
    true, said = (np.asarray(each).ravel().astype(np.int64) for each in (truth, told))
    if len(true) != len(said) or any(len(each) and not 0 <= each.min() <= each.max() < classes for each in (true, said)):
        raise ValueError(f"{len(true)} classes and {len(said)} told ones have to be as many, each of 0..{classes - 1}")
    return np.bincount(true * classes + said, minlength=classes * classes).reshape(classes, classes)


def class_accuracy(table: npt.NDArray[np.int64]) -> float | None:
    """The share of a confusion that is told right. None of nothing."""
    return number(share(np.asarray(np.trace(table), np.float64), np.asarray(table.sum(), np.float64)))


def class_recalls(table: npt.NDArray[np.int64]) -> tuple[float | None, ...]:
    """Of each class the share that is told right. None of a class without rows. The mean of these is the balanced
    accuracy."""
    found = share(np.diag(table).astype(np.float64), table.sum(axis=1).astype(np.float64))
    return tuple(number(each) for each in found)


def macro_f1(table: npt.NDArray[np.int64]) -> float | None:
    """The mean over classes of the harmonic mean of precision and recall (Opitz and Burst 2019: the mean of F1, not the F1
    of means), over classes that are there or told: a class that is there and never told right has 0. None of nothing."""
    right, both = np.diag(table).astype(np.float64), (table.sum(axis=0) + table.sum(axis=1)).astype(np.float64)
    f1: Floats = share(2 * right, both)
    f1 = f1[~np.isnan(f1)]
    return float(f1.mean()) if len(f1) else None
