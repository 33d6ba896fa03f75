"""A decoded frame as a picture: swscale converts what is looked at, straight from the decoder's planes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from mmidd.video.orientation import Orientation
from mmidd.video.picture import Image, small_size

# Without these flags swscale's last bits depend on the CPU's instruction set (measured).
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
CONVERSION = Interpolation.BILINEAR | _EXACT
REDUCTION = Interpolation.AREA | _EXACT

GRID = 8
"""Parts begin at multiples of this: no subsampled chroma sample is cut in two."""
RIM = 4
"""Pixels around a part that swscale's chroma interpolation looks at."""
MOST_PART = 0.6
"""Of the frame's area: a part larger than this costs more than the whole."""
HALVED = tuple(f"yuv{full}{chroma}p" for full in ("", "j") for chroma in (420, 422, 444))
"""Beginnings of the names of formats whose chroma is stored at full or half size."""


class Converter:
    """swscale contexts, one a size: setting one up anew costs more than a small conversion."""

    MOST = 8

    def __init__(self) -> None:
        self._reformatters: dict[tuple[int, ...], VideoReformatter] = {}

    def rgb(self, frame: VideoFrame, size: tuple[int, int] | None = None) -> Image:
        """(H,W,3) RGB uint8 by the colour matrix and range that the frame states (BT.601 limited where it states none)."""
        wanted = size or (frame.width, frame.height)
        key = (frame.width, frame.height, *wanted)
        if key not in self._reformatters and len(self._reformatters) >= self.MOST:
            self._reformatters.pop(next(iter(self._reformatters)))
        reformatter = self._reformatters.setdefault(key, VideoReformatter())
        flags = CONVERSION if wanted == (frame.width, frame.height) else REDUCTION
        converted = reformatter.reformat(frame, *wanted, format="rgb24", interpolation=flags, threads=1)
        return np.asarray(converted.to_ndarray(), np.uint8)


class Decoded:
    """See Picture. Holds the decoder's own frame, and the whole RGB image once somebody wanted it."""

    def __init__(self, frame: VideoFrame, upright: Orientation, converter: Converter) -> None:
        self._frame = frame
        self._upright = upright
        self._converter = converter
        self._whole: Image | None = None

    @property
    def width(self) -> int:
        return self._frame.height if self._upright.swap_axes else self._frame.width

    @property
    def height(self) -> int:
        return self._frame.width if self._upright.swap_axes else self._frame.height

    def whole(self) -> Image:
        """See Picture."""
        if self._whole is None:
            self._whole = self._upright.apply(self._converter.rgb(self._frame))
        return self._whole

    def small(self, side: int) -> Image:
        """See Picture."""
        size = small_size(self._frame.width, self._frame.height, side)
        if size == (self._frame.width, self._frame.height):
            return self.whole()
        return self._upright.apply(self._converter.rgb(self._frame, size))

    def part(self, left: int, top: int, right: int, bottom: int) -> Image:
        """See Picture."""
        stored = self._upright.stored(left, top, right, bottom, self.width, self.height)
        if self._whole is not None or not _worth_it(self._frame, stored):
            return np.ascontiguousarray(self.whole()[top:bottom, left:right])
        return self._upright.apply(self._stored_part(*stored))

    def _stored_part(self, left: int, top: int, right: int, bottom: int) -> Image:
        x0, y0 = _down(left - RIM), _down(top - RIM)
        x1, y1 = min(self._frame.width, _up(right + RIM)), min(self._frame.height, _up(bottom + RIM))
        image = Converter().rgb(_cropped(self._frame, x0, y0, x1, y1))
        return image[top - y0 : bottom - y0, left - x0 : right - x0]


def _worth_it(frame: VideoFrame, box: tuple[int, int, int, int]) -> bool:
    """Is converting the box alone cheaper than the whole, and bit for bit the same?

    Chroma is interpolated with a step of exactly 1/2 or 1 (so that places do not matter) where sides are even.
    """
    left, top, right, bottom = box
    small = (right - left) * (bottom - top) <= MOST_PART * frame.width * frame.height
    return small and frame.width % 2 == frame.height % 2 == 0 and frame.format.name.startswith(HALVED)


def _cropped(frame: VideoFrame, left: int, top: int, right: int, bottom: int) -> VideoFrame:
    """The frame's planes from a box on: ffmpeg's crop filter copies no pixel and keeps all that is said of colour."""
    graph = Graph()
    graph.threads = 1  # else one is started for each core, and for each part anew
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    crop = graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    source.push(frame)
    pulled = sink.pull()
    assert isinstance(pulled, VideoFrame)
    return pulled


def _down(at: int) -> int:
    return max(0, at) // GRID * GRID


def _up(at: int) -> int:
    return -(-at // GRID) * GRID
