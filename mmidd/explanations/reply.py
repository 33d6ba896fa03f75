"""A reply of an explaining model, taken apart: `<think>REASONS</think><answer>WORD</answer>`, and in what it is another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

THINK, ANSWER = ("<think>", "</think>"), ("<answer>", "</answer>")
_WHOLE = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
_ANSWERS = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_EDGES = " \t\r\n.,;:!\"'*`"
MOST = 20_000
"""Characters of a reply that are looked at."""


@dataclass(frozen=True)
class Reply:
    """`chain`: the reasons, "" where there are none; `answer`: the place of the answer among the words that were asked for,
    None where it cannot be told, for `wrong`; `formed`: is it written as it was asked for, with reasons and nothing else?"""

    chain: str
    answer: int | None
    wrong: str | None
    formed: bool


@dataclass(frozen=True)
class Said:
    """What a model said of one image. `reply`: the whole of it; `answer`: 0 real, 1 fake, None where it gave none, for
    `wrong`; `tokens`: of the reply; `cut`: did it run into the limit? `direct`: the score without reasons; `alone`: the
    score that the reasons give when the image is taken away (None: not asked for)."""

    reply: str
    chain: str
    answer: int | None
    wrong: str | None
    tokens: int
    cut: bool
    direct: float | None = None
    alone: float | None = None


def read(text: str, words: Sequence[str], *, cut: bool = False) -> Reply:
    """Take a reply apart. `words`: what it may answer, such as real and fake; `cut`: did it run into the limit?

    An answer counts where there is exactly one, of exactly one of the words, and it comes behind the reasons.
    """
    text = text[:MOST]
    answers = [*_ANSWERS.finditer(text)]
    head = text[: answers[0].start()] if answers else text
    chain = _chain(head)
    if not answers:
        return Reply(chain, None, "cut off before an answer" if cut else "no answer", False)
    if len(answers) > 1:
        return Reply(chain, None, "several answers", False)
    said = answers[0][1].strip(_EDGES).casefold()
    answer = next((place for place, word in enumerate(words) if said == word.casefold()), None)
    if answer is None:
        held = [word for word in words if re.search(rf"\b{re.escape(word)}\b", said, re.IGNORECASE)]
        return Reply(chain, None, "both answers at once" if len(held) > 1 else "an answer of other words", False)
    whole = _WHOLE.fullmatch(text)
    formed = bool(whole and whole[1].strip() and not re.search(r"</?(think|answer)>", whole[1]))
    return Reply(chain, answer, None, formed)


def _chain(head: str) -> str:
    """What stands before the answer, without its tags."""
    return re.sub(r"</?(think|answer)>", " ", head).strip()
