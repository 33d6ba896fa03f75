"""From encoded bytes to pixels of the wanted size: images, their masks, and where landmarks come to lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
import torch

from mmidd.corpus.decoding import by_opencv, jpeg_shape
from mmidd.corpus.pictures import MOST_PIXELS
from mmidd.corpus.pictures import decoded as by_pillow
from mmidd.errors import CorpusError, UsageError

Pixels = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad", "stretch"]

_FITS = ("crop", "pad", "stretch")
_MOST_SIZE = 8192


class Into(Protocol):
    """Gives where an image of a (height, width) is to be written, (height, width, 3); None where it may lie anywhere."""

    def __call__(self, shape: tuple[int, int]) -> Pixels | None: ...


class UnreadableRow(CorpusError):
    """One row's image cannot be used; the shard that holds it is sound otherwise."""


def decoded(data: bytes, told: str, least: int | None = None, into: Into | None = None) -> tuple[Pixels, tuple[int, int]]:
    """RGB (height, width, 3), as `corpus.pictures.decoded` gives it, and the (height, width) that is stored.

    With `least` a JPEG whose sides are at least twice that is decoded at a half, a quarter or an eighth, no side below
    `least`. A JPEG that is not scaled is decoded `into` its place. Raises UnreadableRow, which begins with `told`.
    """
    shape = jpeg_shape(data)
    try:
        if shape and shape[0] * shape[1] <= MOST_PIXELS:
            scaled = {"min_height": least, "min_width": least, "min_factor": 2} if least and min(shape) >= 2 * least else {}
            place = into(shape) if into is not None and not scaled else None
            return simplejpeg.decode_jpeg(data, buffer=place, **scaled), shape
    except ValueError:
        pass  # damaged: Pillow decides
    found = by_opencv(data)
    if found is None:
        try:
            found = np.array(by_pillow(data, told))
        except CorpusError as error:
            raise UnreadableRow(str(error)) from error
    return found, (found.shape[0], found.shape[1])


@dataclass(frozen=True)
class Sizing:
    """How images get one size, a square of `size` pixels; None leaves them as they are.

    A square image is resized to it, whatever `fit` is. Of another one `crop` takes the middle, its shorter side resized;
    `pad` takes all, black beside it; `stretch` changes its proportions.
    """

    size: int | None = None
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.size is not None and not (type(self.size) is int and 1 <= self.size <= _MOST_SIZE):
            raise UsageError(
                f"size={self.size!r}: a side of the images in pixels, 1 to {_MOST_SIZE}, or None for as they are"
            )
        if self.fit not in _FITS:
            raise UsageError(f"fit={self.fit!r}: one of {', '.join(_FITS)}")

    def image(self, data: bytes, told: str, into: Into | None = None) -> tuple[Pixels, tuple[int, int]]:
        """An encoded image, decoded and sized, and the (height, width) that is stored; written `into` its place where that
        saves a copy. Raises UnreadableRow."""
        if self.size is None:
            return decoded(data, told, into=into)
        pixels, stored = decoded(data, told, None if self.fit == "pad" else self.size)
        return self._sized(pixels, stored, into), stored

    def fitted(self, pixels: Pixels) -> Pixels:
        """An image that is decoded already, RGB (height, width, 3), sized."""
        return self._sized(pixels, (pixels.shape[0], pixels.shape[1]))

    def mask(self, data: bytes, stored: tuple[int, int], told: str) -> Pixels:
        """The encoded mask of an image of that stored (height, width), sized as it: (height, width)."""
        pixels, found = decoded(data, told)
        if found != stored:
            raise UnreadableRow(f"{told} has {found[1]}x{found[0]} pixels, its image {stored[1]}x{stored[0]}")
        return np.ascontiguousarray(self._sized(pixels, stored)[..., 0])

    def points(self, points: npt.NDArray[np.float32], stored: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Points (n, 2) of the stored image as points of the sized one; the middle of the first pixel is 0, 0."""
        taken, given = self._boxes(stored)
        scale = np.array([given.width / taken.width, given.height / taken.height])
        moved = (points - (taken.left, taken.top) + 0.5) * scale - 0.5 + (given.left, given.top)
        return np.asarray(moved, np.float32)

    def _boxes(self, stored: tuple[int, int]) -> tuple[_Box, _Box]:
        """Which part of the stored image becomes which part of the sized one."""
        height, width = stored
        whole = _Box(0, 0, height, width)
        if self.size is None:
            return whole, whole
        square = _Box(0, 0, self.size, self.size)
        if self.fit == "crop":
            side = min(stored)
            return _Box((height - side) // 2, (width - side) // 2, side, side), square
        if self.fit == "stretch":
            return whole, square
        new_height, new_width = (max(1, round(side * self.size / max(stored))) for side in stored)
        return whole, _Box((self.size - new_height) // 2, (self.size - new_width) // 2, new_height, new_width)

    def _sized(self, pixels: Pixels, stored: tuple[int, int], into: Into | None = None) -> Pixels:
        if self.size is None:
            return pixels
        taken, given = self._boxes(stored)
        pixels = taken.scaled(pixels.shape[0] / stored[0], pixels.shape[1] / stored[1]).of(pixels)
        height, width = pixels.shape[:2]
        if (height, width) != (given.height, given.width):
            # The mean over an area does not alias; below a shrinking by 2 nor does the line, in a sixth of the time.
            area = height >= 2 * given.height or width >= 2 * given.width
            place = into((self.size, self.size)) if into is not None and given.height == given.width == self.size else None
            how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
            pixels = cv2.resize(pixels, (given.width, given.height), dst=place, interpolation=how)
        if pixels.shape[:2] != (self.size, self.size):
            found = np.zeros((self.size, self.size, 3), np.uint8)
            given.of(found)[:] = pixels
            return found
        return np.ascontiguousarray(pixels)


@dataclass(frozen=True)
class _Box:
    """A part of an image, in whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def scaled(self, down: float, across: float) -> _Box:
        """The same part of the image at another size."""
        top, left = round(self.top * down), round(self.left * across)
        return _Box(top, left, max(1, round(self.height * down)), max(1, round(self.width * across)))

    def of(self, pixels: Pixels) -> Pixels:
        """A view of this part of an image."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


def tensor(pixels: Pixels) -> Any:
    """(height, width, 3) as (3, height, width) without a copy: the bytes stay as they are (torch's channels_last)."""
    return torch.from_numpy(pixels).permute(2, 0, 1)
