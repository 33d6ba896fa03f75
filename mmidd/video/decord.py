"""decord as an optional backend: kept for comparison, not for corpora.

It applies no rotation and guarantees no exactness. Measured (decord 0.6.0, 60 random frames a clip, docs/video.md):
wrong frames in MPEG-TS (0 of 60 right), MPEG-4 with B-frames in AVI (4 of 60), edit lists (15 of 60), HEVC (56 of 60),
open GOPs (59 of 60); nothing exact of AV1 and GIF; an error for a damaged stretch; 0.7 of the speed of PyAV and 0.5 GB
of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mmidd.errors import EmptyMedia, MissingExtra, UnreadableMedia
from mmidd.video.container import declared
from mmidd.video.picture import Pixels
from mmidd.video.reader import MAX_PIXELS, Clip, DecoderMaker, Frame, checked_indices


class DecordReader:
    """One thread; frames by decord's own numbering, stored orientation."""

    bad_packets = 0

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS) -> None:
        try:
            import decord
        except ImportError as error:
            raise MissingExtra("decord", "the decord video backend") from error
        known = declared(path, max_pixels)
        self._error: type[Exception] = decord.DECORDError
        try:
            self._reader: Any = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        except (RuntimeError, self._error) as error:
            raise UnreadableMedia("decord cannot open the video") from error
        if len(self._reader) == 0:
            raise EmptyMedia("the video has no frame")
        self.clip = Clip(len(self._reader), known.width, known.height, known.fps, known.codec, 0, known.aspect, False)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """See VideoReader; a frame that decord fails on is lost, CountMismatch is never raised."""
        for index in checked_indices(indices, self.clip.frame_count):
            try:
                image = Pixels(np.ascontiguousarray(self._reader[index].asnumpy()))
                yield Frame(index, float(self._reader.get_frame_timestamp(index)[0]), image)
            except (RuntimeError, self._error):
                yield Frame(index, None, None, "undecodable_frame")

    def close(self) -> None:
        """Let the decoder go."""
        self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


DECODER = DecoderMaker(
    lambda: {"decord": version("decord")}, lambda path, _recount, most: DecordReader(path, max_pixels=most)
)
