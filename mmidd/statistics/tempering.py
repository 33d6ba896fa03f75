"""Temperature scaling: one number that makes probabilities as sure as they may be, and changes no order (but that what is
nearer to 0 or to 1 than SURE ties)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmidd.statistics.values import Floats, probabilities

SURE = 2.0**-24
"""0 and 1 are taken for this far from them: what a float32 sigmoid can tell from 1."""
BOUNDS = (0.05, 20.0)
"""Of the temperature: data that are separated would make it 0, scores that rank backwards infinite."""


def temperature(prob: npt.ArrayLike, positive: npt.ArrayLike) -> float | None:
    """The t of BOUNDS under which `tempered(prob, t)` has the lowest negative log-likelihood (Guo et al. 2017, ICML, section
    4.2): over 1 where the probabilities are too sure. Fitted on validation, never on test. None of one class; 1 where all
    are 0.5, for then any is as good."""
    given, classes = probabilities(prob, positive)
    if not 0 < classes.sum() < len(classes):
        return None
    right = np.where(classes == 1, 1, -1) * _logits(given)
    if not right.any():
        return 1.0
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]  # of 1/t, in which the likelihood is convex
    for _ in range(60):
        middle = (low * high) ** 0.5
        if float((right * _sigmoid(-middle * right)).sum()) > 0:  # the likelihood still rises
            low = middle
        else:
            high = middle
    return float(min(max(1 / (low * high) ** 0.5, BOUNDS[0]), BOUNDS[1]))


def tempered(prob: npt.ArrayLike, t: float) -> Floats:
    """Probabilities (n,) whose logits are divided by t > 0."""
    if not t > 0:
        raise ValueError(f"a temperature is over 0, not {t}")
    given = probabilities(prob, np.zeros(np.size(prob)))[0]
    return _sigmoid(_logits(given) / t)


def _logits(prob: Floats) -> Floats:
    sure = np.clip(prob, SURE, 1 - SURE)
    return np.log(sure) - np.log1p(-sure)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -x)), np.float64)
