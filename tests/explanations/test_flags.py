"""What a text about a face names of a person: told by its kind, and no false alarm on what such texts say of pictures."""

from __future__ import annotations

import time

import pytest

from mmidd.explanations.flags import KINDS, Flag, flags, kinds, withheld

NAMED = {
    "race": (
        "The Asian man", "a black man smiles", "He is black.", "a dark-skinned woman", "her ethnicity",
        "of African descent", "a white middle-aged man", "he looks Chinese", "as\u200bian features", "\uff21sian",
        "She has brown skin", "mixed-race", "The woman appears to be white, and", "a Polish woman", "**Latino**",
        "a Jewish nose", "<b>Hispanic</b>", "A S I A N asian",
    ),
    "health": (
        "looks sick", "he is ill.", "a skin condition", "acne on the cheeks", "he had a stroke", "suffers from AIDS",
        "a blind man", "a healthy glow", "plastic surgery", "Down syndrome", "she is depressed", "mentally ill",
    ),
    "identity": (
        "This is Obama", "Tom Cruise smiles", "the celebrity", "looks like Anna", "a man named Peter", "I recognize her",
        "portrait of Mary", "It resembles tom cruise", "Mr. Smith", "a famous actor", "write to a@b.com", "ask @someone",
        "Penélope Cruz", "Jean-Luc Picard stands", "Ludwig van Beethoven", "his identity is known",
    ),
    "unread": (
        "脸部看起来是真的", "лицо", "Das Gesicht wirkt sehr natürlich und die Augen sind klar zu sehen hier",
        "Le visage semble tout à fait naturel avec des yeux bien nets",
    ),
}  # fmt: skip
NOTHING = (
    "black background", "a white wall", "a black and white photo", "the whites of the eyes",
    "black hair, a black-haired man", "ill-defined edges", "ill defined edges", "lighting conditions",
    "brush strokes around the eyes", "sick of", "venetian blinds", "a blind spot", "human race", "a French braid",
    "visual aids", "a slight depression in the cheek", "The Eyes are Real",
    "Skin Texture: Smooth. Left Eye: Blurred.", "It is Real", "This is Fake", "Gaussian Blur around the mouth",
    "white-haired", "a man in a white shirt", "dark skin patches", "light skin smoothing", "gradient descent",
    "Final Answer: Fake", "", "the subject is in black and white", "polish of the skin", "patience", "brown-eyed",
    "racing stripes", "an old man smiles",
    "eyes blurred, mouth asymmetric, skin smooth, teeth fused, hairline jagged, ears odd", "a homesick look",
    "he is white and black striped", "I look at the eyes, the mouth and the skin of the face. It looks fake.",
    "a scar, a mole and freckles", "tan lines",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, every in NAMED.items() for text in every])
def test_what_names_race_health_or_identity_is_flagged_as_that(kind: str, text: str) -> None:
    assert kind in kinds(flags(f"{text}")), text
    if kind != "unread":
        assert kind in kinds(flags(f"<think>The eyes are blurred. {text}</think><answer>fake</answer>"))


@pytest.mark.parametrize("text", NOTHING)
def test_what_says_nothing_of_a_person_is_not_flagged(text: str) -> None:
    assert flags(text) == ()


def test_flags_come_once_each_in_the_order_of_kinds_and_few_of_a_kind() -> None:
    text = "Tom Cruise is ill. ILL. An Asian man, and asian. " + " ".join(f"{each}pathic acne" for each in "abc")
    assert flags(text)[:3] == (Flag("race", "asian"), Flag("health", "acne"), Flag("health", "ill"))
    found = flags(
        "The face is of a person " + " ".join(f"named X{chr(97 + n // 26)}{chr(97 + n % 26)}." for n in range(200))
    )
    assert [each.kind for each in found].count("identity") == 8


def test_what_stands_in_place_of_a_flagged_text_says_why() -> None:
    assert withheld(()) == ""
    assert withheld(flags("a sick Asian man")) == "withheld: it names a person's race or origin, names a person's health"
    assert withheld(["identity"]) == "withheld: it names who a person is"
    assert all(withheld([kind]) for kind in KINDS)


@pytest.mark.parametrize("words", ["a ", "Aa ", "black ", "@", "is ", "<", "Mr. ", "no "])
def test_a_huge_text_is_read_in_time_that_grows_with_it_alone(words: str) -> None:
    begun = time.monotonic()
    flags(words * 30_000)
    assert time.monotonic() - begun < 10
