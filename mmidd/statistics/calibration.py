"""Whether a probability is one: of what gets 0.8, is 80% fake? All of P(positive) in 0..1, of two classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.counts import wilson
from mmidd.statistics.rates import mean_of
from mmidd.statistics.values import Figure, Floats, plain, probabilities, share

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


@dataclass(frozen=True)
class BrierParts:
    """score = reliability - resolution + uncertainty + within (Murphy 1973, J. Appl. Meteorol. 12). `reliability`: how far
    the bins' shares lie from their means (0: calibrated); `resolution`: how far they lie from the share of all;
    `uncertainty`: the score of who tells the share of all; `within`: what binning hides (Stephenson et al. 2008, Weather
    Forecast. 23)."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(prob: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean squared difference of probability and class, 0 (best) to 1; 0.25 for always 0.5 (Brier 1950, Mon. Weather
    Rev. 78, halved). None without rows."""
    return plain(brier_of(prob, positive), np.size(positive))


def brier_of(prob: npt.ArrayLike, positive: npt.ArrayLike) -> Figure:
    """`brier` as a figure of weights."""
    given, classes = probabilities(prob, positive)
    return mean_of((given - classes) ** 2)


def brier_parts(
    prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS, *, equal_mass: bool = False
) -> BrierParts | None:
    """What makes up the Brier score. None without rows."""
    given, classes = probabilities(prob, positive)
    if not len(given):
        return None
    _, place = binned(given, bins, equal_mass=equal_mass)
    counts = np.bincount(place, minlength=bins).astype(np.float64)
    means, shares = (np.bincount(place, of, bins) / np.maximum(counts, 1) for of in (given, classes))
    weight, base = counts / len(given), float(classes.mean())
    score = float(((given - classes) ** 2).mean())
    reliability = float((weight * (means - shares) ** 2).sum())
    resolution = float((weight * (shares - base) ** 2).sum())
    uncertainty = base * (1 - base)
    return BrierParts(score, reliability, resolution, uncertainty, score - reliability + resolution - uncertainty)


def negative_log_likelihood(prob: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The mean of -log(probability of what a row is), in nats: scikit-learn's `log_loss`, which takes 0 and 1 for 2.2e-16
    from them, so that one certain mistake costs 36 and not everything. None without rows."""
    return plain(negative_log_likelihood_of(prob, positive), np.size(positive))


def negative_log_likelihood_of(prob: npt.ArrayLike, positive: npt.ArrayLike) -> Figure:
    """`negative_log_likelihood` as a figure of weights."""
    given, classes = probabilities(prob, positive)
    least = np.finfo(np.float64).eps
    clipped = np.clip(given, least, 1 - least)
    return mean_of(-np.where(classes == 1, np.log(clipped), np.log(1 - clipped)))


def expected_calibration_error(
    prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS, *, equal_mass: bool = False
) -> float | None:
    """The mean over rows of how far, in their bin, the share of positives lies from the mean probability (Naeini et al.
    2015, AAAI), 0..1, of P(positive), not of the confidence in whatever is told. None without rows.

    Bins of equal width by default, for that is what is published and two sets have the same ones; `equal_mass`: with as many
    rows each, which is less biased where scores crowd at 0 and 1 (Roelofs et al. 2022, AISTATS). Either is biased upwards:
    calibrated probabilities of n rows have about sqrt(bins / n) * 0.3, not 0, and a bootstrap only adds to that: its
    interval is none.
    """
    return plain(expected_calibration_error_of(prob, positive, bins, equal_mass=equal_mass), np.size(positive))


def expected_calibration_error_of(
    prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS, *, equal_mass: bool = False
) -> Figure:
    """`expected_calibration_error` as a figure of weights; the bins stay those of all rows."""
    given, classes = probabilities(prob, positive)
    _, place = binned(given, bins, equal_mass=equal_mass)
    gaps = np.zeros((len(given), bins))
    gaps[np.arange(len(given)), place] = classes - given
    return lambda weights: share(np.abs(weights @ gaps).sum(axis=-1), weights.sum(axis=-1))


def reliability(
    prob: npt.ArrayLike, positive: npt.ArrayLike, bins: int = BINS, *, equal_mass: bool = False
) -> tuple[Bin, ...]:
    """The bins that hold a row, lowest first."""
    given, classes = probabilities(prob, positive)
    edges, place = binned(given, bins, equal_mass=equal_mass)
    found = []
    for at in np.unique(place):
        inside = place == at
        count, ups = int(inside.sum()), int(classes[inside].sum())
        low, high, mean = float(edges[at]), float(edges[at + 1]), float(given[inside].mean())
        found.append(Bin(low, high, count, mean, ups / count, wilson(ups, count)))
    return tuple(found)


def binned(prob: Floats, bins: int, *, equal_mass: bool) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The bins' edges (bins + 1) and the bin of each row, as scikit-learn's `calibration_curve` cuts them. Equal ones lie in
    one bin."""
    if bins < 1:
        raise ValueError(f"{bins} bins: there has to be one")
    edges = np.linspace(0, 1, bins + 1)
    if equal_mass and len(prob):
        edges = np.percentile(prob, edges * 100)
    return edges, np.searchsorted(edges[1:-1], prob).astype(np.int64)
