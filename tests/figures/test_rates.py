"""Figures at a threshold and of several classes, against scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.statistics import (
    Outcomes,
    accuracy,
    accuracy_of,
    balanced_accuracy,
    balanced_accuracy_of,
    class_accuracy,
    class_recalls,
    confusion,
    false_positive_rate,
    false_positive_rate_of,
    macro_f1,
    mean_of,
    true_positive_rate,
    true_positive_rate_of,
)

from .made import Ranked, any_rows


@settings(max_examples=100, deadline=None)
@given(any_rows(), st.integers(-2, 2).map(float))
def test_rates_are_those_of_scikit_learn(rows: Ranked, threshold: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    told = scores >= threshold
    found = Outcomes.at(scores, labels, threshold)
    (negatives, wrong), (missed, right) = metrics.confusion_matrix(labels, told, labels=[0, 1])
    assert found == Outcomes(right, missed, wrong, negatives)
    assert accuracy(scores, labels, threshold) == pytest.approx(metrics.accuracy_score(labels, told), abs=1e-12)
    balanced = metrics.balanced_accuracy_score(labels, told)
    assert balanced_accuracy(scores, labels, threshold) == pytest.approx(balanced, abs=1e-12)
    assert true_positive_rate(scores, labels, threshold) == pytest.approx(metrics.recall_score(labels, told), abs=1e-12)
    specificity = metrics.recall_score(labels, told, pos_label=0)
    assert false_positive_rate(scores, labels, threshold) == pytest.approx(1 - specificity, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(any_rows(), st.integers(0, 2**32 - 1))
def test_weighted_rates_are_those_of_scikit_learn(rows: Ranked, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    weights = np.random.default_rng(seed).random((2, len(scores))) + 0.1
    right, balanced = (of(scores, labels, 0.0)(weights) for of in (accuracy_of, balanced_accuracy_of))
    for at, each in enumerate(weights):
        assert right[at] == pytest.approx(metrics.accuracy_score(labels, scores >= 0, sample_weight=each), abs=1e-12)
        theirs = metrics.balanced_accuracy_score(labels, scores >= 0, sample_weight=each)
        assert balanced[at] == pytest.approx(theirs, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_what_has_no_rows_has_no_rate() -> None:
    assert accuracy([], [], 0.5) is balanced_accuracy([], [], 0.5) is true_positive_rate([], [], 0.5) is None
    assert (accuracy([1.0], [1], 0.5), true_positive_rate([1.0], [1], 0.5)) == (1.0, 1.0)
    assert balanced_accuracy([1.0], [1], 0.5) is false_positive_rate([1.0], [1], 0.5) is None
    assert true_positive_rate([1.0], [0], 0.5) is None and false_positive_rate([1.0], [0], 0.5) == 1.0
    assert np.isnan(mean_of([1.0, 2.0])(np.zeros((3, 2)))).all()
    assert np.isnan(true_positive_rate_of([1.0, 0.0], [1, 0], 0.5)(np.array([[0.0, 1.0]]))).all()
    assert np.isnan(false_positive_rate_of([1.0, 0.0], [1, 0], 0.5)(np.array([[1.0, 0.0]]))).all()


def test_a_score_at_the_threshold_is_called_fake_and_an_infinite_one_is_called_wrong() -> None:
    assert Outcomes.at([0.5, 0.5, -np.inf, np.inf], [1, 0, 1, 0], 0.5) == Outcomes(1, 1, 2, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_figures_of_five_types_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, told = zip(*pairs, strict=True)
    table = confusion(truth, told, 5)
    assert table.tolist() == metrics.confusion_matrix(truth, told, labels=range(5)).tolist()
    assert class_accuracy(table) == pytest.approx(metrics.accuracy_score(truth, told))
    assert macro_f1(table) == pytest.approx(metrics.f1_score(truth, told, average="macro", zero_division=0), abs=1e-12)
    there = [each for each in class_recalls(table) if each is not None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are told and not there
        assert np.mean(there) == pytest.approx(metrics.balanced_accuracy_score(truth, told), abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_confusion_of_nothing_has_no_figures_and_strange_classes_are_refused() -> None:
    nothing = confusion([], [], 5)
    assert nothing.shape == (5, 5) and class_accuracy(nothing) is macro_f1(nothing) is None
    assert class_recalls(nothing) == (None,) * 5
    for truth, told in (([5], [0]), ([0], [-1]), ([0, 1], [0])):
        with pytest.raises(ValueError, match="told ones"):
            confusion(truth, told, 5)
