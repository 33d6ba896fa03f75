"""Figures of presentation attacks, against hand arithmetic and scikit-learn's curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.statistics import (
    ATTACK_RATES,
    Draws,
    Mistakes,
    Ranking,
    equal_error_rate,
    live_accepted_at,
    mistakes_at_equal_error,
)


def test_rates_are_those_of_hand_arithmetic() -> None:
    """8 live of which 2 are rejected; 4 prints of which 1 is accepted, 10 replays of which 5 are."""
    found = Mistakes(np.array([2.0, 1, 5]), np.array([8.0, 4, 10])).rates()
    wanted = {"bpcer": 2 / 8, "apcer": 5 / 10, "acer": 3 / 8, "far": 6 / 14, "hter": (2 / 8 + 6 / 14) / 2}
    assert {name: float(each) for name, each in found.items()} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("rows", "lacking"),
    [
        ([0.0, 4, 10], {"bpcer", "acer", "hter"}),
        ([8.0, 0, 10], {"apcer", "acer"}),
        ([8.0, 0, 0], {"apcer", "acer", "hter", "far"}),
        ([8.0], {"apcer", "acer", "hter", "far"}),
    ],
)
def test_what_lacks_a_class_is_no_figure(rows: list[float], lacking: set[str]) -> None:
    found = Mistakes(np.zeros(len(rows)), np.array(rows)).rates()
    assert {name for name, each in found.items() if np.isnan(each)} == lacking


counted = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=2, max_size=6)


@given(counted)
def test_the_worst_instrument_is_no_better_than_all_pooled(pairs: list[tuple[int, int]]) -> None:
    rows = np.array([whole for _, whole in pairs], float)
    wrong = np.minimum([part for part, _ in pairs], rows)
    found = {name: float(each) for name, each in Mistakes(wrong, rows).rates().items()}
    assert set(found) == set(ATTACK_RATES) and all(0 <= each <= 1 for each in found.values())
    assert found["far"] <= found["apcer"] + 1e-12 and found["hter"] <= found["acer"] + 1e-12
    assert min(found["apcer"], found["bpcer"]) <= found["acer"] <= max(found["apcer"], found["bpcer"])
    if len(pairs) == 2:
        assert found["hter"] == pytest.approx(found["acer"])  # one instrument: nothing is pooled


rows_of = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=2, max_size=40)


def _spread(kinds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    values = np.unique(scores)
    return np.array([[((kinds == kind) & (scores == value)).sum() for value in values] for kind in range(3)], float)


@given(rows_of)
@settings(max_examples=150)
def test_at_the_equal_error_threshold_both_shares_differ_least(rows: list[tuple[int, int]]) -> None:
    kinds, scores = np.array([kind for kind, _ in rows]), np.array([score for _, score in rows], float)
    wrong = mistakes_at_equal_error(_spread(kinds, scores))
    attack = kinds > 0
    if not attack.any() or attack.all():
        assert np.isnan(wrong).all()
        return
    every = [(scores < at, scores >= at) for at in (*np.unique(scores), scores.max() + 1)]
    shares = [(under[attack].mean(), over[~attack].mean()) for under, over in every]
    least = min(abs(a - b) for a, b in shares)
    missed, taken = wrong[1:].sum() / attack.sum(), wrong[0] / (~attack).sum()
    assert abs(missed - taken) == pytest.approx(least, abs=1e-9)
    assert (missed + taken) / 2 == pytest.approx(min((a + b) / 2 for a, b in shares if abs(a - b) < least + 1e-9), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_half_total_error_there_is_the_equal_error_rate_of_scikit_learns_curve(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(seed)
    attack = np.arange(4000) % 2 == 1
    scores = chance.normal(attack * 1.5, 1)
    false, true, _ = metrics.roc_curve(attack, scores, drop_intermediate=False)
    place = np.abs(false - (1 - true)).argmin()
    kinds = np.where(attack, 1 + np.arange(4000) // 2 % 2, 0)
    found = Mistakes(mistakes_at_equal_error(_spread(kinds, scores)), np.bincount(kinds).astype(float)).rates()
    assert float(found["hter"]) == pytest.approx((false[place] + 1 - true[place]) / 2, abs=1e-12)
    assert float(found["hter"]) == pytest.approx(equal_error_rate(scores, attack), abs=1e-3)


def test_many_resamples_are_each_as_if_alone() -> None:
    chance = np.random.default_rng(0)
    kinds, scores = chance.integers(0, 3, 60), chance.integers(0, 9, 60).astype(float)
    draws = Draws.of(chance.integers(0, 20, 60), resamples=30)
    width = len(np.unique(scores))
    spread = draws.sums(kinds * width + np.unique(scores, return_inverse=True)[1], 3 * width).reshape(-1, 3, width)
    found = mistakes_at_equal_error(spread)
    for number, times in enumerate(draws.times):
        rows = np.repeat(np.arange(60), times[draws.group])
        assert found[number].tolist() == mistakes_at_equal_error(_spread(kinds[rows], scores[rows])).tolist()


def test_live_accepted_takes_live_for_the_positive() -> None:
    chance = np.random.default_rng(1)
    attack = np.arange(600) % 2 == 1
    scores = chance.normal(attack * 2, 1)
    counts = Ranking.of(scores, attack).counts()
    metrics = pytest.importorskip("sklearn.metrics")
    false, true, _ = metrics.roc_curve(~attack, -scores, drop_intermediate=False)
    assert float(live_accepted_at(counts, 0.01)) == pytest.approx(true[false <= 0.01].max())
