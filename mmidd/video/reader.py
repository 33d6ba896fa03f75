"""The protocol of video readers, what they return, and how a decoder says what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from mmidd.video.picture import Image, Picture

Lost = Literal["corrupt_frame", "undecodable_frame", "too_large_frame"]

MAX_PIXELS = 8192 * 8192


class CountMismatch(Exception):
    """The frame count from the demux pass did not hold while decoding: open again with `recount=True` and replan."""


@dataclass(frozen=True)
class Clip:
    """What is known of a video before its frames are taken.

    `width` and `height` are pixels of the upright frame, `rotation` the degrees clockwise (0, 90, 180, 270) that make
    it upright, after a top-bottom mirroring where `mirrored`. `fps` is the container's average rate, None where it
    states none. `sample_aspect_ratio` is the width of an upright pixel over its height; pixels are never resampled.
    `recounted`: `frame_count` was found by decoding everything, frames are numbered as they come out of the decoder.
    `cut_off` frames more belong after these by the file's index, but the file ends before them. Where there is no such
    index, `missing_bytes` says by how much the file is shorter than its header says.
    """

    frame_count: int
    width: int
    height: int
    fps: float | None
    codec: str
    rotation: int
    sample_aspect_ratio: float
    recounted: bool
    mirrored: bool = False
    cut_off: int = 0
    missing_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: `index` 0-based in display order, `timestamp` in seconds (the container's presentation time, None
    where it has none), its upright `picture`, or None and the reason in `lost`."""

    index: int
    timestamp: float | None
    picture: Picture | None
    lost: Lost | None = None

    @property
    def image(self) -> Image | None:
        """Every pixel, (H,W,3) RGB uint8 upright; None where the frame is lost."""
        return None if self.picture is None else self.picture.whole()


class VideoReader(Protocol):
    """An open video. Use it in a `with`; `frames` may be called more than once, each pass decodes from the start."""

    bad_packets: int
    """Packets that the last pass could not decode, as far as it went."""

    @property
    def clip(self) -> Clip: ...

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Exactly one Frame for each distinct index, ascending.

        Raises ValueError for an index outside the clip, CountMismatch when the plan does not hold (after the frames
        before the gap were given), MediaError when nothing can be decoded.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class DecoderMaker:
    """What the file of a decoder says of it, as its `DECODER`.

    `identity`: the exact versions of the libraries that shape its pixels, for cache keys. `open` takes the video, whether to
    count its frames by decoding all (`recount`), and the most pixels that a frame may have; it raises EmptyMedia,
    UnreadableMedia, TooLargeMedia. `open_files`: it reads open files too, such as members of archives; else paths alone.
    """

    identity: Callable[[], dict[str, str]]
    open: Callable[[Any, bool, int], VideoReader]
    open_files: bool = False


def checked_indices(indices: Sequence[int], frame_count: int) -> list[int]:
    """The distinct indices, ascending. Raises ValueError when one lies outside the clip."""
    wanted = sorted(set(indices))
    if wanted and (wanted[0] < 0 or wanted[-1] >= frame_count):
        raise ValueError(f"frame {wanted[0] if wanted[0] < 0 else wanted[-1]} of a clip of {frame_count}")
    return wanted
