"""Turning stored pixels upright: the eight orientations of EXIF and of a container's display matrix."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Orientation:
    """What to do with stored pixels: first swap the axes, then mirror left-right, then mirror top-bottom."""

    swap_axes: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise (0, 90, 180, 270); where `mirrored`, after a top-bottom mirroring."""
        if self.swap_axes:
            return 270 if self.mirror_y else 90
        return 180 if self.mirror_x else 0

    @property
    def mirrored(self) -> bool:
        """True where no rotation alone makes the pixels upright."""
        return self.swap_axes ^ self.mirror_x ^ self.mirror_y

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The upright image (H,W,3) uint8, contiguous; no copy where nothing is to be done."""
        if self.swap_axes:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])

    def stored(self, left: int, top: int, right: int, bottom: int, width: int, height: int) -> tuple[int, int, int, int]:
        """The half-open box of stored pixels that is shown as this box of the upright picture of `width` x `height`."""
        x = (width - right, width - left) if self.mirror_x else (left, right)
        y = (height - bottom, height - top) if self.mirror_y else (top, bottom)
        (x0, x1), (y0, y1) = (y, x) if self.swap_axes else (x, y)
        return x0, y0, x1, y1


_EXIF = {
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(swap_axes=True),
    6: Orientation(swap_axes=True, mirror_x=True),
    7: Orientation(swap_axes=True, mirror_x=True, mirror_y=True),
    8: Orientation(swap_axes=True, mirror_y=True),
}


def from_exif(value: object) -> Orientation:
    """The orientation of EXIF tag 0x0112; anything but 2 to 8 means upright (EXIF 2.32, 4.6.4)."""
    return _EXIF.get(value, Orientation()) if isinstance(value, int) else Orientation()


def from_display_matrix(data: bytes) -> Orientation:
    """The orientation of ffmpeg's display matrix: nine native int32, point (p,q) shown at (a p + c q, b p + d q).

    Angles between the four right ones are taken as the nearest; a short or empty matrix means upright.
    """
    if len(data) < 36:
        return Orientation()
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(swap_axes=True, mirror_x=c < 0, mirror_y=b < 0)
    return Orientation(mirror_x=a < 0, mirror_y=d < 0)
