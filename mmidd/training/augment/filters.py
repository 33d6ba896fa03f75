"""What mixes neighbours: down and up again, blur, sharpening; and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np
import torch

from mmidd.training.augment.base import Augmentation, Operation, Pixels, Range, Stills, one_of, rounded, uniform
from mmidd.training.augment.matrices import blurring, resizing, separable
from mmidd.training.draws import mixed

Interpolation = Literal["nearest", "linear", "cubic", "area"]
_HOW = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class ThereAndBack(Stills):
    """To (height, width) and back to where it was."""

    shape: tuple[int, int]
    down: Interpolation
    up: Interpolation
    on_tensors: ClassVar[bool] = True

    def still(self, pixels: Pixels) -> Pixels:
        small = cv2.resize(pixels, self.shape[::-1], interpolation=_HOW[self.down])
        found: Pixels = cv2.resize(small, pixels.shape[1::-1], interpolation=_HOW[self.up])
        return found

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[ThereAndBack]) -> torch.Tensor:
        sides, n = images.shape[-2:], len(operations)
        small = [[each.shape[axis] for each in operations] for axis in (0, 1)]
        downs, ups = [each.down for each in operations], [each.up for each in operations]
        down = (resizing([sides[axis]] * n, small[axis], downs, images.device) for axis in (0, 1))
        up = (resizing(small[axis], [sides[axis]] * n, ups, images.device) for axis in (0, 1))
        return separable(separable(images, *down), *up)


@dataclass(frozen=True)
class Blurred(Stills):
    """Gaussian, `kernel` pixels wide (odd), borders reflected. `sharpen` > 0: so much of what it takes is added instead."""

    kernel: int
    sigma: float
    sharpen: float = 0
    on_tensors: ClassVar[bool] = True

    def still(self, pixels: Pixels) -> Pixels:
        soft: Pixels = cv2.GaussianBlur(pixels, (self.kernel, self.kernel), self.sigma, borderType=cv2.BORDER_REFLECT_101)
        if not self.sharpen:
            return soft
        sharp: Pixels = cv2.addWeighted(pixels, 1 + self.sharpen, soft, -self.sharpen, 0)
        return sharp

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Blurred]) -> torch.Tensor:
        kernels, sigmas = [each.kernel for each in operations], [each.sigma for each in operations]
        height, width = (blurring(side, kernels, sigmas, images.device) for side in images.shape[-2:])
        soft = separable(images, height, width)
        amount = torch.tensor([each.sharpen for each in operations], device=images.device).reshape(-1, 1, 1, 1)
        sharp = rounded(images * (1 + amount) - soft * amount)
        return torch.where(amount > 0, sharp, soft)


@dataclass(frozen=True)
class Noisy(Operation):
    """Gaussian noise of `sigma` levels, every value its own. Counted out from `seed`, so that any machine finds the same."""

    sigma: float
    seed: int
    on_tensors: ClassVar[bool] = True

    def frames(self, pixels: Pixels) -> Pixels:
        numbers = mixed(self.seed, 0, np.arange((pixels.size + 1) // 2))
        first = ((numbers >> np.uint64(40)).astype(np.float32) + np.float32(1)) * np.float32(2**-24)
        second = ((numbers >> np.uint64(16)) & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2 * math.pi * 2**-24)
        radius = np.sqrt(np.log(first) * np.float32(-2)) * np.float32(self.sigma)
        noise = np.concatenate([radius * np.cos(second), radius * np.sin(second)])[: pixels.size]
        return np.asarray(cv2.add(pixels.reshape(-1, 3), noise.reshape(-1, 3), dtype=cv2.CV_8U)).reshape(pixels.shape)

    @staticmethod
    def many(images: torch.Tensor, operations: Sequence[Noisy]) -> torch.Tensor:
        count, channels, height, width = images.shape
        size = channels * height * width
        places = torch.arange((size + 1) // 2, device=images.device)
        seeds = torch.tensor([each.seed for each in operations], device=images.device)[:, None]
        numbers = _mix(_mix(_mix(seeds)) + places)  # draws.mixed(seed, 0, places)
        one = (_shifted(numbers, 40).float() + 1) * 2**-24
        two = (_shifted(numbers, 16) & (2**24 - 1)).float() * (2 * math.pi * 2**-24)
        sigma = torch.tensor([each.sigma for each in operations], device=images.device)[:, None]
        radius = torch.sqrt(torch.log(one) * -2) * sigma
        noise = torch.cat([radius * torch.cos(two), radius * torch.sin(two)], 1)[:, :size]
        return rounded(images + noise.reshape(count, height, width, channels).permute(0, 3, 1, 2))


_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _shifted(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """int64 read as unsigned, shifted right."""
    return (numbers >> bits) & (2 ** (64 - bits) - 1)


def _mix(numbers: torch.Tensor) -> torch.Tensor:
    """One step of splitmix64 on int64 tensors, as `draws.mixed` does it on uint64 arrays."""
    found = numbers + _signed(_GOLDEN)
    found = (found ^ _shifted(found, 30)) * _signed(_FACTORS[0])
    found = (found ^ _shifted(found, 27)) * _signed(_FACTORS[1])
    return found ^ _shifted(found, 31)


@dataclass(frozen=True, kw_only=True)
class ResizeAndBack(Augmentation):
    """Down to a share of both sides and up again, each way with an interpolation drawn from its list."""

    scale: Range = (0.25, 0.9)
    down: tuple[Interpolation, ...] = ("area", "linear", "cubic", "nearest")
    up: tuple[Interpolation, ...] = ("linear", "cubic", "nearest")
    LIMITS: ClassVar[dict[str, Range]] = {"scale": (0.01, 1)}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("down", "up"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        one_of("ResizeAndBack(down=...)", self.down, list(_HOW))
        one_of("ResizeAndBack(up=...)", self.up, ["linear", "cubic", "nearest"])

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        scale = uniform(chance, self.scale)
        height, width = (max(1, round(side * scale)) for side in shape)
        down = self.down[int(chance.integers(len(self.down)))]
        return ThereAndBack((height, width), down, self.up[int(chance.integers(len(self.up)))])


@dataclass(frozen=True, kw_only=True)
class Blur(Augmentation):
    """Gaussian. With `kernel` alone sigma follows from its drawn odd width k, 0.3 ((k - 1) / 2 - 1) + 0.8 (OpenCV's and
    albumentations' rule); with `sigma` alone the kernel reaches 3 sigma; with both each is drawn."""

    sigma: Range | None = (0.1, 2)
    kernel: tuple[int, int] | None = None
    LIMITS: ClassVar[dict[str, Range]] = {"sigma": (0, 100), "kernel": (1, 301)}

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("Blur", [name for name in ("sigma", "kernel") if getattr(self, name) is not None], ["sigma", "kernel"])

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        at, width = chance.random(2)
        sigma = None if self.sigma is None else max(1e-3, self.sigma[0] + at * (self.sigma[1] - self.sigma[0]))
        if self.kernel is None:
            assert sigma is not None
            return Blurred(2 * math.ceil(3 * sigma) + 1, sigma)
        odd = range(int(self.kernel[0]) | 1, int(self.kernel[1]) + 1, 2) or [int(self.kernel[0]) | 1]
        kernel = odd[int(width * len(odd))]
        return Blurred(kernel, 0.3 * ((kernel - 1) / 2 - 1) + 0.8 if sigma is None else sigma)


@dataclass(frozen=True, kw_only=True)
class Sharpen(Augmentation):
    """Unsharp mask: `amount` times what a Gaussian of sigma 1 takes away is added."""

    amount: Range = (0.2, 1)
    LIMITS: ClassVar[dict[str, Range]] = {"amount": (0, 10)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return Blurred(7, 1.0, sharpen=max(1e-6, uniform(chance, self.amount)))


@dataclass(frozen=True, kw_only=True)
class Noise(Augmentation):
    """Gaussian, of a sigma in levels, every pixel and channel its own; new in each frame of a clip."""

    sigma: Range = (1, 10)
    LIMITS: ClassVar[dict[str, Range]] = {"sigma": (0, 255)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return Noisy(uniform(chance, self.sigma), int(chance.integers(2**63)))
