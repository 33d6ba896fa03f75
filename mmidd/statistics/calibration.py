"""Whether a probability is one: of what gets 0.8, is 80% fake? All of P(positive) in 0..1, of two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.counts import wilson
from mmidd.statistics.values import Floats, probabilities

BINS = 15
"""As Guo et al. 2017 (ICML), and most since."""


@dataclass(frozen=True)
class Bin:
    """Of the rows whose probability is over `low` and at most `high` (0 lies in the first): how many, the mean of their
    probabilities, the share that is positive, and the 95% Wilson interval of it, as if rows were independent."""

    low: float
    high: float
    count: int
    mean: float
    share: float
    interval: tuple[float, float]


def brier(prob: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean squared difference of probability and class, 0 (best) to 1; 0.25 for always 0.5 (Brier 1950, Mon. Weather
    Rev. 78, halved). None without rows."""
    given, classes = probabilities(prob, positive)
    return _mean((given - classes) ** 2)


def negative_log_likelihood(prob: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean of `losses`. None without rows."""
    return _mean(losses(prob, positive))


def losses(prob: npt.ArrayLike, positive: npt.ArrayLike) -> Floats:
    """Of each row -log(probability of what it is), in nats: scikit-learn's `log_loss`, which takes 0 and 1 for 2.2e-16
    from them, so that one certain mistake costs 36 and not everything."""
    given, classes = probabilities(prob, positive)
    least = np.finfo(np.float64).eps
    clipped = np.clip(given, least, 1 - least)
    return np.asarray(-np.where(classes == 1, np.log(clipped), np.log(1 - clipped)), np.float64)


def expected_calibration_error(prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS) -> float | None:
    """The mean over rows of how far, in their bin, the share of positives lies from the mean probability (Naeini et al.
    2015, AAAI), 0..1, of P(positive), not of the confidence in whatever is told. None without rows.

    Bins of equal width, for that is what is published and two sets have the same ones. It is biased upwards: calibrated
    probabilities of n rows have about sqrt(bins / n) * 0.3, not 0, and a bootstrap only adds to that: it has no interval.
    """
    found = reliability(prob, positive, bins)
    return sum(each.count * abs(each.share - each.mean) for each in found) / np.size(prob) if found else None


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def reliability(prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """The bins that hold a row, lowest first."""
    given, classes = probabilities(prob, positive)
    edges, place = _binned(given, bins)
    found = []
    for at in np.unique(place):
        inside = place == at
        count, ups = int(inside.sum()), int(classes[inside].sum())
        low, high, mean = float(edges[at]), float(edges[at + 1]), float(given[inside].mean())
        found.append(Bin(low, high, count, mean, ups / count, wilson(ups, count)))
    return tuple(found)


def _binned(prob: Floats, bins: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The bins' edges (bins + 1) and the bin of each row, as scikit-learn's `calibration_curve` cuts them."""
    if bins < 1:
        raise ValueError(f"{bins} bins: there has to be one")
    edges = np.linspace(0, 1, bins + 1)
    return edges, np.searchsorted(edges[1:-1], prob).astype(np.int64)
