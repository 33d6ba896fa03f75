"""What reasons argue for, sentence by sentence."""

from __future__ import annotations

import time

import pytest

from mmidd.explanations.polarity import MOST, bare, concluded, leaning

WORDS = ("real", "fake")
SENTENCES = {
    # the words lean to, the last statement says
    "The skin is blended. It looks fake.": (1, 1),
    "There is no sign of blending, it looks real": (0, 0),
    "It is not real": (1, 1),
    "It isn't real.": (1, 1),
    "It\u2019s fake": (1, 1),
    "The face does not appear to be manipulated": (0, 0),
    "It is not real but fake": (1, 1),
    "It looks real but is fake": (None, 1),
    "The eyes look real. It is fake.": (None, 1),
    "real or fake?": (None, None),
    "I cannot say whether it is real or fake": (None, None),
    "artifacts are not visible": (0, None),
    "artifacts are absent": (0, None),
    "The image seems free of artifacts": (0, None),
    "it cannot be said to be without artifacts": (1, None),
    "Not only artifacts but also seams.": (1, None),
    "without doubt a fake; so it is fake": (1, 1),
    "the skin does not look natural": (1, None),
    "Therefore the picture is genuine": (0, 0),
    "Conclusion: spoof": (1, 1),
    "moir\u00e9 on the paper, it isn't a live person": (1, 1),
    "It looks \uff26\uff21\uff2b\uff25": (1, 1),
    "It is FAKE!!!": (1, 1),
    "<b>it is</b> fake <answer>": (1, None),
    "a non-live face": (1, None),
    "I cannot rule out that it is fake": (None, None),
    "It cannot be ruled out that this is a spoof": (None, None),
    "it is fake?": (None, None),
    "It might be fake": (1, None),
    "It is neither real nor fake": (None, None),
    "It is both real and fake": (None, None),
    "neither blended nor distorted": (0, None),
    "no seams nor artifacts": (0, None),
    "without a doubt it is fake": (1, 1),
    "I doubt that it is real": (1, 1),
    "it is anything but real": (1, 1),
    "the skin is far from natural": (1, None),
    "It is too smooth to be real": (1, 1),
    "It is not unnatural": (0, None),
    "": (None, None),
    "   \n\t": (None, None),
    "I look at the eyes, the mouth and the skin of the face.": (None, None),
    "Das Gesicht ist gef\u00e4lscht.": (None, None),
    "\u8fd9\u5f20\u8138\u662f\u5047\u7684": (None, None),
    "\U0001f600 \u202e \x00": (None, None),
}


@pytest.mark.parametrize(("chain", "expected"), SENTENCES.items(), ids=lambda each: repr(each)[:40])
def test_a_sentence_leans_and_states(chain: str, expected: tuple[int | None, int | None]) -> None:
    assert (leaning(chain, WORDS).answer, concluded(chain, WORDS)) == expected


def test_the_answers_own_words_count_and_one_that_negates_does_not() -> None:
    assert concluded("it is yes", ("yes", "no")) == 0 and concluded("it is bad", ("good", "bad")) == 1
    assert concluded("it is not bad", ("good", "bad")) == 0
    assert leaning("no artifacts", ("yes", "no")).answer == 0
    assert concluded("it is fake", ("fake", "real")) == 0  # words turned around go before ours


@pytest.mark.parametrize("piece", ["it is not ", "no ", "<", "a", "fake. ", "'", "is " * 5 + "real or "])
def test_a_very_long_chain_takes_no_time_and_its_end_counts(piece: str) -> None:
    begun = time.process_time()
    chain = piece * (200_000 // len(piece)) + ". It looks fake."
    assert concluded(chain, WORDS) == 1
    leaning(chain, WORDS)
    assert time.process_time() - begun < 2 and len(chain) > MOST


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("It looks fake.", True), ("fake fake fake", True), ("I am sure that it isn't real, so it is a fake!", True),
        ("...", True),
        ("The skin looks fake.", False), ("fake: a seam", False), ("Are the eyes odd?", False), ("fake?", True),
        ("Es ist fake", False),
        ("I look at the eyes. It looks fake.", False),
    ],
)  # fmt: skip
def test_reasons_that_are_only_the_answer_are_bare(chain: str, expected: bool) -> None:
    assert bare(chain, WORDS) is expected
