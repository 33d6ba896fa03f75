"""A frame's pixels, converted only as far as somebody looks: all of them, a small copy, or a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


class Picture(Protocol):
    """An upright picture of `width` by `height` pixels. All images are (H,W,3) RGB uint8, contiguous."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def whole(self) -> Image:
        """Every pixel."""
        ...

    def small(self, side: int) -> Image:
        """The picture reduced by area averaging to a long side of at most `side`; a smaller one stays as it is."""
        ...

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """The pixels of a half-open box within the picture: those that `whole` has there, bit for bit."""
        ...


@dataclass(frozen=True, eq=False)
class Pixels:
    """A picture that is an image already. Raises ValueError for an array that is not (H,W,3) uint8."""

    image: Image

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f"a picture must be (H,W,3) uint8, not {image.shape} {image.dtype}")

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    def whole(self) -> Image:
        """See Picture."""
        return np.ascontiguousarray(self.image)

    def small(self, side: int) -> Image:
        """See Picture."""
        width, height = small_size(self.width, self.height, side)
        if (width, height) == (self.width, self.height):
            return self.whole()
        return np.asarray(cv2.resize(self.whole(), (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """See Picture."""
        return np.ascontiguousarray(self.image[top:bottom, left:right])


def small_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of a picture whose long side is reduced to `side`; unchanged if it is no longer than that."""
    if max(width, height) <= side:
        return width, height
    ratio = side / max(width, height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))
