"""The error of an area and of a difference: against the definitions, the bootstrap, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from mmidd.statistics import Draws, auroc_error, delong, delong_clustered

from .made import Ranked, any_rows, clustered, ranked

Floats = npt.NDArray[np.float64]


def placed(scores: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Of each positive and each other the share of pairs that it wins, pair by pair."""
    won = [[1.0 if a > b else 0.5 if a == b else 0.0 for b in scores[labels == 0]] for a in scores[labels == 1]]
    return np.mean(won, axis=1), np.mean(won, axis=0)


def by_pairs(first: Floats, second: Floats, labels: npt.NDArray[np.int64]) -> float:
    """DeLong's variance of the difference, as he writes it: L S L' of the covariances of both areas."""
    (x, a), (y, b) = placed(first, labels), placed(second, labels)
    contrast = np.array([1.0, -1.0])
    return float(contrast @ (np.cov(x, y) / len(x) + np.cov(a, b) / len(a)) @ contrast)


@settings(max_examples=100)
@given(any_rows(), any_rows())
def test_delong_is_that_of_his_definition(rows: Ranked, others: Ranked) -> None:
    first, labels = rows
    second = np.resize(others[0], len(first))
    found = delong(first, second, labels)
    if min(labels.sum(), (1 - labels).sum()) < 2:
        assert found is None
        return
    variance = by_pairs(first, second, labels)
    assert found is not None and found.error**2 == pytest.approx(variance, abs=1e-12)
    assert found.areas == pytest.approx([np.mean(placed(each, labels)[0]) for each in (first, second)], abs=1e-12)
    assert found.difference == pytest.approx(found.areas[0] - found.areas[1], abs=1e-12)


def test_its_p_is_that_of_the_normal_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    scores, labels = ranked(1, 80)
    found = delong(scores, scores + np.random.default_rng(1).normal(size=80), labels)
    assert found is not None and found.z == pytest.approx(found.difference / found.error)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.difference / found.error)))
    low, high = found.interval()
    assert (low, high) == pytest.approx(stats.norm.interval(0.95, found.difference, found.error))


def clustered_by_hand(scores: Floats, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> float:
    """Obuchowski's variance of an area, cluster by cluster."""
    x, y = placed(scores, labels)
    area, ups, downs = float(x.mean()), groups[labels == 1], groups[labels == 0]
    names = sorted(set(groups))
    up = np.array([(x[ups == name] - area).sum() for name in names])
    down = np.array([(y[downs == name] - area).sum() for name in names])
    held_up, held_down = len(set(ups)), len(set(downs))
    s10 = held_up / ((held_up - 1) * len(x)) * (up**2).sum()
    s01 = held_down / ((held_down - 1) * len(y)) * (down**2).sum()
    s11 = len(names) / (len(names) - 1) * (up * down).sum()
    return float(s10 / len(x) + s01 / len(y) + 2 * s11 / (len(x) * len(y)))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_clustered_error_is_that_of_its_definition(mixed: bool, ties: bool) -> None:
    (scores, labels), groups = clustered(1, 14, 4, mixed=mixed)
    scores = np.round(scores) if ties else scores
    groups = groups[np.random.default_rng(0).permutation(56)] if mixed else groups
    found = auroc_error(scores, labels, [f"g{each}" for each in groups])
    assert found is not None and found**2 == pytest.approx(max(0.0, clustered_by_hand(scores, labels, groups)), abs=1e-12)


def test_with_one_row_a_group_both_are_one() -> None:
    scores, labels = ranked(3, 50, ties=True)
    other = np.random.default_rng(1).normal(size=50)
    alone, grouped = delong(scores, other, labels), delong_clustered(scores, other, labels, np.arange(50)[::-1])
    assert alone is not None and grouped is not None and grouped.areas == alone.areas
    assert (grouped.error, grouped.z, grouped.p) == pytest.approx((alone.error, alone.z, alone.p), abs=1e-12)
    assert auroc_error(scores, labels) == auroc_error(scores, labels, np.arange(50))


def spread(scores: Floats, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> float:
    areas = Draws.of(groups, resamples=2000).auroc(scores, labels == 1)
    assert areas is not None
    return float(np.std(areas))


def test_on_independent_rows_the_error_is_the_bootstraps() -> None:
    scores, labels = ranked(1, 400)
    assert auroc_error(scores, labels) == pytest.approx(spread(scores, labels, np.arange(400)), rel=0.06)


@pytest.mark.parametrize(("rows", "mixed", "wrong"), [(10, False, (0.3, 0.6)), (2, True, (1.25, 2.2))])
def test_of_groups_the_clustered_error_is_the_bootstraps_and_the_plain_one_is_wrong(
    rows: int, mixed: bool, wrong: tuple[float, float]
) -> None:
    """Where a group is of one class the plain error is far too small; where a fake lies beside its real it is too large."""
    (scores, labels), groups = clustered(1, 200, rows, mixed=mixed)
    truth, plain = spread(scores, labels, groups), auroc_error(scores, labels)
    assert auroc_error(scores, labels, groups) == pytest.approx(truth, rel=0.08)
    assert plain is not None and wrong[0] < plain / truth < wrong[1]


def found_of(seeds: int, rows: int) -> tuple[float, float]:
    """How often two detectors that are as good differ at 0.05: by the clustered test, and by the plain one."""
    found = [0, 0]
    for seed in range(seeds):
        (scores, labels), groups = clustered(seed, 80, rows)
        chance = np.random.default_rng(seed + 1000)
        a, b = (scores + chance.normal(size=80)[groups] for _ in range(2))
        for at, each in enumerate((delong_clustered(a, b, labels, groups), delong(a, b, labels))):
            found[at] += each is not None and each.p is not None and each.p < 0.05
    return found[0] / seeds, found[1] / seeds


def test_as_good_detectors_differ_in_one_of_twenty_sets_and_in_half_if_frames_are_taken_for_independent() -> None:
    alone, plain = found_of(400, 1)
    assert alone == plain and 0.02 <= alone <= 0.085
    by_group, by_row = found_of(400, 8)
    assert 0.02 <= by_group <= 0.085 and by_row >= 0.3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("a", "b", "labels", "z", "p"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], [0, 0, 1, 1], 0.0, 1.0),  # both perfect
        ([1, 2, 3, 4], [10, 20, 30, 40], [0, 1, 0, 1], 0.0, 1.0),  # one order
        ([1, 1, 1, 1], [2, 2, 2, 2], [0, 1, 0, 1], 0.0, 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 1, 1], None, None),  # perfectly right and perfectly wrong: no error to speak of
    ],
)
def test_without_an_error_a_difference_has_a_p_only_if_it_is_none(
    a: list[int], b: list[int], labels: list[int], z: float | None, p: float | None
) -> None:
    found = delong(a, b, labels)
    assert found is not None and found.error == 0 and (found.z, found.p) == (z, p)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 10])
def test_too_few_rows_or_groups_have_none(rows: int) -> None:
    labels = np.arange(rows) % 2
    scores = np.arange(rows) % 3
    enough = rows >= 4
    assert (delong(scores, -scores, labels) is None) == (not enough)
    assert (auroc_error(scores, labels) is None) == (not enough)
    assert auroc_error(scores, np.ones(rows)) is None
    assert delong_clustered(scores, -scores, labels, np.zeros(rows)) is None
    assert auroc_error(scores, labels, labels) is None  # one group of each class


def test_infinite_scores_rank() -> None:
    scores, labels = ranked(1, 40)
    lost = np.where(np.arange(40) % 5 == 0, np.where(labels == 1, -np.inf, np.inf), scores)
    far = np.nan_to_num(lost, posinf=1e6, neginf=-1e6)
    assert delong(lost, scores, labels) == delong(far, scores, labels)


def test_groups_are_as_many_as_rows() -> None:
    with pytest.raises(ValueError, match="3 groups of 4 rows"):
        delong_clustered([1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 0, 1], [1, 2, 3])
