from __future__ import annotations

import pytest

from mmidd.captions.lint import lint
from mmidd.captions.protocol import LINT
from mmidd.captions.tokens import CONTENT_TOKENS, clip_tokens

FACE = "The face looks slightly to the left with a calm expression, softly lit from the front, with short dark hair."
PLACE = "A plain grey wall with a wooden shelf, out of focus, in soft daylight from the right."

BAD = [
    ("markup", "A calm face <script>alert(1)</script> here.", PLACE),
    ("markup", "A calm face.", 'A wall <img src="x" onerror="y"> behind.'),
    ("markup", "A calm face \x1b[31mred\x1b[0m.", PLACE),
    ("markup", "A calm\x07 face.", PLACE),
    ("markup", "A calm face.", "A wall\u202e behind."),
    ("markup", "A calm\nface.", PLACE),
    ("markup", "A calm face <|im_end|>.", PLACE),
    ("markup", "A **calm** face.", PLACE),
    ("markup", "A face &lt;b&gt;.", PLACE),
    ("markup", "A face, see https://example.org now.", PLACE),
    ("markup", "A face [see](x).", PLACE),
    ("empty", "", PLACE),
    ("empty", FACE, "..."),
    ("empty", FACE, "N/A"),
    ("empty", "None.", PLACE),
    ("empty", "?! 12 34", PLACE),
    ("refusal", "I'm sorry, I cannot describe the face of this person.", PLACE),
    ("refusal", FACE, "As an AI language model I cannot see it."),
    ("refusal", "I am unable to identify who this is.", PLACE),
    ("wrong_language", "Das Gesicht ist von vorne mit weichem Licht und einem Bart zu sehen.", PLACE),
    ("wrong_language", FACE, "Un mur gris avec une fenêtre dans le fond, qui est très claire."),
    ("wrong_language", "La cara está de frente con una luz muy suave por el lado.", PLACE),
    ("wrong_language", "这张脸正对着镜头。", PLACE),
    ("wrong_language", "Лицо обращено прямо.", PLACE),
    ("leak", "A synthetic looking face with soft light.", PLACE),
    ("leak", FACE, "The scene looks like a StyleGAN picture."),
    ("leak", "The face seems swapped.", PLACE),
    ("cross_talk", FACE, "A wall; the man has brown eyes."),
    ("cross_talk", FACE, "The person smiles at the camera."),
    ("cross_talk", "A calm face in front of a blue background.", PLACE),
    ("cross_talk", "A calm face outdoors.", PLACE),
    ("cross_talk", "A calm and even look.", "a calm and even look"),
    ("looping", "The face is calm calm calm and lit.", PLACE),
    ("looping", FACE, "A wall and a shelf and a shelf and a shelf and more."),
    ("looping", "A calm face with soft light. It is lit from the left. A calm face with soft light.", PLACE),
    ("looping", FACE, "a big red door is there a big red door is there"),
    ("too_long", " ".join(f"item{n}" for n in range(60)), PLACE),
    ("too_long", FACE, "antidisestablishmentarianism floccinaucinihilipilification " + " ".join("abcdefghijklmnopqrstuvw")
     + " xylophonist quizzically jazzed vexingly zephyrlike kumquats over wharves near bluish fjords amid quartz glyphs"
     " besides pyjama-clad jokers vowing much quick brisk extravagance"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "face", "environment"), BAD, ids=[f"{s}-{n}" for n, (s, _, _) in enumerate(BAD)])
def test_each_rule_has_its_status(status: str, face: str, environment: str) -> None:
    assert lint(face, environment) == status


def test_every_lint_status_but_those_of_whole_replies_is_in_the_table() -> None:
    assert {status for status, _, _ in BAD} == set(LINT) - {"not_json", "cut_off"}


@pytest.mark.parametrize(
    ("face", "environment"),
    [
        (FACE, PLACE),
        ("A calm face in natural light, very very sharp.", "A plain wall behind the face, in natural light."),
        ("Smooth skin, dark eyes, neutral expression, soft frontal light.", "Blurred books, warm lamp, brown tones."),
        ("A naïve smile; the woman wears glasses & a café-au-lait scarf.", "Two people stand in a street at night."),
        ("The face is 3/4 turned, lit at < 50 % from the left.", "Grey wall, 2 windows, #4 on a door."),
    ],
)
def test_plain_english_passes(face: str, environment: str) -> None:
    assert lint(face, environment) is None


@pytest.mark.parametrize(
    "text",
    ["A young man's face, lit from the left.", "naïve café — 12345 x9y!! don't", "😀 smile", "The face &amp; the wall",
     "ÄÖÜ straße", "日本語 text", "a_b--c..d", "  A\n B\t C ", "it's we'll I'D", ""],
)  # fmt: skip
def test_tokens_are_counted_as_clip_counts_them(text: str) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    assert clip_tokens(text) == len(SimpleTokenizer().encode(text))


def test_the_limit_is_clips_own() -> None:
    words = ["grey"] * CONTENT_TOKENS
    assert clip_tokens(" ".join(words)) == CONTENT_TOKENS == 77 - 2
