"""Curves, against scikit-learn's, and what thinning keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from mmidd.statistics import auroc, average_precision, precision_recall, roc

from .made import Ranked, any_rows, ranked


@settings(max_examples=100)
@given(any_rows())
def test_curves_are_those_of_scikit_learn(rows: Ranked) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    curve, theirs = roc(scores, labels), metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert curve is not None
    for mine, other in zip((curve.x, curve.y, curve.thresholds), theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-12)
    steps, (precision, recall, thresholds) = precision_recall(scores, labels), metrics.precision_recall_curve(labels, scores)
    assert steps is not None
    for mine, other in zip((steps.y, steps.x, steps.thresholds), (precision[:-1], recall[:-1], thresholds), strict=True):
        assert mine[::-1] == pytest.approx(other, abs=1e-12)


@settings(max_examples=100)
@given(any_rows())
def test_thinning_keeps_the_area_and_the_precision(rows: Ranked) -> None:
    scores, labels = rows
    full, thin = roc(scores, labels), roc(scores, labels, thin=True)
    steps = precision_recall(scores, labels, thin=True)
    assert full is not None and thin is not None and steps is not None
    assert np.trapezoid(thin.y, thin.x) == pytest.approx(auroc(scores, labels), abs=1e-12)
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1) and len(thin) <= len(full)
    assert np.interp(full.x, thin.x, thin.y)[-1] == 1.0
    assert (np.diff(steps.x, prepend=0) * steps.y).sum() == pytest.approx(average_precision(scores, labels), abs=1e-12)


def test_thinning_leaves_few_points_of_many() -> None:
    scores, labels = np.arange(10_000.0), np.arange(10_000) >= 5_000
    thin = roc(scores, labels, thin=True)
    assert thin is not None and list(zip(thin.x, thin.y, thin.thresholds, strict=True)) == [
        (0, 0, np.inf),
        (0, 1, 5_000),
        (1, 1, 0),
    ]
    rows = ranked(1, 3000)
    full, thin = roc(*rows), roc(*rows, thin=True)
    assert full is not None and thin is not None and len(thin) < 0.7 * len(full)


def test_a_curve_of_one_class_is_none() -> None:
    assert roc([1.0, 2.0], [1, 1]) is roc([1.0, 2.0], [0, 0]) is roc([], []) is None
    assert precision_recall([1.0, 2.0], [0, 0]) is precision_recall([], []) is None
    only = precision_recall([1.0, 2.0], [1, 1])
    assert only is not None and only.y.tolist() == [1.0, 1.0] and only.x.tolist() == [0.5, 1.0]
