"""Replies, taken apart: an answer counts only where there is exactly one, behind the reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.explanations.reply import MOST, read

WORDS = ("real", "fake")


@pytest.mark.parametrize(
    ("text", "answer", "chain", "formed"),
    [
        ("<think>the eyes match</think><answer>real</answer>", 0, "the eyes match", True),
        ("<think>a seam</think>\n<answer> Fake. </answer>\n", 1, "a seam", True),
        ("a seam at the chin <answer>fake</answer>", 1, "a seam at the chin", False),
        ("<think></think><answer>fake</answer>", 1, "", False),
        ("<think>a</think><answer>real</answer> and more", 0, "a", False),
        ("<think>a<think>b</think></think><answer>real</answer>", 0, "a b", False),
        ("<think>a</think>so <answer>real</answer>", 0, "a so", False),
    ],
)
def test_what_has_one_answer_has_it_and_its_form_is_told(text: str, answer: int, chain: str, formed: bool) -> None:
    found = read(text, WORDS)
    assert (found.answer, " ".join(found.chain.split()), found.formed, found.wrong) == (answer, chain, formed, None)


@pytest.mark.parametrize(
    ("text", "cut", "wrong"),
    [
        ("", False, "no answer"),
        ("<think>a", True, "cut off before an answer"),
        ("<answer>real</answer><answer>fake</answer>", False, "several answers"),
        ("<think>a</think><answer>real or fake</answer>", False, "both answers at once"),
        ("<think>a</think><answer>unreal</answer>", False, "an answer of other words"),
        ("<think>a</think><answer>not fake</answer>", False, "an answer of other words"),
        ("<think>a</think><answer></answer>", False, "an answer of other words"),
        ("it is real", False, "no answer"),
    ],
)
def test_what_has_no_one_answer_has_none_and_why(text: str, cut: bool, wrong: str) -> None:
    found = read(text, WORDS, cut=cut)
    assert (found.answer, found.wrong, found.formed) == (None, wrong, False)


@given(st.text(alphabet="<>/thinkanswerl f", max_size=80))
def test_whatever_is_said_is_read_and_a_formed_reply_has_reasons_and_an_answer(text: str) -> None:
    found = read(text, WORDS)
    assert (found.answer is None) == (found.wrong is not None)
    assert not found.formed or (found.answer is not None and found.chain)


def test_a_reply_without_end_is_read_to_a_limit() -> None:
    assert len(read("x" * (3 * MOST), WORDS).chain) == MOST
