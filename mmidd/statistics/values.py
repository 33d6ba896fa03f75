"""What the figures share: checked inputs, and numbers that are None where they say nothing.

Figures of counts are arithmetic on sums over rows, one set or many (resamples), NaN where not defined; figures of rows are
None there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def number(value: Floats | float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def share(part: Floats, whole: Floats) -> Floats:
    """The quotient, NaN where the whole is nothing."""
    nowhere = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nowhere, where=whole > 0), np.float64)


def classed(scores: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Scores (infinite ones too: they rank) and classes as 0 and 1. Raises ValueError for scores that are no numbers, other
    classes, and other lengths."""
    given, classes = np.asarray(scores, np.float64).ravel(), np.asarray(positive).ravel().astype(np.float64)
    if len(given) != len(classes) or np.isnan(given).any():
        raise ValueError(f"{len(given)} scores of {len(classes)} rows, {int(np.isnan(given).sum())} of them no number")
    if not ((classes == 0) | (classes == 1)).all():
        raise ValueError("a row is positive (1, True) or not (0, False)")
    return given, classes


def probabilities(prob: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[Floats, Floats]:
    """As `classed`. Raises ValueError for what is outside 0..1 as well: what has no score counts as 0 or 1, not as
    infinite."""
    given, classes = classed(prob, positive)
    if ((given < 0) | (given > 1)).any():
        raise ValueError(f"{int(((given < 0) | (given > 1)).sum())} of {len(given)} are no probabilities: outside 0..1")
    return given, classes
