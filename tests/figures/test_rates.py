"""Figures at a threshold and of several classes, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.statistics import RATES, class_accuracy, macro_f1, outcomes, rates

from .made import Ranked, any_rows


def at(scores: object, labels: object, threshold: float, weights: object = None) -> dict[str, float]:
    counts = np.bincount(outcomes(scores, labels, threshold), weights, minlength=4)  # type: ignore[arg-type]
    return {name: float(value) for name, value in rates(counts.astype(np.float64)).items()}


@settings(max_examples=100)
@given(any_rows(), st.integers(-2, 2).map(float), st.integers(0, 2**32 - 1))
def test_rates_are_those_of_scikit_learn_of_weighted_rows_too(rows: Ranked, threshold: float, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    for weights in (None, np.random.default_rng(seed).random(len(scores)) + 0.1):
        of = {"sample_weight": weights}
        told = scores >= threshold
        assert at(scores, labels, threshold, weights) == pytest.approx({
            "accuracy": metrics.accuracy_score(labels, told, **of),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, told, **of),
            "false_positive_rate": 1 - metrics.recall_score(labels, told, pos_label=0, **of),
            "true_positive_rate": metrics.recall_score(labels, told, **of),
        }, abs=1e-12)  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_what_has_no_rows_has_no_rate_and_many_sets_have_each_their_own() -> None:
    assert np.isnan(list(at([], [], 0.5).values())).all()
    assert at([1.0], [1], 0.5) == pytest.approx(dict(zip(RATES, (1.0, np.nan, np.nan, 1.0), strict=True)), nan_ok=True)
    assert at([1.0], [0], 0.5) == pytest.approx(dict(zip(RATES, (0.0, np.nan, 1.0, np.nan), strict=True)), nan_ok=True)
    many = rates(np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [1, 3, 1, 3]]))
    assert many["balanced_accuracy"] == pytest.approx([np.nan, np.nan, 0.5], nan_ok=True)


def test_a_score_at_the_threshold_is_called_fake_and_an_infinite_one_is_called_wrong() -> None:
    assert outcomes([0.5, 0.5, -np.inf, np.inf], [1, 0, 1, 0], 0.5).tolist() == [3, 1, 2, 1]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_figures_of_five_types_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, told = zip(*pairs, strict=True)
    table = metrics.confusion_matrix(truth, told, labels=range(5)).astype(np.float64)
    wanted = (
        metrics.accuracy_score(truth, told), metrics.f1_score(truth, told, average="macro", zero_division=0)
    )  # fmt: skip
    assert (class_accuracy(table), macro_f1(table)) == pytest.approx(wanted, abs=1e-12)
    more = np.concatenate([table, np.ones((5, 1))], axis=1)  # one of each type is told to have none: wrong, and no type
    truth, told = (*truth, *range(5)), (*told, *[5] * 5)
    wanted = (
        metrics.accuracy_score(truth, told),
        metrics.f1_score(truth, told, labels=range(5), average="macro", zero_division=0),
    )
    assert (class_accuracy(more), macro_f1(more)) == pytest.approx(wanted, abs=1e-12)
    assert macro_f1(np.stack([more, more])) == pytest.approx([wanted[1]] * 2)


@pytest.mark.filterwarnings("error")
def test_a_confusion_of_nothing_has_no_figures() -> None:
    nothing = np.zeros((5, 6))
    assert np.isnan(class_accuracy(nothing)) and np.isnan(macro_f1(nothing))
