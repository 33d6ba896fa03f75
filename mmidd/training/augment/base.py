"""What every augmentation is: ranges that draw an operation, and an operation that does the same to any picture.

Pictures are uint8 RGB and keep their size. Points name pixel centres (the first pixel's is 0, 0).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from mmidd.errors import UsageError

Pixels = npt.NDArray[np.uint8]
"""(frames, height, width, 3) or (height, width, 3), C-contiguous."""
Range = tuple[float, float]
"""Drawn uniformly between the two; where they are equal nothing is left to chance."""


class Operation(ABC):
    """One augmentation with everything drawn: the same numbers do the same to a real and its fake, to stills and clips."""

    on_tensors: ClassVar[bool] = False
    """Does `many` compute where the batch lies? Else it takes each picture to the CPU."""

    @abstractmethod
    def frames(self, pixels: Pixels) -> Pixels:
        """(frames, height, width, 3) to the same. Never changes what it is given."""

    def masks(self, masks: Pixels) -> Pixels:
        """(frames, height, width) moved as the picture is, by nearest neighbours."""
        return masks

    def points(self, points: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """(frames, 5, 2) moved as the picture of `shape` (height, width) is."""
        return points

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Any]) -> torch.Tensor:
        """(n, 3, height, width) uint8, the i-th through the i-th operation; where they lie if `on_tensors`."""
        done = [operation.frames(pixels_of(image))[0] for image, operation in zip(images.cpu(), operations, strict=True)]
        return torch.stack([tensor_of(pixels) for pixels in done]).to(images.device)


class Stills(Operation):
    """An operation that treats the frames of a clip one by one."""

    @abstractmethod
    def still(self, pixels: Pixels) -> Pixels:
        """(height, width, 3) to the same."""

    def frames(self, pixels: Pixels) -> Pixels:
        if len(pixels) == 1:
            return self.still(pixels[0])[None]
        return np.stack([self.still(each) for each in pixels])


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):
    """One augmentation of a list: how likely, and from what ranges its numbers are drawn."""

    p: float = 1.0
    """How likely it happens, 0..1."""

    LIMITS: ClassVar[dict[str, Range]] = {}
    """Between what the ranges among its fields have to lie."""
    NUMBERS: ClassVar[dict[str, Range]] = {}
    """And those fields that are one number, like `p`."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field, limits in {"p": (0, 1), **self.NUMBERS}.items():
            value = getattr(self, field)
            if not (_finite(value) and limits[0] <= value <= limits[1]):
                raise UsageError(f"{name}({field}={value!r}): give a number from {limits[0]:g} to {limits[1]:g}")
        for field, limits in self.LIMITS.items():
            if (value := getattr(self, field)) is not None:
                in_range(f"{name}({field}={value!r})", value, limits)
                object.__setattr__(self, field, tuple(value))  # YAML gives lists

    @abstractmethod
    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        """What to do to a picture of `shape` (height, width)."""

    def on_tensors(self) -> bool:
        """Can a whole batch be computed where it lies? (`Operation.on_tensors` of what it draws.)"""
        return True


def in_range(where: str, value: object, limits: Range) -> None:
    """UsageError unless it is two numbers within the limits, the smaller first (`where` says what it is)."""
    low, high = limits
    if not (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(map(_finite, value))
        and low <= value[0] <= value[1] <= high
    ):
        raise UsageError(f"{where}: give two numbers, the smaller first, from {low:g} to {high:g}")


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def one_of(where: str, given: Sequence[str], known: Sequence[str]) -> None:
    """UsageError unless something is given and all of it is known."""
    if not given or (strange := [each for each in given if each not in known]):
        what = f"does not know {', '.join(map(repr, strange))}" if given else "needs at least one"
        raise UsageError(f"{where} {what}; there are {', '.join(known)}")


def uniform(chance: np.random.Generator, limits: Range) -> float:
    return float(chance.uniform(*limits))


def whole(chance: np.random.Generator, limits: Range) -> int:
    """A whole number from the first to the last, both included."""
    return int(chance.integers(int(limits[0]), int(limits[1]) + 1))


def pixels_of(image: torch.Tensor) -> Pixels:
    """(3, h, w) or (frames, 3, h, w) uint8 as (frames, h, w, 3): a view where it already lies that way."""
    clip = image if image.ndim == 4 else image[None]
    return np.ascontiguousarray(clip.permute(0, 2, 3, 1).numpy())


def tensor_of(pixels: Pixels) -> torch.Tensor:
    """(..., h, w, 3) as a (..., 3, h, w) view."""
    return torch.from_numpy(pixels).movedim(-1, -3)


def rounded(values: torch.Tensor) -> torch.Tensor:
    """To uint8, halves to even, saturated, as OpenCV does."""
    return values.round().clamp(0, 255).to(torch.uint8)
