"""Figures without a threshold, against their definitions and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.statistics import (
    Counts,
    Ranking,
    auroc,
    average_precision,
    equal_error_rate,
    lacking,
    partial_auroc,
    tpr_at,
)

from .made import Ranked, any_rows, ranked, weighted

CASES = [(seed, ties, share) for seed in range(4) for ties in (False, True) for share in (0.5, 0.05)]


@pytest.mark.parametrize(("seed", "ties", "share"), CASES)
def test_an_area_is_the_share_of_won_pairs(seed: int, ties: bool, share: float) -> None:
    scores, labels = ranked(seed, ties=ties, share=share)
    up, down = scores[labels == 1], scores[labels == 0]
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a in up for b in down]
    assert auroc(scores, labels) == pytest.approx(sum(won) / len(won), abs=1e-12)
    assert auroc(-scores, labels) == pytest.approx(1 - sum(won) / len(won), abs=1e-12)


@pytest.mark.parametrize(("seed", "ties", "share"), CASES)
def test_figures_are_those_of_scikit_learn(seed: int, ties: bool, share: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = ranked(seed, 300, ties, share)
    assert auroc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
    wrongly, rightly, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    rate = equal_error_rate(scores, labels)
    assert rate is not None
    assert any(
        abs((x1 - x0) * (1 - rate - y0) - (y1 - y0) * (rate - x0)) < 1e-12 and x0 <= rate <= x1 and y0 <= 1 - rate <= y1
        for x0, y0, x1, y1 in zip(wrongly, rightly, wrongly[1:], rightly[1:], strict=False)
    )


@pytest.mark.parametrize(
    ("scores", "labels", "area", "precision", "rate"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0, 1.0, 0.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0, 5 / 12, 1.0),
        ([1, 1, 1, 1], [0, 1, 0, 1], 0.5, 0.5, 0.5),
        ([1, 2, 3, 4], [0, 1, 0, 1], 0.75, 5 / 6, 0.5),
        ([0, 1], [0, 1], 1.0, 1.0, 0.0),
        ([float("inf"), float("-inf")], [1, 0], 1.0, 1.0, 0.0),
        ([1, 2], [1, 1], None, 1.0, None),
        ([1, 2], [0, 0], None, None, None),
        ([], [], None, None, None),
    ],
)
def test_figures_of_few_rows(
    scores: list[float], labels: list[int], area: float | None, precision: float | None, rate: float | None
) -> None:
    assert auroc(scores, labels) == pytest.approx(area)
    assert average_precision(scores, labels) == pytest.approx(precision)
    assert equal_error_rate(scores, labels) == pytest.approx(rate)


@pytest.mark.parametrize("wrong", [([1.0, float("nan")], [0, 1]), ([1.0], [0, 1])])
def test_scores_that_are_no_numbers_are_refused(wrong: tuple[list[float], list[int]]) -> None:
    with pytest.raises(ValueError, match="scores of 2 rows"):
        auroc(*wrong)


@settings(max_examples=150)
@given(any_rows(), st.sampled_from([0.01, 0.05, 0.1, 0.37, 0.999, 1.0]))
def test_figures_of_any_rows_are_those_of_scikit_learn(rows: Ranked, fpr: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    counts = Ranking.of(scores, labels).counts()
    assert auroc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
    assert counts.partial_auroc(fpr) == pytest.approx(metrics.roc_auc_score(labels, scores, max_fpr=fpr), abs=1e-12)
    wrongly, rightly, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert counts.tpr_at(fpr) == pytest.approx(rightly[wrongly <= fpr].max(), abs=1e-12)


@settings(max_examples=100)
@given(any_rows(), st.integers(0, 2**32 - 1), st.booleans())
def test_weighted_figures_are_those_of_scikit_learn_and_of_repeated_rows(rows: Ranked, seed: int, whole: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rows
    chance = np.random.default_rng(seed)
    weights = chance.integers(4, size=(3, len(scores))).astype(np.float64) if whole else chance.random((3, len(scores)))
    weights[:, [np.argmax(labels == 0), np.argmax(labels == 1)]] += 1
    counts = weighted(scores, labels, weights)
    for at, each in enumerate(weights):
        area = metrics.roc_auc_score(labels, scores, sample_weight=each)
        assert counts.auroc()[at] == pytest.approx(area, abs=1e-12)
        precision = metrics.average_precision_score(labels, scores, sample_weight=each)
        assert counts.average_precision()[at] == pytest.approx(precision, abs=1e-12)
        partial = metrics.roc_auc_score(labels, scores, sample_weight=each, max_fpr=0.3)
        assert counts.partial_auroc(0.3)[at] == pytest.approx(partial, abs=1e-12)
        wrongly, rightly, _ = metrics.roc_curve(labels, scores, sample_weight=each, drop_intermediate=False)
        assert counts.tpr_at(0.3)[at] == pytest.approx(rightly[wrongly <= 0.3 + 1e-12].max(), abs=1e-12)
        if whole:
            again = np.repeat(scores, each.astype(int)), np.repeat(labels, each.astype(int))
            assert counts.equal_error_rate()[at] == pytest.approx(equal_error_rate(*again), abs=1e-12)


@settings(max_examples=100)
@given(any_rows())
def test_the_equal_error_rate_is_the_root_that_peers_find(rows: Ranked) -> None:
    """Where the curve has one y at each x: brentq finds any of several roots elsewhere."""
    optimize, interpolate = pytest.importorskip("scipy.optimize"), pytest.importorskip("scipy.interpolate")
    metrics = pytest.importorskip("sklearn.metrics")
    wrongly, rightly, _ = metrics.roc_curve(rows[1], rows[0])
    rate = equal_error_rate(*rows)
    assert rate is not None
    if len(set(wrongly)) == len(wrongly):
        peers = optimize.brentq(lambda x: 1.0 - x - interpolate.interp1d(wrongly, rightly)(x), 0.0, 1.0)
        assert rate == pytest.approx(peers, abs=1e-9)
    nearest = wrongly[np.nanargmin(np.abs(1 - rightly - wrongly))]
    assert abs(rate - nearest) <= np.diff(wrongly).max() / 2 + np.diff(rightly).max() / 2 + 1e-12


@pytest.mark.parametrize(
    ("scores", "labels", "fpr", "rate", "area"),
    [
        ([*range(20), 19.5, 18.5], [0] * 20 + [1, 1], 0.05, 1.0, None),  # one of twenty is 0.05, however it is rounded
        ([*range(20), 19.5, 18.5], [0] * 20 + [1, 1], 0.04, None, None),  # 25 are needed
        ([*range(60), 57.5, 56.5], [0] * 60 + [1, 1], 0.05, 1.0, None),
        ([1.0] * 100 + [1.0] * 5, [0] * 100 + [1] * 5, 0.01, 0.0, 0.5),  # no threshold between: nothing is made up
        ([0.0] * 100 + [1.0] * 5, [0] * 100 + [1] * 5, 0.01, 1.0, 1.0),
        ([1.0] * 100 + [0.0] * 5, [0] * 100 + [1] * 5, 0.01, 0.0, None),
        ([0.0] * 100, [0] * 100, 0.01, None, None),
        ([0.0, 1.0], [0, 1], 0.5, None, None),
        ([0.0, 1.0], [0, 1], 1.0, 1.0, 1.0),
    ],
)
def test_a_rate_at_a_rate_needs_reals_enough_and_makes_nothing_up(
    scores: list[float], labels: list[int], fpr: float, rate: float | None, area: float | None
) -> None:
    assert tpr_at(scores, labels, fpr) == rate
    if area is not None:
        assert partial_auroc(scores, labels, fpr) == pytest.approx(area)


@pytest.mark.parametrize(
    ("labels", "fpr", "why"),
    [
        ([], None, "there are no rows: both classes are needed"),
        ([1, 1], None, "all 2 rows are fake: both classes are needed"),
        ([0, 0], 0.5, "all 2 rows are real: both classes are needed"),
        ([0, 1], None, None),
        ([0] * 99 + [1], 0.01, "99 reals: a false positive rate of 0.01 needs 100"),
        ([0] * 100 + [1], 0.01, None),
        ([0] * 20 + [1], 0.05, None),
        ([0] * 3 + [1], 1 / 3, None),
    ],
)
def test_why_there_is_no_figure_is_said(labels: list[int], fpr: float | None, why: str | None) -> None:
    assert lacking(labels, fpr) == why


MEASURES = (
    Counts.auroc,
    Counts.average_precision,
    Counts.equal_error_rate,
    lambda counts: counts.tpr_at(0.5),
    lambda counts: counts.partial_auroc(0.5),
)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 2, 10])
@pytest.mark.parametrize("label", [0, 1])
def test_of_one_class_a_figure_is_none_and_warns_of_nothing(rows: int, label: int) -> None:
    scores, labels = np.arange(rows) / 10, np.full(rows, label)
    assert auroc(scores, labels) is equal_error_rate(scores, labels) is tpr_at(scores, labels, 1.0) is None
    assert partial_auroc(scores, labels, 0.5) is None
    assert average_precision(scores, labels) == (1.0 if rows and label else None)
    for measure in MEASURES:
        once, many = (
            measure(Ranking.of(scores, labels).counts()),
            measure(weighted(scores, labels, np.ones((3, rows)))),
        )
        assert np.shape(once) == () and np.shape(many) == (3,)
        assert np.array_equal(many, np.full(3, once), equal_nan=True)


@pytest.mark.filterwarnings("error")
def test_a_resample_without_a_class_has_no_figure_and_the_others_keep_theirs() -> None:
    scores, labels = ranked(1, 30)
    weights = np.stack([np.ones(30), labels.astype(float), 1.0 - labels, np.zeros(30), np.ones(30) * 2])
    for measure in MEASURES:
        found = measure(weighted(scores, labels, weights))
        assert np.isnan(found[2:4]).all() and found[0] == pytest.approx(found[4]) == measure(
            Ranking.of(scores, labels).counts()
        )
        assert np.isnan(found[1]) or measure is Counts.average_precision


@pytest.mark.filterwarnings("error")
def test_what_has_no_score_can_rank_wrong_by_an_infinite_one_and_infinite_ones_tie() -> None:
    scores, labels = ranked(2, 50)
    lost = np.arange(50) % 7 == 0
    infinite = np.where(lost, np.where(labels == 1, -np.inf, np.inf), scores)
    finite = np.where(lost, np.where(labels == 1, -1e9, 1e9), scores)
    for measure in MEASURES:
        assert measure(Ranking.of(infinite, labels).counts()) == measure(Ranking.of(finite, labels).counts())
    assert auroc([np.inf, np.inf, -np.inf, -np.inf], [0, 1, 0, 1]) == 0.5
    assert auroc([np.inf, np.inf], [1, 0]) == 0.5 == equal_error_rate([np.inf, np.inf], [1, 0])


def test_classes_are_two() -> None:
    with pytest.raises(ValueError, match="positive"):
        auroc([0.1, 0.2, 0.3], [0, 1, 2])
    with pytest.raises(ValueError, match="up_to"):
        partial_auroc([0.1, 0.2], [0, 1], 0.0)
