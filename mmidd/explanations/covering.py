"""A part of a picture covered grey, and as large a part elsewhere, to compare it with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
GREY = 127
STEPS = 4
"""Elsewhere: moved by each multiple of a STEPS-th of the picture's sides; what leaves it on one side comes in
on the other."""
OVERLAP = 0.2
"""What shares more of the part is not elsewhere."""


def covered(image: Pixels, part: Bools) -> Pixels:
    """A picture (height, width, 3) without a part (height, width) of it."""
    return np.where(part[:, :, None], np.uint8(GREY), image)


def elsewhere(part: Bools) -> list[Bools]:
    """All of as many pixels that are elsewhere; none where the part takes too much of the picture for that."""
    return [each for each in _moved(part) if (each & part).sum() <= OVERLAP * part.sum()]


def _moved(part: Bools) -> Iterator[Bools]:
    height, width = part.shape
    for down in range(STEPS):
        for right in range(STEPS):
            if down or right:
                yield np.roll(part, (down * height // STEPS, right * width // STEPS), (0, 1))
