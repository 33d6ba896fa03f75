"""Exact tests and intervals, against textbook values and against scipy where it is installed."""

from __future__ import annotations

import random

import pytest

from mmidd.statistics import fisher, holm, matched, wilson


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


def test_corrections_for_many_tests_are_the_textbooks() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
