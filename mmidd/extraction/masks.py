"""Manipulation masks: which file is whose, its frames beside the medium's, what of it lies in a face's box.

A mask's grey level is the strongest of its channels. Levels below `FLOOR` are the noise of a lossy file: they are cut
as they are, but point at nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mmidd.errors import ChangedMedia, MediaError
from mmidd.extraction.numbered import numbered
from mmidd.faces.encode import encode_mask
from mmidd.media import Name
from mmidd.raw.bytes import MediaBytes, MediaFile
from mmidd.video import CountMismatch, Frame, Picture, Pixels, open_video, read_still
from mmidd.video.picture import Image
from mmidd.video.turned import turned_frames

FLOOR = 16
SIDE = 320
"""Long side of the copy on which mass is measured, pixels."""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask on disk, by its name in its dataset. `own`: it is the medium's, and is cut with it; else it is that of a fake
    of the medium, and only points at the person."""

    dataset: str
    media: str
    file: MediaFile
    own: bool


def pointers(rows: Iterable[Mapping[str, Any]]) -> dict[Name, Name]:
    """For each real that has an aligned fake with a mask: dataset and path of the mask of the first such fake by name."""
    first: dict[Name, tuple[Name, Name]] = {}
    for row in rows:
        if row["mask"] is None or not row["pair_media"] or not row["aligned"]:
            continue
        real = (row["pair_dataset"] or row["dataset"], row["pair_media"])
        found = ((row["dataset"], row["media"]), (row["dataset"], row["mask"]))
        first[real] = min(first.get(real, found), found)
    return {real: mask for real, (_, mask) in first.items()}


@dataclass(frozen=True, eq=False)
class Mask:
    """The mask of one frame: its picture, of the frame's size, and whether it is cut."""

    picture: Picture
    own: bool

    def inside(self, boxes: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], float]:
        """How much of the mask lies in each box (n,4: xyxy, pixels of the frame), and in any of them, as shares of the
        frame; measured on a small copy."""
        level = self._level
        height, width = level.shape
        scale = np.array([width / self.picture.width, height / self.picture.height] * 2)
        places = np.rint(np.asarray(boxes, np.float64).reshape(-1, 4) * scale)
        places = np.clip(places, 0, [width, height, width, height]).astype(int)
        covered = np.zeros(level.shape, bool)
        shares = np.zeros(len(places))
        for row, (left, top, right, bottom) in enumerate(places.tolist()):
            covered[top:bottom, left:right] = True
            shares[row] = level[top:bottom, left:right].sum()
        return shares, float(level[covered].sum())

    def mass(self) -> float:
        """All of the mask, as `inside` measures it."""
        return float(self._level.sum())

    @cached_property
    def _level(self) -> npt.NDArray[np.float64]:
        small = _grey(self.picture.small(SIDE))
        return np.where(small < FLOOR, 0, small).astype(np.float64) / (255 * small.size)

    def part(self, box: tuple[int, int, int, int]) -> Image:
        """The grey levels (H,W) uint8 of a half-open box within the picture."""
        return _grey(self.picture.part(*box))

    def whole(self) -> bytes:
        """All of it, as a PNG."""
        return encode_mask(_grey(self.picture.whole()))


def _grey(image: Image) -> Image:
    return np.ascontiguousarray(image.max(axis=2))


@dataclass
class Masks:
    """The masks of a medium's frames; asked for in ascending order, one is held at a time. None was found: `frames` is
    empty. `counts` says of the frames that were asked for how many have one, and why others have none."""

    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    own: bool = False
    present: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _next: Frame | None = None
    how: ClassVar[str] = "mask"

    def at(self, index: int, picture: Picture) -> Mask | None:
        """The mask of the frame `index` that `picture` shows."""
        if not self.present:
            return None
        while self._next is None or self._next.index < index:
            self._next = next(self.frames, None)
            if self._next is None:
                break
        found = self._next
        if found is None or found.index != index:
            self.counts["mask_short"] += 1
        elif found.picture is None:
            self.counts["mask_unreadable"] += 1
        elif (found.picture.width, found.picture.height) != (picture.width, picture.height):
            self.counts["mask_other_size"] += 1
        else:
            self.counts["mask_frames"] += 1
            return Mask(found.picture, self.own)
        return None


@dataclass(frozen=True)
class MaskSource:
    """A mask file and where its bytes come from; no source where they cannot be read."""

    mask: MaskFile
    source: MediaBytes | None

    def check(self) -> None:
        """Raises ChangedMedia where the file is not what was read of it."""
        if self.source is not None:
            self.source.check()

    @contextmanager
    def opened(self, planned: Sequence[int], decoder: str, turn: int = 0) -> Iterator[Masks]:
        """The masks of these frames, turned as the frames are, while the file is open."""
        with ExitStack() as stack:
            frames = _told(self._frames(stack, sorted(planned), decoder), planned)
            yield Masks(turned_frames(frames, turn), self.mask.own, present=True)

    def _frames(self, stack: ExitStack, wanted: Sequence[int], decoder: str) -> Iterator[Frame]:
        if self.source is None:
            raise MediaError("its bytes cannot be read")
        if self.mask.file.kind == "frames":
            there = {part.number for part in self.mask.file.parts}
            for index in wanted:
                if index in there:
                    yield numbered(index, self.source.frame)[0]
            return
        if self.mask.file.kind != "video":
            yield Frame(0, None, Pixels(read_still(self.source.still()).image))
            return
        video = self.source.video()
        if not isinstance(video, Path):
            stack.enter_context(video)
        last = -1
        for recount in (False, True):
            reader = stack.enter_context(open_video(video, decoder, recount=recount))
            try:
                for frame in reader.frames([index for index in wanted if last < index < reader.clip.frame_count]):
                    last = frame.index
                    yield frame
                return
            except CountMismatch:
                if recount:
                    raise


def _told(frames: Iterator[Frame], planned: Sequence[int]) -> Iterator[Frame]:
    """The frames; what cannot be read of the file is lost frames, not an error of the medium. Raises ChangedMedia."""
    last = -1
    try:
        for frame in frames:
            last = frame.index
            yield frame
    except ChangedMedia:
        raise
    except (MediaError, CountMismatch):
        for index in sorted(planned):
            if index > last:
                yield Frame(index, None, None, "undecodable_frame")
