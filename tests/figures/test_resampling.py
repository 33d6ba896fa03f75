"""Intervals and differences over groups: what they are, what they cover, when they are none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.statistics import Draws, auroc, auroc_interval, interval, p_of

from .made import clustered, ranked

Floats = npt.NDArray[np.float64]


def areas(draws: Draws, scores: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
    found = draws.auroc(np.asarray(scores, np.float64), np.asarray(labels) == 1)
    assert found is not None
    return found


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_is_that_of_resampling_groups_one_by_one(ties: bool) -> None:
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


def test_fewer_than_five_groups_of_a_class_have_no_interval_of_an_area() -> None:
    scores, labels = ranked(1, 60)
    labels = (np.arange(60) >= 4).astype(np.int64)
    assert auroc_interval(scores, labels, np.arange(60)) is None
    labels[4] = 0
    assert auroc_interval(scores, labels, np.arange(60)) is not None
    assert auroc_interval(scores, np.ones(60), np.arange(60)) is None


@pytest.mark.parametrize("better", [0.0, 2.0])
def test_a_paired_difference_tells_a_better_detector_and_not_a_like_one(better: float) -> None:
    (scores, labels), groups = clustered(2, 60, 3)
    chance = np.random.default_rng(1)
    first, second = (scores + each * labels + chance.normal(size=180) / 3 for each in (better, 0.0))
    draws = Draws.of(groups, resamples=400)
    found = areas(draws, first, labels) - areas(draws, second, labels)
    low, high = interval(found) or (0.0, 0.0)
    assert low <= (auroc(first, labels) or 0) - (auroc(second, labels) or 0) <= high
    assert (p_of(found) == pytest.approx(2 / 401)) == bool(better) == (low > 0)
    assert p_of(-found) == p_of(found) and interval(-found) == pytest.approx((-high, -low))


def test_a_figure_differs_from_itself_with_p_1_and_resamples_without_a_class_are_no_figure() -> None:
    (scores, labels), groups = clustered(3, 20, 3)
    found = areas(Draws.of(groups, resamples=100), scores, labels)
    assert p_of(found - found) == 1.0 and interval(found - found) == (0.0, 0.0)
    assert np.isnan(areas(Draws.of(groups, resamples=9), scores, np.ones(60))).all()
    assert interval(np.full(9, np.nan)) is None and interval(np.array([])) is None
    assert interval(np.array([np.nan] * 2 + [0.5] * 18)) is None and interval(np.array([np.nan] + [0.5] * 19)) is not None


@pytest.mark.parametrize("size", [3, 64, 65])
def test_sums_of_resamples_are_those_of_their_rows(size: int) -> None:
    chance = np.random.default_rng(1)
    groups, key, weight = chance.integers(9, size=50), chance.integers(size, size=50), chance.random(50)
    draws, some = Draws.of([f"g{each}" for each in groups], seed=2, resamples=30), chance.random(50) < 0.7
    found = draws.sums(key, size, weight, some)
    for at, times in enumerate(draws.times):
        each = times[draws.group] * some
        assert found[at] == pytest.approx(np.bincount(key, each * weight, minlength=size))


def test_two_detectors_that_are_as_good_differ_in_about_one_of_twenty_sets() -> None:
    found = 0
    for seed in range(200):
        (scores, labels), groups = clustered(seed, 40, 3)
        chance = np.random.default_rng(seed + 1000)
        draws = Draws.of(groups, seed=seed, resamples=200)
        a, b = (areas(draws, scores + chance.normal(size=40)[groups], labels) for _ in range(2))
        found += p_of(a - b) < 0.05
    assert 3 <= found <= 20


def test_rows_taken_for_groups_cover_the_truth_far_too_seldom() -> None:
    """Frames counted as if they were independent: what this package is against."""
    truth = 0.7602
    by_group = by_row = 0
    for seed in range(100):
        (scores, labels), groups = clustered(seed, 60, 8)
        for name, of in (("group", groups), ("row", np.arange(480))):
            found = auroc_interval(scores, labels, of, seed=seed, resamples=200)
            assert found is not None
            by_group += name == "group" and found[0] <= truth <= found[1]
            by_row += name == "row" and found[0] <= truth <= found[1]
    assert by_group >= 88 and by_row <= 70


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_few_rows_have_figures_and_no_false_intervals(rows: int) -> None:
    labels = np.arange(rows) % 2
    found = auroc_interval(np.arange(rows), labels, np.arange(rows))
    assert (found is None) == (rows < 10)
    assert (auroc(np.arange(rows), labels) is None) == (rows < 2)
    assert Draws.of(np.arange(rows), resamples=5).few == (rows < 5)
    with pytest.raises(ValueError, match="one each a row"):
        auroc_interval(np.arange(rows), labels, np.arange(rows + 1))
