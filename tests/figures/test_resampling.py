"""Intervals and differences over groups: what they are, what they cover, when they are none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.statistics import Figure, Ranking, Resamples, accuracy_of, auroc, auroc_interval, mean_of, resampling

from .made import clustered, ranked

Floats = npt.NDArray[np.float64]


def area(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Figure:
    ranking = Ranking.of(scores, labels)
    return lambda weights: ranking.counts(weights).auroc()


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


def test_several_figures_have_the_intervals_that_each_has_alone() -> None:
    (scores, labels), groups = clustered(1, 30, 4)
    ranking, resamples = Ranking.of(scores, labels), Resamples.of(groups, labels, resamples=200)
    own = resamples.interval(lambda weights: ranking.counts(weights).auroc())
    right = resamples.interval(accuracy_of(scores, labels, 0.5))

    def both(weights: Floats) -> Floats:
        return np.stack([ranking.counts(weights).auroc(), accuracy_of(scores, labels, 0.5)(weights)], axis=-1)

    assert resamples.intervals(both) == (own, right)
    assert own == auroc_interval(scores, labels, groups, resamples=200) and own is not None
    assert Resamples.of(groups % 4, resamples=9).intervals(both) == (None, None)


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
    first, second = (Ranking.of(scores + each * labels + chance.normal(size=180) / 3, labels) for each in (better, 0.0))
    resamples = Resamples.of(groups, labels, resamples=400)
    found = resamples.difference(lambda w: first.counts(w).auroc(), lambda w: second.counts(w).auroc())
    assert found is not None
    assert found.difference == pytest.approx((first.auroc() or 0) - (second.auroc() or 0))
    assert found.interval[0] <= found.difference <= found.interval[1]
    assert (found.p == pytest.approx(2 / 401)) == bool(better) == (found.interval[0] > 0)
    back = resamples.difference(lambda w: second.counts(w).auroc(), lambda w: first.counts(w).auroc())
    assert (
        back is not None and back.p == found.p and back.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    )


def test_a_figure_differs_from_itself_with_p_1_and_from_nothing_not_at_all() -> None:
    (scores, _), groups = clustered(3, 20, 3)
    resamples = Resamples.of(groups, resamples=100)
    same = resamples.difference(mean_of(scores), mean_of(scores))
    assert same is not None and same.p == 1.0 and same.interval == (0.0, 0.0)
    one = Ranking.of(scores, np.ones(60))
    assert resamples.difference(lambda w: one.counts(w).auroc(), lambda w: one.counts(w).auroc()) is None
    assert Resamples.of(groups % 3).difference(mean_of(scores), mean_of(scores)) is None


def test_two_detectors_that_are_as_good_differ_in_about_one_of_twenty_sets() -> None:
    found = 0
    for seed in range(200):
        (scores, labels), groups = clustered(seed, 40, 3)
        chance = np.random.default_rng(seed + 1000)
        a, b = (area(scores + chance.normal(size=40)[groups], labels) for _ in range(2))
        difference = Resamples.of(groups, labels, seed=seed, resamples=200).difference(a, b)
        found += difference is not None and difference.p < 0.05
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
    assert np.isfinite(Resamples.of(np.arange(rows), resamples=5).values(mean_of(np.arange(rows)))).all()
