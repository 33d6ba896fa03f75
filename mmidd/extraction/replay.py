"""A medium's samples again, from its stored geometry: the frames, transforms and masks of its rows. Nothing is detected.

Only the frames that rows name are decoded. What cannot be made again is told row by row.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import cv2
import numpy as np

from mmidd.errors import MmiddError
from mmidd.extraction.crop import crop_of
from mmidd.extraction.masks import Mask, Masks, MaskSource
from mmidd.extraction.numbered import closed, numbered
from mmidd.faces.align import Border
from mmidd.faces.encode import ImageConfig, decode, encode
from mmidd.video import (
    CountMismatch,
    Frame,
    Picture,
    Pixels,
    backend_identity,
    open_hdf5,
    open_video,
    read_still,
    still_identity,
)
from mmidd.video.picture import Image
from mmidd.video.registry import DECODERS
from mmidd.video.turned import turned_frames

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.raw.bytes import MediaBytes, MediaFile

ABSENT, UNDECODABLE, OTHER_SIZE, NO_CUT = "frame_absent", "frame_undecodable", "frame_other_size", "cut_impossible"
"""Why a row was not made again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The geometry of a row: its frame, the size that has, the transform (None: the whole image), and has it a mask?"""

    frame: int
    width: int
    height: int
    transform: tuple[float, ...] | None
    masked: bool


@dataclass(frozen=True)
class Cutting:
    """How the crops of a corpus were cut and encoded."""

    size: int
    border: Border
    image: ImageConfig
    decoder: str

    @classmethod
    def of(cls, crop: Mapping[str, Any], image: Mapping[str, Any], decoder: str) -> Cutting:
        """From the parts of a recipe. Raises ValueError for an unknown decoder."""
        if decoder not in DECODERS:
            raise ValueError(f"unknown video decoder {decoder!r}")
        return cls(crop["size"], crop["border"], ImageConfig(**image), decoder)

    def libraries(self) -> dict[str, str]:
        """The versions here of what shapes a crop, under the names that `mmidd.json` has for them."""
        return {
            **backend_identity(self.decoder),
            **still_identity(),
            "opencv-python-headless": _opencv(),
            "numpy": np.__version__,
        }


def _opencv() -> str:
    """The version of its package, under any of whose names it may have come."""
    with suppress(PackageNotFoundError):
        return version("opencv-python-headless")
    return cv2.__version__


@dataclass(frozen=True, slots=True)
class Made:
    """A row's image and mask, encoded."""

    image: bytes
    mask: bytes | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a row was not made again: a reason, and what was seen."""

    reason: str
    seen: str


R = TypeVar("R")
Miscounted = CountMismatch
"""A video's count of frames did not hold: replay it again with `recount`."""


def replay(
    file: MediaFile,
    source: MediaBytes,
    rows: Sequence[tuple[Stored, R]],
    cutting: Cutting,
    mask: MaskSource | None = None,
    *,
    turn: int = 0,
    recount: bool = False,
) -> Iterator[tuple[R, Made | Lost]]:
    """Each row with what it was given with, in the order of frames. `turn`: by how many degrees clockwise the medium was
    turned. `recount`: number a video's frames by decoding all.

    Raises MediaError where nothing of the medium can be used, Miscounted.
    """
    asked: dict[int, list[tuple[Stored, R]]] = {}
    for row, name in rows:
        asked.setdefault(row.frame, []).append((row, name))
    masked = sorted({row.frame for row, _ in rows if row.masked})
    with ExitStack() as stack:
        wanted = mask is not None and masked
        masks = stack.enter_context(mask.opened(masked, cutting.decoder, turn)) if mask is not None and wanted else Masks()
        frames = stack.enter_context(closing(_frames(file, source, sorted(asked), cutting.decoder, recount=recount)))
        for frame in turned_frames(frames, turn):
            yield from _of_frame(frame, asked.pop(frame.index), cutting, masks)
    for index in sorted(asked):
        lost = Lost(ABSENT, f"it has no frame {index}")
        yield from ((name, lost) for _, name in asked[index])


def _of_frame(
    frame: Frame, rows: Iterable[tuple[Stored, R]], cutting: Cutting, masks: Masks
) -> Iterator[tuple[R, Made | Lost]]:
    picture = frame.picture
    for row, name in rows:
        if picture is None:
            yield name, Lost(UNDECODABLE, f"frame {frame.index} cannot be decoded ({frame.lost})")
        elif (picture.width, picture.height) != (row.width, row.height):
            seen = f"frames of {picture.width}x{picture.height}, not {row.width}x{row.height}"
            yield name, Lost(OTHER_SIZE, seen)
        else:
            yield name, _made(picture, row, cutting, masks.at(frame.index, picture) if row.masked else None)


def _made(picture: Picture, row: Stored, cutting: Cutting, mask: Mask | None) -> Made | Lost:
    try:
        if row.transform is None:
            own = mask if mask is not None and mask.own else None
            return Made(encode(picture.whole(), cutting.image), own.whole() if own else None)
        _, crop, marked = crop_of(picture, row.transform, cutting.size, cutting.border, mask)
        return Made(encode(crop, cutting.image), marked)
    except (ValueError, MmiddError) as error:  # a transform that no build made, a side that the format cannot hold
        return Lost(NO_CUT, str(error))


def pixels_of(data: bytes) -> Image:
    """The pixels (height, width, 3) of an encoded image or mask, RGB. Raises MediaError for none."""
    return decode(data)


def _frames(file: MediaFile, source: MediaBytes, wanted: Sequence[int], decoder: str, *, recount: bool) -> Generator[Frame]:
    """The wanted frames that are there."""
    if file.kind == "image":
        if 0 in wanted:
            yield Frame(0, None, Pixels(read_still(source.still()).image))
    elif file.kind == "frames":
        there = frozenset(file.numbers)
        yield from (numbered(number, source.frame)[0] for number in wanted if number in there)
    else:
        with closed(source.video()) as video:
            if file.kind == "hdf5":
                with open_hdf5(video, file.inside) as arrays:
                    there = frozenset(arrays.numbers)
                    yield from (arrays.frame(number) for number in wanted if number in there)
            else:
                yield from _of_video(video, wanted, decoder, recount=recount)


def _of_video(video: Path | BinaryIO, wanted: Sequence[int], decoder: str, *, recount: bool) -> Iterator[Frame]:
    with open_video(video, decoder, recount=recount) as reader:
        yield from reader.frames([index for index in wanted if 0 <= index < reader.clip.frame_count])
