"""Exact tests on counts, an interval for a share, and corrections for many tests. What is counted is the caller's affair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Z = 1.959964
"""Of the Wilson interval: 95%."""


def wilson(lost: int, total: int) -> tuple[float, float]:
    """The 95% score interval of a share (Wilson 1927, JASA 22); (0, 1) of nothing."""
    if not total:
        return 0.0, 1.0
    share, weight = lost / total, Z * Z / total
    centre = (share + weight / 2) / (1 + weight)
    half = Z * sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def holm(p: Sequence[float]) -> list[float]:
    """Each p after Holm's correction over all of them (Holm 1979, Scand. J. Stat. 6): what stays under 0.05 is, but in one
    family of tests in twenty, all true."""
    adjusted = [1.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def fisher(lost_a: int, a: int, lost_b: int, b: int) -> float:
    """Fisher's exact two-sided p that `lost_a` of a and `lost_b` of b have one rate."""
    lost = lost_a + lost_b
    least, most = max(0, lost - b), min(lost, a)
    k = np.arange(least, most, dtype=np.float64)
    return _two_sided(_from_ratios((a - k) * (lost - k) / ((k + 1) * (b - lost + k + 1))), lost_a - least)


def matched(families: Iterable[Sequence[bool]]) -> float:
    """Exact two-sided p that in a family (the real first, then its fakes) each member is equally likely the lost one.

    Given that t of a family's n are lost, the real is among them with probability t/n, however its members depend on
    each other: over families that is a sum of binomials. With one fake each it is McNemar's exact test.
    """
    split = [(sum(family), len(family), family[0]) for family in families if 0 < sum(family) < len(family)]
    distribution: Floats = np.ones(1)
    for (lost, size), count in sorted(Counter((lost, size) for lost, size, _ in split).items()):
        k = np.arange(count, dtype=np.float64)
        distribution = np.convolve(distribution, _from_ratios((count - k) / (k + 1) * (lost / (size - lost))))
    return _two_sided(distribution, sum(real for _, _, real in split))


def _from_ratios(ratios: Floats) -> Floats:
    """A distribution from the ratios of each of its probabilities to the one before."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), np.float64)


def _two_sided(distribution: Floats, place: int) -> float:
    """The probability of all that is no likelier than what was seen."""
    return min(1.0, float(distribution[distribution <= distribution[place] * (1 + 1e-7)].sum()))
