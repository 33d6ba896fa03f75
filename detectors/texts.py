"""What is said to a text tower: the five types in several phrasings, and which captions a batch has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mmidd.errors import WrongWeights
from mmidd.schema import FORGERY_TYPES

from .backbones import TextTower, Tokenizer, Tokens

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
"""Of each type, in the order of `schema.FORGERY_TYPES`; the first is its label at test. Ours: the paper's are not
published."""
TWO_CLASSES = ("a photo of a real face.", "a photo of a fake face.")
"""Real and fake, in CLIP-LoRA's template `a photo of a {}.`"""


def labels() -> list[str]:
    """One simple text for each type."""
    return [PHRASINGS[each][0] for each in FORGERY_TYPES]


def sampled(count: int) -> list[str]:
    """For each type one of its first `count` phrasings, drawn from torch's chance."""
    return [PHRASINGS[each][int(torch.randint(min(count, len(PHRASINGS[each])), ()))] for each in FORGERY_TYPES]


def said(captions: Sequence[str]) -> torch.Tensor:
    """Which rows have a caption: places, int64."""
    return torch.tensor([place for place, each in enumerate(captions) if each and each.strip()], dtype=torch.int64)


def check_words(name: str, tokenizer: Tokenizer) -> None:
    """Raises WrongWeights for a tokenizer that lacks the words that the types are named with, or makes the same of two."""
    every = [each for texts in PHRASINGS.values() for each in texts]
    found = tokenizer(every)
    if found.unknown:
        raise WrongWeights(
            f"backbone {name!r}: its tokenizer does not know {found.unknown} of the words of {len(every)} plain English "
            "texts such as 'a real photo of a face': its vocabulary is not there, or is of another language; get the "
            "folder again"
        )
    if same(found).sum() > len(every):
        raise WrongWeights(f"backbone {name!r}: its tokenizer makes the same of different texts: get the folder again")


def width_of(tower: TextTower) -> int:
    """How wide `embedded` is."""
    return int(tower.projection.out_features) if tower.projection is not None else tower.width


def embedded(tower: TextTower, texts: Sequence[str]) -> torch.Tensor:
    """Texts in the space that they share with images, (n, width). What repeats is read once."""
    once, which = distinct(texts)
    device = next(tower.parameters()).device
    found = tower(tower.tokenizer(once).to(device))
    return (found if tower.projection is None else tower.projection(found))[which.to(device)]


def distinct(texts: Sequence[str]) -> tuple[list[str], torch.Tensor]:
    """Each text once, and for each of `texts` which it is: a tower reads once what a batch repeats."""
    places: dict[str, int] = {}
    which = [places.setdefault(each, len(places)) for each in texts]
    return list(places), torch.tensor(which, dtype=torch.int64)


def same(tokens: Tokens) -> torch.Tensor:
    """Which texts are the same to a tower, as far as it reads them: bool (n, n)."""
    which = torch.unique(tokens.ids * tokens.mask - (1 - tokens.mask), dim=0, return_inverse=True)[1]
    return which[:, None] == which[None, :]
