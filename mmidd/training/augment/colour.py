"""What changes a pixel by its own value alone: light, contrast, colour. Luma is BT.601's (299, 587, 114 thousandths)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mmidd.training.augment.base import Augmentation, Operation, Pixels, Range, rounded, uniform

_LUMA = (299, 587, 114)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@dataclass(frozen=True)
class Lines(Operation):
    """Each channel by a line: value * factor + shift (in levels, one a channel), rounded and saturated."""

    factor: float
    shifts: tuple[float, float, float]
    on_tensors: ClassVar[bool] = True

    def frames(self, pixels: Pixels) -> Pixels:
        return _looked_up(pixels, _tables(self.factor, self.shifts))

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Lines]) -> torch.Tensor:
        return _gathered(images, [_tables(each.factor, each.shifts) for each in operations])


@dataclass(frozen=True)
class Contrasted(Operation):
    """Away from the mean luma of the picture (of the whole clip) by a factor; 0 leaves that grey alone."""

    factor: float
    on_tensors: ClassVar[bool] = True

    def _around(self, mean: float) -> npt.NDArray[np.uint8]:
        return _tables(self.factor, (mean - self.factor * mean,) * 3)

    def frames(self, pixels: Pixels) -> Pixels:
        sums = np.array(cv2.sumElems(pixels.reshape(-1, pixels.shape[-2], 3))[:3]).astype(np.int64)
        return _looked_up(pixels, self._around(_mean_luma(sums, pixels.size // 3)))

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Contrasted]) -> torch.Tensor:
        sums = images.sum((2, 3), dtype=torch.int64).cpu().numpy()
        count = images.shape[2] * images.shape[3]
        return _gathered(
            images, [each._around(_mean_luma(mine, count)) for each, mine in zip(operations, sums, strict=True)]
        )


@dataclass(frozen=True)
class Mixed(Operation):
    """Every pixel through a 3x3 matrix, row by row."""

    matrix: tuple[float, ...]
    on_tensors: ClassVar[bool] = True

    def frames(self, pixels: Pixels) -> Pixels:
        rows = pixels.reshape(-1, pixels.shape[-2], 3)
        return np.asarray(cv2.transform(rows, np.array(self.matrix).reshape(3, 3))).reshape(pixels.shape)

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Mixed]) -> torch.Tensor:
        matrices = torch.tensor([each.matrix for each in operations], device=images.device).reshape(-1, 3, 3)
        return rounded(torch.bmm(matrices, images.flatten(2).float())).reshape(images.shape)


def _tables(factor: float, shifts: Sequence[float]) -> npt.NDArray[np.uint8]:
    """(3, 256): what becomes of each level of each channel."""
    lines = np.arange(256) * factor + np.array(shifts)[:, None]
    levels: npt.NDArray[np.uint8] = np.clip(np.rint(lines), 0, 255).astype(np.uint8)
    return levels


def _mean_luma(sums: npt.NDArray[np.int64], count: int) -> float:
    return int(sums @ np.array(_LUMA)) / (1000 * count)


def _looked_up(pixels: Pixels, tables: npt.NDArray[np.uint8]) -> Pixels:
    rows = pixels.reshape(-1, pixels.shape[-2], 3)
    return np.asarray(cv2.LUT(rows, np.ascontiguousarray(tables.T)[None])).reshape(pixels.shape)


def _gathered(images: torch.Tensor, tables: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
    levels = torch.from_numpy(np.stack(tables)).to(images.device)
    return levels.gather(2, images.flatten(2).long()).reshape(images.shape)


@dataclass(frozen=True, kw_only=True)
class Brightness(Augmentation):
    """Times a factor, and up or down by a shift in shares of white: both drawn, one rounding (`RandomBrightnessContrast`
    of albumentations, whose contrast is this factor; `ColorJitter(brightness)` of torchvision without the shift)."""

    factor: Range = (0.8, 1.2)
    shift: Range = (0, 0)
    LIMITS: ClassVar[dict[str, Range]] = {"factor": (0, 10), "shift": (-1, 1)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return Lines(uniform(chance, self.factor), (255 * uniform(chance, self.shift),) * 3)


@dataclass(frozen=True, kw_only=True)
class Contrast(Augmentation):
    """Away from the picture's mean luma, or towards it below 1 (`ColorJitter(contrast)` of torchvision)."""

    factor: Range = (0.8, 1.2)
    LIMITS: ClassVar[dict[str, Range]] = {"factor": (0, 10)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return Contrasted(uniform(chance, self.factor))


@dataclass(frozen=True, kw_only=True)
class ChannelShift(Augmentation):
    """Red, green and blue each up or down by levels of their own."""

    levels: Range = (-20, 20)
    LIMITS: ClassVar[dict[str, Range]] = {"levels": (-255, 255)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        red, green, blue = (uniform(chance, self.levels) for _ in "rgb")
        return Lines(1.0, (red, green, blue))


@dataclass(frozen=True, kw_only=True)
class Colour(Augmentation):
    """Chroma turned (hue, degrees) and scaled (saturation); luma stays. One 3x3 matrix over YIQ and not HSV, which is slower
    and changes luma; saturation alone is torchvision's."""

    hue: Range = (-10, 10)
    saturation: Range = (0.8, 1.2)
    LIMITS: ClassVar[dict[str, Range]] = {"hue": (-180, 180), "saturation": (0, 10)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return mixed_colours(uniform(chance, self.hue), uniform(chance, self.saturation))


@dataclass(frozen=True, kw_only=True)
class Grey(Augmentation):
    """Luma in all channels."""

    p: float = 0.1

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return mixed_colours(0, 0)


def mixed_colours(hue: float, saturation: float) -> Mixed:
    a, b = saturation * math.cos(math.radians(hue)), saturation * math.sin(math.radians(hue))
    turn = np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
    return Mixed(tuple((np.linalg.inv(_YIQ) @ turn @ _YIQ).ravel().tolist()))
