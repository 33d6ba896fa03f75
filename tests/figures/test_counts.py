"""Exact tests and intervals, against textbook values and against scipy where it is installed."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.statistics import (
    auroc,
    auroc_interval,
    average_precision,
    equal_error_rate,
    fisher,
    matched,
    resampling,
    wilson,
)


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ((3, 4, 1, 4), 34 / 70),  # Fisher's lady and her tea
        ((0, 12, 12, 12), 2 / 2704156),
        ((0, 5, 0, 9), 1.0),
        ((5, 5, 9, 9), 1.0),
        ((0, 0, 3, 9), 1.0),
        ((1, 1, 0, 1), 1.0),
    ],
)
def test_fishers_p_is_the_textbooks(table: tuple[int, int, int, int], p: float) -> None:
    assert fisher(*table) == pytest.approx(p)


@pytest.mark.parametrize(
    ("families", "p"),
    [
        ([], 1.0),
        ([(True, True), (False, False, False)], 1.0),  # nothing differs within a family
        ([(False, True)] * 12, 2 * 0.5**12),
        ([(False, True)] * 6 + [(True, False)] * 6, 1.0),
        ([(True, False, False)] * 2, 1 / 9),  # a real of three is the lost one, twice
        ([(False, True, False)] * 2, 1.0),
    ],
)
def test_the_p_of_matched_families_is_that_of_the_real_being_the_lost_one(
    families: list[tuple[bool, ...]], p: float
) -> None:
    assert matched(families) == pytest.approx(p)


def test_both_tests_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = random.Random(1)
    for _ in range(300):
        a, b = draw.randint(1, 60), draw.randint(1, 400)
        x, y = draw.randint(0, a), draw.randint(0, b)
        assert fisher(x, a, y, b) == pytest.approx(stats.fisher_exact([[x, a - x], [y, b - y]])[1], rel=1e-9)
        c, d = draw.randint(0, 30), draw.randint(1, 30)
        mcnemar = stats.binomtest(c, c + d).pvalue
        assert matched([(True, False)] * c + [(False, True)] * d + [(True, True)]) == pytest.approx(mcnemar, rel=1e-9)


def test_counts_of_a_million_neither_overflow_nor_lose_a_probability() -> None:
    assert fisher(100_000, 1_000_000, 100_000, 1_000_000) == pytest.approx(1.0)
    assert fisher(0, 1_000_000, 900_000, 1_000_000) == 0.0


@pytest.mark.parametrize(
    ("lost", "total", "interval"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0)), (0, 0, (0, 1))],
)
def test_the_wilson_interval_is_the_tables(lost: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson(lost, total) == pytest.approx(interval, abs=1e-4)


Ranked = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def ranked(seed: int, rows: int = 40, ties: bool = False, share: float = 0.5) -> Ranked:
    chance = np.random.default_rng(seed)
    labels = (chance.random(rows) < share).astype(np.int64)
    labels[:2] = 0, 1
    scores = chance.normal(size=rows) + labels
    return np.round(scores) if ties else scores, labels


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


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_is_that_of_resampling_groups_one_by_one(ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = ranked(5, 90, ties)
    groups = np.random.default_rng(1).integers(12, size=90)
    chance, areas = np.random.default_rng(3), list[float]()
    for drawn in chance.integers(12, size=(200, 12)):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        area = auroc(scores[rows], labels[rows])
        assert area is not None
        areas.append(area)
    expected = tuple(np.percentile(areas, [2.5, 97.5]))
    assert auroc_interval(scores, labels, groups, seed=3, resamples=200) == pytest.approx(expected)
    monkeypatch.setattr(resampling, "_CELLS", 1000)
    assert auroc_interval(scores, labels, groups, seed=3, resamples=200) == pytest.approx(expected)
    assert auroc_interval(scores, labels, [f"g{group}" for group in groups], seed=3, resamples=200) is not None


def test_copies_of_a_row_within_its_group_make_no_interval_narrower() -> None:
    scores, labels = ranked(6, 60)
    groups = np.arange(60) // 3
    once = auroc_interval(scores, labels, groups)
    many = auroc_interval(np.repeat(scores, 7), np.repeat(labels, 7), np.repeat(groups, 7))
    assert once == pytest.approx(many)
    alone = auroc_interval(np.repeat(scores, 7), np.repeat(labels, 7), np.arange(420))
    assert alone is not None and once is not None and alone[1] - alone[0] < (once[1] - once[0]) / 2


def test_an_interval_that_would_say_nothing_is_none() -> None:
    scores, labels = ranked(7, 40)
    assert auroc_interval(scores, labels, np.arange(40) % 4) is None
    assert auroc_interval(scores, labels, np.arange(40) % 5) is not None
    assert auroc_interval([], [], []) is None
    lone = np.zeros(40, np.int64)
    lone[:2] = 1  # both of one group of ten, which a third of the resamples lack
    assert auroc_interval(scores, lone, np.arange(40) // 4) is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth, covered = 0.7602, 0  # two normals a distance of 1 apart: P(N(1, 2) > 0)
    for seed in range(200):
        chance = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 60)
        found = auroc_interval(chance.normal(size=120) + labels, labels, np.arange(120), seed=seed, resamples=300)
        assert found is not None
        covered += found[0] <= truth <= found[1]
    assert 0.9 <= covered / 200 <= 0.99
