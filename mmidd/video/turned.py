"""Pictures turned by right angles, where a file does not say that it lies on its side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmidd.video.orientation import Orientation
from mmidd.video.picture import Image, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmidd.video.reader import Frame

_TURNS = {
    90: Orientation(swap_axes=True, mirror_x=True),
    180: Orientation(mirror_x=True, mirror_y=True),
    270: Orientation(swap_axes=True, mirror_y=True),
}
"""By degrees clockwise."""


@dataclass(frozen=True, eq=False)
class Turned:
    """See Picture. Converts no more of the picture than is looked at."""

    picture: Picture
    by: Orientation

    @property
    def width(self) -> int:
        return self.picture.height if self.by.swap_axes else self.picture.width

    @property
    def height(self) -> int:
        return self.picture.width if self.by.swap_axes else self.picture.height

    def whole(self) -> Image:
        """See Picture."""
        return self.by.apply(self.picture.whole())

    def small(self, side: int) -> Image:
        """See Picture."""
        return self.by.apply(self.picture.small(side))

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """See Picture."""
        return self.by.apply(self.picture.part(*self.by.stored(left, top, right, bottom, self.width, self.height)))


def turned(picture: Picture, degrees: int) -> Picture:
    """The picture turned clockwise by 90, 180 or 270 degrees; itself by 0. Raises ValueError for other angles."""
    if not degrees:
        return picture
    if degrees not in _TURNS:
        raise ValueError(f"a picture is turned by 90, 180 or 270 degrees, not {degrees}")
    return Turned(picture, _TURNS[degrees])


def turned_frames(frames: Iterable[Frame], degrees: int) -> Iterator[Frame]:
    """The frames with their pictures turned."""
    for frame in frames:
        yield frame if frame.picture is None else replace(frame, picture=turned(frame.picture, degrees))
