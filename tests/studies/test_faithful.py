"""Figures of replies against hand-made ones: chance is what image-independent replies reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmidd.studies.faithful import NONE, SAYS, Line, Replies, entropy, lines

COUNT = 60
LABEL = np.arange(COUNT) % 2
SCORE = LABEL.astype(np.float64)
NAN = np.full(COUNT, np.nan)


def replies(**more: Any) -> Replies:
    """Of a model that is right, goes by its reasons, and names the eyes of fakes and the mouth of reals."""
    made = Replies(
        np.arange(COUNT) // 2, LABEL, LABEL, LABEL, SCORE * 0.8 + 0.1, SCORE * 0.6 + 0.2,
        [f"I see {place}" for place in range(COUNT)], [("eyes",) if each else ("mouth",) for each in LABEL],
        [()] * COUNT, [None] * COUNT, np.zeros(COUNT, bool), NAN, NAN, NAN, NAN, NAN,
    )  # fmt: skip
    return replace(made, **more)


def of(found: Replies, check: str, what: str = "") -> Line:
    return next(line for line in lines(found, resamples=200) if line.check == check and what in line.what)


def test_every_check_says_what_it_does_not_prove() -> None:
    assert {line.check for line in lines(replies(), resamples=10)} == set(SAYS)


def test_answers_that_follow_from_their_reasons_are_above_chance() -> None:
    line = of(replies(), "follows")
    assert line.found.value == 1 and line.chance and line.chance.value == pytest.approx(0.5)
    assert line.difference and line.difference.low is not None and line.difference.low > 0.3
    assert (line.found.rows, line.found.groups) == (60, 30)


@pytest.mark.parametrize(
    ("answer", "alone", "found", "difference"),
    [
        (np.ones(COUNT, np.int64), np.full(COUNT, 0.9), 1.0, 0.0),  # fake of everything, for the same reasons
        (LABEL, np.full(COUNT, 0.9), 0.5, 0.0),  # reasons that are the same for all
        (LABEL, 0.9 - LABEL * 0.8, 0.0, -0.5),  # reasons that argue against their answers
        (LABEL, LABEL * 0.5, 1.0, 0.5),  # 0.5 is fake, as in every table
        (LABEL, np.where(np.arange(COUNT) // 2 % 2, LABEL * 0.8 + 0.1, 0.9 - LABEL * 0.8), 0.5, 0.0),  # at random
    ],
    ids=["one answer", "one chain", "against", "at the threshold", "unrelated"],
)
def test_replies_that_have_nothing_to_do_with_each_other_are_at_chance(
    answer: Any, alone: Any, found: float, difference: float
) -> None:
    line = of(replies(answer=np.asarray(answer), alone=alone), "follows")
    assert line.found.value == pytest.approx(found) and line.difference
    assert line.difference.value == pytest.approx(difference)


def test_rows_without_an_answer_are_in_no_agreement_and_counted() -> None:
    wrong = ["no answer" if each else None for each in LABEL]
    found = replies(answer=np.where(LABEL == 1, NONE, 0), wrong=wrong)
    assert of(found, "follows").found.rows == 30 and of(found, "replies", "no answer").found.value == 0.5
    none = replies(answer=np.full(COUNT, NONE))
    assert of(none, "follows").found.value is None and of(none, "follows").found.why == "no row of this kind"


def test_covering_is_a_paired_difference_over_groups() -> None:
    chance = np.random.default_rng(0).random(COUNT)
    line = of(replies(named=chance + 0.2, others=np.where(LABEL == 1, chance, np.nan)), "covering")
    assert line.difference and line.difference.value == pytest.approx(0.2) and line.difference.low == pytest.approx(0.2)
    assert line.difference.rows == 30 and line.found.value != pytest.approx(0.2)


def test_masks_stand_beside_what_other_replies_name_and_any_area() -> None:
    found = replies(inside=np.full(COUNT, 0.6), inside_others=np.full(COUNT, 0.6), inside_any=np.full(COUNT, 0.2))
    others, area = (line for line in lines(found, resamples=50) if line.check == "masks")
    assert others.difference and others.difference.value == 0 and area.difference
    assert area.difference.value == pytest.approx(0.4)


def test_one_chain_for_all_pictures_is_seen() -> None:
    found = replies(chain=["I look at the eyes."] * COUNT, regions=[("eyes",)] * COUNT, grey=np.ones(COUNT, bool))
    told = {line.what: line.found.value for line in lines(found, resamples=10) if line.check == "replies"}
    assert told["the most frequent reasons, of all"] == 1 and told["bits in which parts are named"] == 0
    assert told["different reasons, of all"] == pytest.approx(1 / COUNT) and told["as of a grey picture"] == 1


def test_entropy_is_in_bits() -> None:
    assert entropy([("a",), ("b",), ("a", "b"), ()]) == 2 and entropy([("a",)] * 4) == 0 and entropy([]) == 0


def test_few_groups_have_no_interval() -> None:
    line = of(replies(group=np.arange(COUNT) % 4), "follows")
    assert line.found.value == 1 and not line.found.interval and "too few" in line.found.why
