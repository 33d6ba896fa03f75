"""Does CLIP find the caption that belongs to an image among others of the same dataset?"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mmidd.audit.results import CheckPart, Untested, finding
from mmidd.audit.rows import Ints
from mmidd.errors import MissingExtra, MissingWeights, WrongWeights

OTHERS = 19
"""Captions of other groups that stand beside the right one."""
LEAST_RANKED = 20
_RESAMPLES = 1000
_BATCH = 16
_MOST_PIXELS = 64_000_000

Floats: TypeAlias = npt.NDArray[np.float64]
Embed: TypeAlias = Callable[[Sequence[bytes], Sequence[str]], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Ranked:
    """Of `images`: `won`, the share of other captions that the right one beats (0.5 by chance), with its 95% interval over
    groups, and the right one's median rank, 1 the best, among OTHERS + 1."""

    field: str
    images: int
    groups: int
    first: int
    median_rank: float
    won: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.field}: median rank {self.median_rank:g} of {OTHERS + 1} (chance {(OTHERS + 2) / 2:g}), first "
            f"{self.first} of {self.images}; beats {self.won:.1%} of the others ({self.low:.1%} to {self.high:.1%})"
        )


def rank(
    field: str, pictures: Floats, captions: Floats, texts: Sequence[str], dataset: Ints, groups: Ints, seed: int
) -> Ranked | None:
    """Rank every image's own caption among OTHERS of its dataset, other groups and other wording.

    Embeddings are (n, d), of unit length. None where fewer than LEAST_RANKED images have so many others.
    """
    chance = np.random.default_rng(seed)
    wording = np.unique(np.array(texts), return_inverse=True)[1]
    shares, ranks, owners = [], [], []
    for row in range(len(texts)):
        usable = np.flatnonzero((dataset == dataset[row]) & (groups != groups[row]) & (wording != wording[row]))
        usable = usable[np.unique(wording[usable], return_index=True)[1]]
        if len(usable) < OTHERS:
            continue
        others = captions[chance.choice(usable, OTHERS, replace=False)] @ pictures[row]
        own = float(captions[row] @ pictures[row])
        above, level = int((others > own).sum()), int((others == own).sum())
        ranks.append(1 + above + level / 2)
        shares.append((OTHERS - above - level / 2) / OTHERS)
        owners.append(groups[row])
    if len(ranks) < LEAST_RANKED:
        return None
    low, high = _interval(np.array(shares), np.array(owners), chance)
    return Ranked(
        field, len(ranks), len(set(owners)), sum(rank < 2 for rank in ranks), float(np.median(ranks)),
        float(np.mean(shares)), low, high,
    )  # fmt: skip


def _interval(shares: Floats, owners: Ints, chance: np.random.Generator) -> tuple[float, float]:
    codes = np.unique(owners, return_inverse=True)[1]
    count = int(codes.max()) + 1
    total, number = np.bincount(codes, weights=shares), np.bincount(codes)
    drawn = chance.integers(count, size=(_RESAMPLES, count))
    low, high = np.percentile(total[drawn].sum(axis=1) / number[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def rank_test(
    model: str,
    embed: Embed,
    images: Sequence[bytes],
    texts: dict[str, list[str | None]],
    dataset: Ints,
    groups: Ints,
    seed: int,
) -> CheckPart:
    """The ranks of both fields: `embed` gives unit embeddings of images and texts.

    Images that cannot be decoded are left out and counted.
    """
    lines, findings, untested = [], [], []
    figures: dict[str, Any] = {"model": model, "others": OTHERS, "chance": 0.5}
    sound = np.array([_decodes(image) for image in images], dtype=np.bool_)
    for field, column in texts.items():
        rows = np.flatnonzero(sound & np.array([text is not None for text in column], dtype=np.bool_))
        places = rows.tolist()
        mine = [column[place] or "" for place in places]
        found = None
        if len(rows) > OTHERS:
            pictures, captions = embed([images[place] for place in places], mine)
            found = rank(field, pictures, captions, mine, dataset[rows], groups[rows], seed)
        if found is None:
            because = f"fewer than {LEAST_RANKED} images have {OTHERS} different captions of other groups of their dataset"
            untested.append(Untested(f"CLIP rank of {field}", because))
            continue
        lines.append(str(found))
        figures[field] = {
            name: round(value, 4) if isinstance(value, float) else value for name, value in vars(found).items()
        }
        if found.low <= 0.5:
            what = f"{found}: no better than chance with {model}"
            findings.append(finding("CLIP rank", what, "the captions do not fit their images, or this model cannot tell"))
    figures["unreadable_images"] = int((~sound).sum())
    return CheckPart("clip", tuple(lines), figures, tuple(findings), tuple(untested))


def _decodes(image: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return False
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def load(model: str) -> Embed:
    """A CLIP model of transformers, by folder or Hub name, from safetensors alone and without code of its own.

    Raises MissingExtra, MissingWeights, WrongWeights.
    """
    try:
        import torch
        from transformers import CLIPModel, CLIPProcessor
    except ImportError as error:
        raise MissingExtra("caption", "the CLIP rank") from error
    from PIL import Image

    try:
        network = CLIPModel.from_pretrained(model, use_safetensors=True, trust_remote_code=False).eval()
        processor = CLIPProcessor.from_pretrained(model, trust_remote_code=False)
    except OSError as error:
        raise MissingWeights(
            f"no CLIP model {model!r}: neither a folder with config.json, model.safetensors and a processor, nor one that "
            "can be had from the Hub, such as openai/clip-vit-base-patch32"
        ) from error
    except Exception as error:  # whatever a broken or foreign file makes transformers raise
        raise WrongWeights(f"{model} is no CLIP model that transformers can load ({type(error).__name__})") from error

    def embed(images: Sequence[bytes], texts: Sequence[str]) -> tuple[Floats, Floats]:
        pictures, captions = [], []
        for start in range(0, len(images), _BATCH):
            opened = [Image.open(io.BytesIO(image)).convert("RGB") for image in images[start : start + _BATCH]]
            asked = processor(
                text=list(texts[start : start + _BATCH]), images=opened, return_tensors="pt", padding=True, truncation=True
            )
            with torch.inference_mode():
                answer = network(**asked)
            pictures.append(answer.image_embeds.double().numpy())
            captions.append(answer.text_embeds.double().numpy())
        return _unit(np.concatenate(pictures)), _unit(np.concatenate(captions))

    return embed


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
