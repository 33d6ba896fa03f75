"""The AUC within strata and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmidd.audit.ranking import area


def test_the_area_is_that_of_scikit_learn_with_ties() -> None:
    chance = np.random.default_rng(1)
    scores, truth = chance.integers(0, 9, 300).astype(np.float64), chance.random(300) < 0.3
    scores += truth
    found = area(scores, truth, np.zeros(300, np.int64), np.arange(300), 0)
    assert found is not None and found.auc == pytest.approx(roc_auc_score(truth, scores))
    assert found.low < found.auc < found.high


def test_only_rows_of_one_stratum_are_compared() -> None:
    truth = np.array([True, True, False, False, True, False])
    strata = np.array([0, 0, 0, 1, 1, 1])
    scores = np.array([1.0, 2.0, 0.0, 30.0, 40.0, 50.0])  # stratum 0: all right; stratum 1: one of two
    found = area(scores, truth, strata, np.arange(6), 0)
    assert found is not None and found.auc == pytest.approx((2 / 3 * 1 + 2 / 3 * 0.5) / (4 / 3))


def test_nothing_to_compare_is_no_area() -> None:
    truth = np.array([True, True, False])
    assert area(np.zeros(3), truth, np.array([0, 0, 1]), np.arange(3), 0) is None


def test_the_interval_counts_groups_and_not_rows() -> None:
    """A hundred copies of every row say no more than one."""
    chance = np.random.default_rng(2)
    truth, groups = np.arange(40) % 2 == 0, np.arange(40)
    scores = chance.normal(size=40) + truth
    once = area(scores, truth, np.zeros(40, np.int64), groups, 0)
    many = area(scores.repeat(100), truth.repeat(100), np.zeros(4000, np.int64), groups.repeat(100), 0)
    assert once is not None and many is not None
    assert (many.low, many.high) == pytest.approx((once.low, once.high), abs=1e-9)


def test_above_is_a_one_sided_p() -> None:
    chance = np.random.default_rng(3)
    truth = np.arange(400) % 2 == 0
    found = area(chance.normal(size=400) + 2 * truth, truth, np.zeros(400, np.int64), np.arange(400), 0)
    assert found is not None and found.above(0.55) < 1e-6 and found.above(found.auc) == pytest.approx(0.5)
    sure = area(truth.astype(np.float64), truth, np.zeros(400, np.int64), np.arange(400), 0)
    assert sure is not None and sure.error == 0 and sure.above(0.55) == 0 and sure.above(1.0) == 1
