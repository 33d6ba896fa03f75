"""Scores and classes to measure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from mmidd.statistics import Counts

Ranked = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def ranked(seed: int, rows: int = 40, ties: bool = False, share: float = 0.5) -> Ranked:
    chance = np.random.default_rng(seed)
    labels = (chance.random(rows) < share).astype(np.int64)
    labels[:2] = 0, 1
    scores = chance.normal(size=rows) + labels
    return np.round(scores) if ties else scores, labels


def clustered(
    seed: int, groups: int, rows: int, apart: float = 1.0, mixed: bool = False
) -> tuple[Ranked, npt.NDArray[np.int64]]:
    """Scores of groups whose rows share more than half of their chance, and the group of each row. Mixed groups hold both
    classes, half each; others are of one class in turn."""
    chance = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), rows)
    labels = (np.arange(groups * rows) if mixed else codes) % 2
    shared, own = chance.normal(size=groups)[codes], chance.normal(size=groups * rows)
    return (np.sqrt(0.7) * shared + np.sqrt(0.3) * own + apart * labels, labels), codes


def weighted(scores: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.NDArray[np.float64]) -> Counts:
    """Counts of rows that count as often as each row of weights (several, n) says."""
    values, place = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    size, fake = max(1, len(values)), np.asarray(labels) == 1
    up, down = ([np.bincount(place, each * mask, size) for each in weights] for mask in (fake, ~fake))
    return Counts(np.array(up, np.float64), np.array(down, np.float64))


@st.composite
def any_rows(draw: st.DrawFn, both: bool = True) -> Ranked:
    """Up to forty rows, often tied, of both classes or of any."""
    rows = draw(st.integers(2 if both else 1, 40))
    finite = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)
    scores = draw(st.lists(finite, min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    if both:
        labels[:2] = draw(st.permutations([0, 1]))
    return np.array(scores), np.array(labels, np.int64)


@st.composite
def any_probabilities(draw: st.DrawFn) -> Ranked:
    """As `any_rows` of any classes, scores in 0..1, exactly 0 and 1 among them."""
    rows = draw(st.integers(1, 40))
    prob = draw(st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 0.2]), min_size=rows, max_size=rows))
    return np.array(prob), np.array(draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)), np.int64)
