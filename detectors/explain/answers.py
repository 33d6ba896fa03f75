"""The answer's token: which ids stand for either word behind `<answer>`, and the log-odds between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from mmidd.errors import UsageError
from mmidd.explanations.reply import ANSWER

_BETWEEN = ("", " ", "\n")
"""What may stand between `<answer>` and the word: the first with which a tokenizer keeps both words whole."""


@dataclass(frozen=True)
class Answers:
    """`between`: what stands between `<answer>` and the word; `prefix`: ids of both; `real`, `fake`: ids that are the
    word, in its spellings."""

    between: str
    prefix: tuple[int, ...]
    real: tuple[int, ...]
    fake: tuple[int, ...]

    def behind(self, tokenizer: Any, head: str) -> tuple[int, ...]:
        """The ids of a reply up to its answer. Tokens do not end where a tag does (`><` often is one): read as one text, as
        written replies are and as the model says them."""
        found = ids_of(tokenizer, head + ANSWER[0] + self.between)
        return found if found[-1] == self.prefix[-1] else (*ids_of(tokenizer, head), *self.prefix)

    def odds(self, logits: torch.Tensor) -> torch.Tensor:
        """log p(fake) - log p(real) of the next token: (n, words) -> (n,)."""
        fake, real = (logits[:, list(ids)].float().logsumexp(1) for ids in (self.fake, self.real))
        return fake - real


def answers(tokenizer: Any, words: tuple[str, str]) -> Answers:
    """Raises UsageError for words that this tokenizer splits."""
    for between in _BETWEEN:
        prefix = ids_of(tokenizer, ANSWER[0] + between)
        found = [_ids(tokenizer, prefix, between, word) for word in words]
        if all(found) and not {*found[0]} & {*found[1]}:
            return Answers(between, prefix, tuple(found[0]), tuple(found[1]))
    split = {word: [tokenizer.decode([each]) for each in ids_of(tokenizer, word)] for word in words}
    told = "; ".join(f"{word}: {' + '.join(map(repr, parts))}" for word, parts in split.items())
    raise UsageError(
        f"the answers {words[0]!r} and {words[1]!r} are not one token each for this model ({told}), so they have no odds: "
        "choose other words, such as words=[yes,no], or another backbone"
    )


def ids_of(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Of a text as it stands, without what a tokenizer puts around one."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def special(processor: Any) -> tuple[str, ...]:
    """How the tokens are spelled that are no text for a model: pictures, ends, roles, the specialist's."""
    held = [each.content for each in processor.tokenizer.added_tokens_decoder.values() if each.special]
    named = [getattr(processor, each, None) for each in ("image_token", "video_token")]
    return tuple(
        sorted({each for each in (*held, *named) if isinstance(each, str) and len(each) > 1}, key=len, reverse=True)
    )


def as_text(processor: Any, text: str) -> str:
    """What a model said, as a text for it: one that spells a special token with other tokens is no picture, no end."""
    for each in special(processor):
        text = text.replace(each, f"{each[0]} {each[1:]}")
    return text


def _ids(tokenizer: Any, prefix: tuple[int, ...], between: str, word: str) -> list[int]:
    """The tokens that are the word behind the prefix, as it is spelled, then capitalised; empty where that is split."""
    found = []
    for spelled in dict.fromkeys((word, word.capitalize())):
        whole = ids_of(tokenizer, ANSWER[0] + between + spelled)
        if whole[:-1] == prefix:
            found.append(whole[-1])
    usual = ids_of(tokenizer, ANSWER[0] + between + word)
    return found if usual[:-1] == prefix else []
