"""Self-blended images: fakes made of one real, so that only the traces of blending tell them from it.

After Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images" (CVPR 2022), section 3.2, written from what the
paper says: two copies of a real; one of them, by chance the source or the target, changed in its colours and frequencies;
the source resized and shifted a little; a mask over the face, deformed elastically and blurred twice, scaled by a ratio;
and the source laid over the target by that mask.

Where it differs: the paper's mask is the hull of 68 or 81 landmarks. A corpus has five. The hull here is that of a mean
face's outline (drawn for mmidd) brought onto the five points by an affine map: it follows the pose and the proportions of
eyes, nose and mouth, but not a person's own jaw, chin or brow, nor a mouth that is open. Faces seen from the side get too
narrow a hull. The deformation moves the edge further than what that misses on most faces.
Strengths that are not in the text above are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mmidd.errors import CorpusError, UsageError
from mmidd.training.augment.base import Pixels, Range, in_range, one_of, pixels_of, tensor_of, uniform
from mmidd.training.augment.colour import Brightness, ChannelShift, Colour
from mmidd.training.augment.filters import ResizeAndBack, Sharpen
from mmidd.training.augment.geometry import Border, warp
from mmidd.training.augment.listed import Augment, OneOf
from mmidd.training.draws import chance_of
from mmidd.training.sample import Sample

Floats = npt.NDArray[np.float64]
Shares = npt.NDArray[np.float32]

# In units of the distance between the eyes, from the middle between them; y goes down.
FIVE: Floats = np.array([(-0.5, 0), (0.5, 0), (0, 0.57), (-0.41, 1.15), (0.41, 1.15)])
"""The five points of the mean face, in the order of `Sample.landmarks`."""
_JAW = (
    (1.06, 0),
    (1.05, 0.3),
    (1.02, 0.58),
    (0.96, 0.86),
    (0.86, 1.13),
    (0.71, 1.39),
    (0.51, 1.62),
    (0.27, 1.79),
    (0, 1.84),
)
_BROW = ((0.98, -0.22), (0.78, -0.4), (0.5, -0.47), (0.2, -0.42))
_FOREHEAD = ((1, -0.4), (0.86, -0.72), (0.56, -0.96), (0.2, -1.06))
_LEAST_SPREAD = 2.0
"""Pixels: five points that lie closer to each other, or to one line, place no face."""


def outline(points: npt.ArrayLike, *, forehead: bool) -> Floats:
    """(n, 2) points around the face that five landmarks (5, 2) belong to, down to the chin and up to the brows or the
    hairline. Raises CorpusError where they name no face."""
    given = np.asarray(points, np.float64)
    centred = given - given.mean(0)
    if not np.isfinite(given).all() or np.linalg.svd(centred, compute_uv=False)[-1] < _LEAST_SPREAD:
        raise CorpusError("self-blending needs landmarks: this row's are missing, or lie on one spot or line")
    half = np.array(_JAW + (_FOREHEAD if forehead else _BROW))
    both = np.concatenate([half, half * (-1, 1)])
    onto, *_ = np.linalg.lstsq(np.column_stack([FIVE, np.ones(5)]), given, rcond=None)
    placed: Floats = np.column_stack([both, np.ones(len(both))]) @ onto
    return placed


def _statistics() -> Augment:
    return Augment(
        [
            ChannelShift(p=0.3, levels=(-20, 20)),
            Colour(hue=(-8, 8), saturation=(0.8, 1.2)),
            Brightness(factor=(0.9, 1.1), shift=(-0.1, 0.1)),
            OneOf(
                choices=(
                    ResizeAndBack(scale=(0.25, 0.5), down=("area", "linear", "cubic"), up=("linear", "cubic")),
                    Sharpen(amount=(0.5, 1.5)),
                )
            ),
        ]
    )


@dataclass(frozen=True)
class SelfBlend:
    """How a real becomes a self-blended image: `blend(sample, chance)`. Lengths are shares of the distance between the eyes
    where nothing else is said."""

    change: Augment = field(default_factory=_statistics)
    """What is done to the colours and frequencies of one copy."""
    on_target: float = 0.5
    """How likely that copy is the target (all around the face changes) and not the source (the face changes)."""
    scale: Range = (0.95, 1.05)
    """Of the source, each axis by itself, about the picture's centre."""
    shift: Range = (-0.03, 0.03)
    """Of the source, in shares of the picture's sides."""
    forehead: float = 0.5
    """How likely the mask goes up to the hairline and not only to the brows."""
    elastic: Range = (0.05, 0.2)
    """How far the mask is deformed at most."""
    blur: Range = (0.05, 0.35)
    """Reach of each of the two Gaussians: the first, cut at full weight, shrinks the mask, the second softens its edge."""
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1, 1, 1)
    """Of the source's share in the middle of the mask; one is drawn."""
    forgery_type: int = -1
    """What a blend is said to be, an index into `mmidd.schema.FORGERY_TYPES`. -1, unknown, since nobody swapped a face:
    losses over the five types leave it out. The paper has no types."""
    border: Border = "reflect"

    def __post_init__(self) -> None:
        limits = {"scale": (0.5, 2), "shift": (-0.5, 0.5), "elastic": (0, 1), "blur": (0, 2)}
        limits |= {"on_target": (0, 1), "forehead": (0, 1)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            pair = value if isinstance(value, tuple | list) else (value, value)
            in_range(f"SelfBlend({name}={value!r})", pair, (low, high))
        if not self.ratios or not all(0 <= each <= 1 for each in self.ratios):
            raise UsageError(f"SelfBlend(ratios={self.ratios!r}): give at least one number, each from 0 to 1")
        one_of("SelfBlend(border=...)", [self.border], ["reflect", "replicate", "black"])

    def __call__(self, sample: Sample, chance: np.random.Generator) -> Sample:
        """The same sample with its picture blended: label 1, `blended` 1, and, of what it holds, mask (255 wherever a pixel
        can have changed by blending), has_mask, forgery_type, method ("SelfBlended") and pair (itself). A clip is blended
        with the same numbers in every frame. UsageError for fakes and without image and landmarks; CorpusError where a
        row has no landmarks (whole images)."""
        if "image" not in sample or "landmarks" not in sample:
            raise UsageError("self-blending needs images and landmarks: ask the dataset for both columns")
        if np.any(np.asarray(sample.get("label", 0)) != 0):
            raise UsageError(f"only reals are self-blended, and row {sample.get('row', '?')} is a fake")
        target = pixels_of(sample["image"])
        points = sample["landmarks"].numpy().reshape(-1, 5, 2)
        blended, alphas = self._blended(target, points, chance)
        found = cast(dict[str, Any], dict(sample))
        found["image"] = tensor_of(blended if sample["image"].ndim == 4 else blended[0])
        masks = torch.from_numpy(np.where(alphas > 0, 255, 0).astype(np.uint8))
        news = {"mask": masks[:, None] if sample["image"].ndim == 4 else masks, "forgery_type": self.forgery_type}
        news |= {"has_mask": 1, "method": "SelfBlended", "label": 1, "blended": 1}
        for name, value in news.items():
            if name in sample or name in ("label", "blended"):
                found[name] = _as_it_was(sample.get(name), value)
        if "pair" in sample and "id" in sample:
            found["pair"] = sample["id"]
        return cast(Sample, found)

    def _blended(self, real: Pixels, points: Sequence[Any] | Floats, chance: np.random.Generator) -> tuple[Pixels, Shares]:
        shape = (real.shape[1], real.shape[2])
        changed = _through(self.change, real, chance)
        source, target = (real, changed) if chance.random() < self.on_target else (changed, real)
        move = warp(
            shape,
            self.border,
            scale=[uniform(chance, self.scale) for _ in "xy"],
            shift=[uniform(chance, self.shift) for _ in "xy"],
        )
        seed = int(chance.integers(2**63))
        alphas = np.stack([self._alpha(each, shape, chance_of(seed)) for each in points])
        laid = [_laid(*each) for each in zip(move.frames(source), target, alphas, strict=True)]
        return np.stack(laid), alphas

    def _alpha(self, points: Floats, shape: tuple[int, int], chance: np.random.Generator) -> Shares:
        """(height, width): the source's share of each pixel; 0 where it is too small to change any."""
        hull = cv2.convexHull(outline(points, forehead=chance.random() < self.forehead).astype(np.float32))
        mask = np.zeros(shape, np.uint8)
        cv2.fillConvexPoly(mask, np.rint(hull * 16).astype(np.int32), 255, shift=4)
        eyes = float(np.linalg.norm(np.subtract(points[1], points[0])))
        mask = _deformed(mask, uniform(chance, self.elastic) * eyes, eyes, chance)
        first, second = (_kernel(uniform(chance, self.blur) * eyes) for _ in range(2))
        alpha = cv2.GaussianBlur(mask.astype(np.float32) / 255, first, 0)
        alpha = cv2.GaussianBlur((alpha >= 1 - 1e-4).astype(np.float32), second, 0)
        alpha *= self.ratios[int(chance.integers(len(self.ratios)))]
        shares: Shares = np.where(alpha * 255 < 0.5, 0, np.minimum(alpha, 1)).astype(np.float32)
        return shares


blend = SelfBlend()
"""Self-blending as the paper has it: `blend(sample, chance) -> sample`."""


def _through(change: Augment, pixels: Pixels, chance: np.random.Generator) -> Pixels:
    """A clip through a list, as one."""
    for operation in change.drawn(chance, (pixels.shape[1], pixels.shape[2])):
        pixels = pixels if operation is None else operation.frames(pixels)
    return pixels


def _laid(source: Pixels, target: Pixels, alpha: Shares) -> Pixels:
    """The source over the target (height, width, 3); where `alpha` is 0 the target to the bit."""
    found = target.copy()
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    if len(rows):
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        under = target[box].astype(np.float32)
        found[box] = np.rint(under + alpha[box][..., None] * (source[box] - under)).astype(np.uint8)
    return found


def _kernel(reach: float) -> tuple[int, int]:
    side = 2 * round(reach) + 1
    return side, side


def _deformed(mask: Pixels, amount: float, eyes: float, chance: np.random.Generator) -> Pixels:
    """Moved by a smooth random field, by `amount` pixels where it is strongest, in waves as long as the eyes are apart."""
    height, width = mask.shape
    cells = [max(2, round(side / max(eyes, 1))) + 3 for side in (height, width)]
    field = chance.uniform(-1, 1, (*cells, 2)).astype(np.float32)
    if not amount:
        return mask
    smooth = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(amount)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved: Pixels = cv2.remap(mask, x + smooth[..., 0], y + smooth[..., 1], cv2.INTER_LINEAR)
    return moved


def _as_it_was(old: object, value: Any) -> Any:
    """A value as the sample holds it: one a frame where it holds several."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(old, torch.Tensor):
        return torch.full_like(old, value)
    return [value] * len(old) if isinstance(old, list) else value
