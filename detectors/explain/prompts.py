"""What an explaining detector is asked, and how a written reply looks."""

from __future__ import annotations

from mmidd.explanations.reply import ANSWER, THINK

SPECIALIST = "<|specialist|>"
"""Stands where the specialist's features go: no word of any tokenizer."""
_FORM = f"{THINK[0]}your reasons{THINK[1]}{ANSWER[0]}{{}} or {{}}{ANSWER[1]}"
QUESTION = (
    "Look at this picture of a face. Is it {} or {}? First give your reasons: what can be seen that speaks for or against "
    "it, and in which part of the face. Say nothing of who the person is. Then answer. Reply in this form: " + _FORM
)
_HINT = "A detector's impression of the picture: {}\n"
_ALONE = (
    'Somebody looked at a picture of a face and wrote: "{}"\nYou cannot see the picture. By these words alone, is the face '
    "{} or {}? Reply in this form: " + ANSWER[0] + "{} or {}" + ANSWER[1]
)
LOOKS = (
    "I look at the eyes, the mouth and the skin of the face.",
    "I look at the edges of the face, the hair and the light.",
    "I look at the nose, the teeth and the texture of the skin.",
    "I look at the chin, the cheeks and the background.",
)
"""Written reasons that claim nothing: they teach a reply's form. Labels are all that is known of a picture."""
FINDS = " It looks {}."


def question(words: tuple[str, str], soft: int, own: str | None = None) -> str:
    """The text that goes with a picture; `soft` tokens stand for the specialist."""
    asked = QUESTION.format(*words, *words) if own is None else own
    return (_HINT.format(SPECIALIST * soft) if soft else "") + asked


def without_picture(chain: str, words: tuple[str, str]) -> str:
    """The text that asks for the answer by the reasons alone."""
    return _ALONE.format(chain.replace('"', "'"), *words, *words)


def written(chain: str, word: str) -> str:
    """A reply of the form that is asked for."""
    return f"{THINK[0]}{chain}{THINK[1]}{ANSWER[0]}{word}{ANSWER[1]}"
