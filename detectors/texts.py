"""What is said to a text tower: the five types in several phrasings, and which captions a batch has; texts as a tower's tokens."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from mmidd.errors import MissingWeights, UsageError, WrongWeights, sanitised
from mmidd.schema import FORGERY_TYPES

PHRASINGS: Mapping[str, tuple[str, ...]] = {
    "REAL": (
        "a real photo of a face",
        "an authentic photograph of a person's face",
        "a genuine face that nobody has altered",
        "an unmanipulated picture of a real person",
        "a face as the camera saw it",
    ),
    "FS": (
        "a face swapped photo",
        "a photo of a person whose face was swapped with another's",
        "a forged face made by face swapping",
        "a face that was replaced by that of somebody else",
        "a deepfake with a swapped identity",
    ),
    "FR": (
        "a reenacted face",
        "a photo of a face that was driven by another person's expression",
        "a forged face made by face reenactment",
        "a face whose mouth and expression were animated",
        "a deepfake with a transferred expression",
    ),
    "EFS": (
        "a fully synthetic face",
        "a photo of a person who does not exist",
        "a forged face made by entire face synthesis",
        "a face that a generative model made from nothing",
        "a whole face drawn by a neural network",
    ),
    "FE": (
        "an edited face",
        "a photo of a face whose attributes were changed",
        "a forged face made by face editing",
        "a face with its hair, age or expression retouched by a neural network",
        "a real face with some of its features altered",
    ),
}
"""Of each type, in the order of `schema.FORGERY_TYPES`; the first is its label at test. Ours: the paper's are not published."""
TWO_CLASSES = ("a photo of a real face.", "a photo of a fake face.")
"""Real and fake, in CLIP-LoRA's template `a photo of a {}.`"""
_KEPT = 1 << 16


def labels() -> list[str]:
    """One simple text for each type."""
    return [PHRASINGS[each][0] for each in FORGERY_TYPES]


def sampled(count: int) -> list[str]:
    """For each type one of its first `count` phrasings, drawn from torch's chance."""
    return [PHRASINGS[each][int(torch.randint(min(count, len(PHRASINGS[each])), ()))] for each in FORGERY_TYPES]


def said(captions: Sequence[str]) -> torch.Tensor:
    """Which rows have a caption: places, int64."""
    return torch.tensor([place for place, each in enumerate(captions) if each and each.strip()], dtype=torch.int64)


@dataclass(frozen=True)
class Tokens:
    """Texts as numbers. `ids`: int64 (n, longest of them), `mask`: 1 where a text has one; `cut`: how many texts were longer
    than the tower reads, and lost their end."""

    ids: torch.Tensor
    mask: torch.Tensor
    cut: int


class Tokeniser:
    """Texts to a tower's tokens, start and end among them. `longest`: how many it reads of a text; `words`: how many it has
    an embedding of."""

    def __init__(self, encode: Callable[[str], list[int]], longest: int, pad: int, words: int) -> None:
        self.longest, self.pad, self.words = longest, pad, words
        self._ids = lru_cache(_KEPT)(lambda text: tuple(encode(text)))
        self._check()

    def __call__(self, texts: Sequence[str]) -> Tokens:
        found = [self.ids(each) for each in texts]
        length = max(map(len, found), default=0)
        ids = torch.tensor([[*each, *[self.pad] * (length - len(each))] for each in found], dtype=torch.int64)
        mask = torch.tensor([[1] * len(each) + [0] * (length - len(each)) for each in found], dtype=torch.int64)
        return Tokens(ids, mask, self.cut(texts))

    def ids(self, text: str) -> tuple[int, ...]:
        """Of one text, as the tower reads it: one that is too long loses its end, but not its last token."""
        whole = self._ids(text)
        return whole if len(whole) <= self.longest else (*whole[: self.longest - 1], whole[-1])

    def cut(self, texts: Sequence[str]) -> int:
        """How many of them are longer than the tower reads."""
        return sum(len(self._ids(each)) > self.longest for each in texts)

    def _check(self) -> None:
        """Raises WrongWeights where what the types are called comes out alike, or as numbers that the tower has not."""
        found = [self.ids(each) for each in labels()]
        if len(set(found)) < len(found):
            raise WrongWeights(
                "the tokenizer makes the same numbers of different texts, as one without its vocabulary does: give the text "
                "backbone's folder its own tokenizer.json"
            )
        if max(map(max, found)) >= self.words:
            raise WrongWeights(
                f"the tokenizer counts up to {max(map(max, found)):,}, the text backbone has {self.words:,} words: its "
                "tokenizer.json is another model's"
            )


def from_folder(name: str, folder: Path, longest: int, words: int) -> Tokeniser:
    """The tokenizer of a text backbone's folder. Raises MissingWeights where there is none, WrongWeights for one that does
    not load or is another's."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MissingWeights(
            f"backbone {name!r}: {folder} holds no tokenizer.json; transformers' AutoTokenizer, loaded from where the model is "
            "from, writes it with save_pretrained(FOLDER)"
        )
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise WrongWeights(f"backbone {name!r}: {path} does not load: {sanitised(str(error), 120)}") from error
    found.no_truncation()
    found.no_padding()
    pad = next((number for word in ("[PAD]", "<pad>", "<|endoftext|>") if (number := found.token_to_id(word)) is not None), 0)
    return Tokeniser(lambda text: list(found.encode(text).ids), longest, pad, words)


def hashed(longest: int, words: int, start: int | None, end: int | None) -> Tokeniser:
    """For a random tower, whose words mean nothing: each word is a number by its letters. `start` and `end`: as the tower
    knows them. Raises UsageError for a tower of too few words."""
    ends = [each for each in (start, end) if each is not None]
    first, room = 3, min([words, *(each for each in ends if each > 2)]) - 3
    if room < 100:
        raise UsageError(f"a text backbone of {words} words is too small: give it some hundred")

    def encode(text: str) -> list[int]:
        found = [first + zlib.crc32(each.encode()) % room for each in re.findall(r"\w+|[^\w\s]", text.lower())]
        return [*([] if start is None else [start]), *found, *([] if end is None else [end])]

    return Tokeniser(encode, longest, end or 0, words)


def distinct(texts: Sequence[str]) -> tuple[list[str], torch.Tensor]:
    """Each text once, and for each of `texts` which it is: a tower reads what repeats only once."""
    places: dict[str, int] = {}
    which = [places.setdefault(each, len(places)) for each in texts]
    return list(places), torch.tensor(which, dtype=torch.int64)


def alike(tokens: Sequence[Any]) -> torch.Tensor:
    """Which of them are equal: bool (n, n)."""
    _, which = distinct(list(tokens))
    return which[:, None] == which[None, :]
