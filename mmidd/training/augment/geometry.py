"""What moves pixels, and with them masks and landmarks: flips, rotations, crops and shifts.

Whatever a picture has to show beyond its border is `border`: "reflect" (without the border pixel), "replicate" or "black".
One bilinear warp without a low-pass: meant for small changes of scale, `ResizeAndBack` is for large ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

from mmidd.training.augment.base import Augmentation, Operation, Pixels, Range, Stills, one_of, rounded, uniform

Border = Literal["reflect", "replicate", "black"]
_BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}
_PADDINGS = {"reflect": "reflection", "replicate": "border", "black": "zeros"}
_MIRRORED = [1, 0, 2, 4, 3]
"""The five points with left and right exchanged: eyes, nose, corners of the mouth."""


@dataclass(frozen=True)
class Mirrored(Stills):
    on_tensors: ClassVar[bool] = True

    def still(self, pixels: Pixels) -> Pixels:
        found: Pixels = cv2.flip(pixels, 1)
        return found

    def masks(self, masks: Pixels) -> Pixels:
        return np.ascontiguousarray(masks[..., ::-1])

    def points(self, points: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        swapped = points[:, _MIRRORED].copy()
        swapped[..., 0] = shape[1] - 1 - swapped[..., 0]
        return swapped

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Mirrored]) -> torch.Tensor:
        return vision.horizontal_flip(images)


@dataclass(frozen=True)
class Warped(Stills):
    """`matrix`: 2x3, row by row, from the picture's pixels to the result's."""

    matrix: tuple[float, float, float, float, float, float]
    border: Border
    on_tensors: ClassVar[bool] = True

    @property
    def _matrix(self) -> npt.NDArray[np.float64]:
        return np.array(self.matrix).reshape(2, 3)

    def _warp(self, pixels: Pixels, how: int) -> Pixels:
        size = pixels.shape[1::-1]
        found: Pixels = cv2.warpAffine(pixels, self._matrix, size, flags=how, borderMode=_BORDERS[self.border])
        return found

    def still(self, pixels: Pixels) -> Pixels:
        return self._warp(pixels, cv2.INTER_LINEAR)

    def masks(self, masks: Pixels) -> Pixels:
        return np.stack([self._warp(np.ascontiguousarray(each), cv2.INTER_NEAREST) for each in masks])

    def points(self, points: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        moved: npt.NDArray[np.float32] = (points @ self._matrix[:, :2].T + self._matrix[:, 2]).astype(np.float32)
        return moved

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Warped]) -> torch.Tensor:
        height, width = images.shape[-2:]
        inverse = np.stack([cv2.invertAffineTransform(each._matrix) for each in operations])
        back = torch.from_numpy(inverse.astype(np.float32)).to(images.device)
        y, x = torch.meshgrid(
            torch.arange(height, device=images.device, dtype=torch.float32),
            torch.arange(width, device=images.device, dtype=torch.float32),
            indexing="ij",
        )
        places = torch.stack([x, y, torch.ones_like(x)], -1)
        grid = torch.einsum("hwk,njk->nhwj", places, back)
        grid = 2 * grid / torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=images.device) - 1
        done = torch.empty_like(images)
        for border, padding in _PADDINGS.items():  # one list has one border, as a rule
            mine = [i for i, each in enumerate(operations) if each.border == border]
            if mine:
                found = functional.grid_sample(
                    images[mine].float(), grid[mine], mode="bilinear", padding_mode=padding, align_corners=True
                )
                done[mine] = rounded(found)
        return done


def warp(
    shape: tuple[int, int],
    border: Border,
    *,
    degrees: float = 0,
    scale: Sequence[float] = (1, 1),
    shift: Sequence[float] = (0, 0),
) -> Warped:
    """About the centre: turned counter-clockwise, scaled, then shifted; scales and shifts (in shares of a side) are x, y."""
    height, width = shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    a, b, c, d = cos * scale[0], sin * scale[1], -sin * scale[0], cos * scale[1]
    x, y = cx + shift[0] * width, cy + shift[1] * height
    return Warped((a, b, x - a * cx - b * cy, c, d, y - c * cx - d * cy), border)


@dataclass(frozen=True, kw_only=True)
class Flip(Augmentation):
    """Left to right; the points of the left side become those of the right."""

    p: float = 0.5

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return Mirrored()


@dataclass(frozen=True, kw_only=True)
class _Moving(Augmentation):
    border: Border = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(f"{type(self).__name__}(border=...)", [self.border], list(_BORDERS))


@dataclass(frozen=True, kw_only=True)
class Rotate(_Moving):
    """Turned about the centre."""

    degrees: Range = (-10, 10)
    LIMITS: ClassVar[dict[str, Range]] = {"degrees": (-180, 180)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return warp(shape, self.border, degrees=uniform(chance, self.degrees))


@dataclass(frozen=True, kw_only=True)
class CropShift(_Moving):
    """The jitter of a face crop: scaled and shifted (in shares of the sides, each axis by itself), and turned if asked."""

    scale: Range = (0.9, 1.1)
    shift: Range = (-0.05, 0.05)
    degrees: Range = (0, 0)
    LIMITS: ClassVar[dict[str, Range]] = {"scale": (0.1, 10), "shift": (-1, 1), "degrees": (-180, 180)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        scale, degrees = uniform(chance, self.scale), uniform(chance, self.degrees)
        shift = [uniform(chance, self.shift), uniform(chance, self.shift)]
        return warp(shape, self.border, degrees=degrees, scale=(scale, scale), shift=shift)


@dataclass(frozen=True, kw_only=True)
class Crop(_Moving):
    """A window of a `share` of both sides, anywhere within the picture, enlarged to the picture's size."""

    share: Range = (0.8, 1)
    LIMITS: ClassVar[dict[str, Range]] = {"share": (0.05, 1)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        share = uniform(chance, self.share)
        room = (1 / share - 1) / 2
        return warp(shape, self.border, scale=(1 / share, 1 / share), shift=[uniform(chance, (-room, room)) for _ in "xy"])
