"""Figures of probabilities, against scikit-learn's and their definitions, and the temperature against scipy's minimum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.statistics import (
    auroc,
    brier,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    temperature,
    tempered,
    wilson,
)
from mmidd.statistics.tempering import BOUNDS

from .made import Ranked, any_probabilities


def told(seed: int, rows: int, sure: float = 1.0) -> Ranked:
    """Probabilities that are too sure by a factor of their logits, and what came of them."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=rows) * 2
    labels = (chance.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    labels[:2] = 0, 1
    return 1 / (1 + np.exp(-logits * sure)), labels


@settings(max_examples=50)
@given(any_probabilities())
def test_scores_of_probabilities_are_those_of_scikit_learn(rows: Ranked) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    prob, labels = rows
    assert brier(prob, labels) == pytest.approx(metrics.brier_score_loss(labels, prob), abs=1e-12)
    assert negative_log_likelihood(prob, labels) == pytest.approx(metrics.log_loss(labels, prob, labels=[0, 1]), abs=1e-12)


@settings(max_examples=100)
@given(any_probabilities(), st.integers(1, 15))
def test_bins_are_those_of_scikit_learns_calibration_curve(rows: Ranked, bins: int) -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    prob, labels = rows
    found = reliability(prob, labels, bins)
    if len(set(labels)) == 2:
        shares, means = calibration.calibration_curve(labels, prob, n_bins=bins, strategy="uniform")
        assert [each.share for each in found] == pytest.approx(shares) and [each.mean for each in found] == pytest.approx(
            means
        )
    assert sum(each.count for each in found) == len(prob)
    assert all(each.interval == wilson(round(each.share * each.count), each.count) for each in found)
    assert all(each.low - 1e-12 <= each.mean <= each.high + 1e-12 for each in found)
    error = sum(each.count * abs(each.share - each.mean) for each in found) / len(prob)
    assert expected_calibration_error(prob, labels, bins) == pytest.approx(error, abs=1e-12)


def test_the_calibration_error_of_calibrated_probabilities_is_as_biased_as_it_says() -> None:
    for rows in (200, 2000):
        errors = [expected_calibration_error(*told(seed, rows)) or 0.0 for seed in range(30)]
        assert np.mean(errors) == pytest.approx(0.3 * np.sqrt(15 / rows), rel=0.25)


@pytest.mark.filterwarnings("error")
def test_nothing_has_no_figure_and_one_row_has() -> None:
    nothing: tuple[list[float], list[int]] = [], []
    assert brier(*nothing) is expected_calibration_error(*nothing) is None
    assert negative_log_likelihood(*nothing) is temperature(*nothing) is None
    assert reliability(*nothing) == () and tempered([], 2.0).shape == (0,)
    assert brier([1.0], [0]) == 1.0 == expected_calibration_error([1.0], [0]) == expected_calibration_error([0.0], [1])
    assert negative_log_likelihood([1.0], [0]) == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize("prob", [[1.1, 0.5], [-0.1, 0.5], [np.inf, 0.5], [np.nan, 0.5]])
def test_what_is_no_probability_is_refused(prob: list[float]) -> None:
    for measure in (brier, expected_calibration_error, negative_log_likelihood, reliability, temperature):
        with pytest.raises(ValueError, match=r"probabilities|no number"):
            measure(prob, [0, 1])


def loss(t: float, prob: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    return negative_log_likelihood(tempered(prob, t), labels) or 0.0


@pytest.mark.parametrize("sure", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_temperature_is_the_minimum_that_scipy_finds(seed: int, sure: float) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    prob, labels = told(seed, 500, sure)
    best = optimize.minimize_scalar(loss, bounds=BOUNDS, args=(prob, labels), method="bounded", options={"xatol": 1e-9})
    found = temperature(prob, labels)
    assert found is not None and found == pytest.approx(best.x, rel=1e-4) and found == pytest.approx(sure, rel=0.25)
    assert loss(found, prob, labels) <= best.fun + 1e-12
    assert auroc(tempered(prob, found), labels) == pytest.approx(auroc(prob, labels), abs=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("prob", "labels", "t"),
    [
        ([0.2, 0.8, 0.7], [0, 1, 1], BOUNDS[0]),  # separated: the surer the better
        ([0.0, 1.0], [0, 1], BOUNDS[0]),
        ([0.8, 0.2], [0, 1], BOUNDS[1]),  # backwards: the less sure the better
        ([1.0, 0.0], [0, 1], BOUNDS[1]),
        ([0.5, 0.5], [0, 1], 1.0),
        ([0.9, 0.9], [1, 1], None),
        ([0.9], [0], None),
        ([], [], None),
    ],
)
def test_a_temperature_has_bounds_and_needs_both_classes(prob: list[float], labels: list[int], t: float | None) -> None:
    assert temperature(prob, labels) == (None if t is None else pytest.approx(t, rel=1e-9))


@settings(max_examples=100)
@given(any_probabilities())
def test_no_temperature_is_worse_than_one_on_its_own_rows(rows: Ranked) -> None:
    prob, labels = rows
    found = temperature(prob, labels)
    assert (found is None) == (len(set(labels)) < 2)
    if found is not None:
        assert BOUNDS[0] <= found <= BOUNDS[1] and loss(found, prob, labels) <= loss(1.0, prob, labels) + 1e-9


@pytest.mark.filterwarnings("error")
def test_tempering_keeps_the_order_and_the_half_and_nothing_at_one() -> None:
    prob = np.concatenate([[0.0, 1.0], np.linspace(0.001, 0.999, 101)])
    assert tempered(prob, 1.0) == pytest.approx(prob, abs=1e-7)
    for t in (BOUNDS[0], 0.5, 3.0, BOUNDS[1]):
        found = tempered(prob, t)
        assert (np.diff(found[np.argsort(prob)]) >= 0).all() and found[52] == pytest.approx(0.5) and (found >= 0).all()
    for t in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="temperature"):
            tempered(prob, t)
