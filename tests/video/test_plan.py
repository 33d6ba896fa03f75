from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.video import Spacing, frame_plan

spacings = st.sampled_from(get_args(Spacing))


@pytest.mark.parametrize(
    ("spacing", "frame_count", "count", "expected"),
    [
        ("even", 100, 4, (12, 37, 62, 87)),
        ("even", 300, 1, (150,)),
        ("even", 7, 3, (1, 3, 5)),
        ("linspace", 100, 4, (0, 33, 66, 99)),
        ("linspace", 300, 1, (0,)),
        ("consecutive", 100, 4, (48, 49, 50, 51)),
        ("consecutive", 5, 2, (1, 2)),
        ("even", 3, 32, (0, 1, 2)),
        ("linspace", 3, 32, (0, 1, 2)),
        ("consecutive", 3, 32, (0, 1, 2)),
        ("even", 0, 32, ()),
        ("even", 10**12, 2, (250000000000, 750000000000)),
        ("even", 4, 10**12, (0, 1, 2, 3)),
    ],
)
def test_known_plans(spacing: Spacing, frame_count: int, count: int, expected: tuple[int, ...]) -> None:
    assert frame_plan(frame_count, count, spacing) == expected


@given(st.integers(0, 5000), st.integers(1, 400), spacings)
def test_a_plan_is_sorted_unique_in_range_and_as_long_as_it_can_be(n: int, count: int, spacing: Spacing) -> None:
    plan = frame_plan(n, count, spacing)
    assert all(type(index) is int for index in plan)
    assert list(plan) == sorted(set(plan))
    assert len(plan) == min(count, n)
    assert all(0 <= index < n for index in plan)
    assert plan == frame_plan(n, count, spacing)


@given(st.integers(1, 10**15), st.integers(1, 200))
def test_even_frames_are_the_middles_of_equal_parts(n: int, count: int) -> None:
    plan = frame_plan(max(n, count), count, "even")
    for k, index in enumerate(plan):
        assert 2 * count * index <= (2 * k + 1) * max(n, count) < 2 * count * (index + 1)


@given(st.integers(1, 5000), st.integers(1, 300))
def test_linspace_is_deepfakebenchs_sampling_without_repeats(n: int, count: int) -> None:
    expected = np.unique(np.linspace(0, n - 1, count, endpoint=True, dtype=int))
    assert frame_plan(n, count, "linspace") == tuple(expected.tolist())


@given(st.integers(1, 5000), st.integers(1, 300))
def test_consecutive_frames_are_one_centred_run(n: int, count: int) -> None:
    plan = frame_plan(n, count, "consecutive")
    assert plan[-1] - plan[0] == len(plan) - 1
    assert 0 <= (n - 1 - plan[-1]) - plan[0] <= 1


@pytest.mark.parametrize(("frame_count", "count"), [(-1, 3), (10, 0), (10, -2)])
def test_impossible_numbers_are_refused(frame_count: int, count: int) -> None:
    with pytest.raises(ValueError, match="cannot plan"):
        frame_plan(frame_count, count, "even")
