"""Collapse is told by the figures of the last steps, each kind in its own words; what is none goes on."""

from __future__ import annotations

from typing import Any

import pytest
from mmidd.detectors.explain.collapse import WINDOW, collapsed, learnt

GOOD = {
    "reward": 1.0, "right": 0.7, "formed": 0.9, "empty": 0.0, "cut": 0.05, "no_signal": 0.2,
    "answered.real.of_reals": 0.7, "answered.fake.of_reals": 0.2,
    "answered.real.of_fakes": 0.2, "answered.fake.of_fakes": 0.7,
}  # fmt: skip
MOST = 1.5
ALL_FAKE: dict[str, Any] = {"answered.fake.of_reals": 0.98, "answered.fake.of_fakes": 0.99}


def steps(count: int = WINDOW, **figures: Any) -> list[dict[str, float]]:
    """`figures`: a number, or what it is in the first and in the second half."""
    halves = [
        {name: value[half] if isinstance(value, tuple) else value for name, value in figures.items()} for half in (0, 1)
    ]
    return [GOOD | halves[step >= count // 2] for step in range(count)]


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"cut": 0.95}, "95% ran into the limit of reply_tokens"),
        ({"formed": 0.01}, "1% have the form"),
        ({"empty": 0.95}, "95% give no reasons"),
        (ALL_FAKE, "98% of those to reals and 99% of those to fakes answer fake, whatever the picture"),
        ({"answered.real.of_reals": 1.0, "answered.real.of_fakes": 0.97}, "answer real, whatever the picture"),
        ({"no_signal": 0.95, "right": 0.5}, "rewarded alike, and 50% of the answers were right: nothing can be learnt"),
        (
            {"reward": (0.8, 1.0), "right": (0.7, 0.5)},
            "the reward rose by 0.20 while the share of right answers fell by 20%",
        ),
    ],
)
def test_each_kind_is_named(figures: dict[str, Any], words: str) -> None:
    assert words in (collapsed(steps(**figures), MOST) or "")
    assert collapsed(steps(WINDOW - 1, **figures), MOST) is None, "before there are so many steps nothing is said"
    assert learnt(steps(**figures), MOST) is None


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"cut": (1.0, 0.3), "empty": (1.0, 0.3), "formed": (0.0, 0.5)},  # it recovers
        {"answered.fake.of_reals": 0.5, "answered.fake.of_fakes": 1.0},  # one class is easy
        {"answered.real.of_reals": 1.0, "answered.fake.of_fakes": 1.0, "right": 1.0},
        {"reward": (0.8, 1.0), "right": (0.6, 0.8)},
        {"reward": (1.0, 0.8), "right": (0.8, 0.6)},  # both fall: bad luck, and no hacking
        {"reward": (0.8, 1.0), "right": (0.7, 0.65)},  # noise
        {"no_signal": 0.8, "right": 0.5},
    ],
)
def test_what_is_no_collapse_goes_on(figures: dict[str, Any]) -> None:
    assert collapsed(steps(**figures), MOST) is None and learnt(steps(**figures), MOST) is None


def test_one_class_alone_is_no_collapse_to_one_answer() -> None:
    fakes = [{name: value for name, value in each.items() if "of_reals" not in name} for each in steps(**ALL_FAKE)]
    assert collapsed(fakes, MOST) is None


def test_no_signal_with_right_answers_is_the_end_of_learning_and_no_failure() -> None:
    done = steps(no_signal=0.95, right=0.97)
    assert collapsed(done, MOST) is None and "no signal is left to learn from" in (learnt(done, MOST) or "")
    nearly = [each | ALL_FAKE for each in done]  # of nine fakes in ten one answer is right too
    assert learnt(nearly, MOST) is None and "whatever the picture" in (collapsed(nearly, MOST) or "")
