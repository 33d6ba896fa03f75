"""torchcodec as an optional backend: for those who already decode with it (seek mode "exact", CPU).

It guarantees neither rotation nor exactness. Measured (torchcodec 0.13.0, 60 random frames a clip, docs/video.md):
wrong frames or errors in MPEG-TS (11 of 60 right), MPEG-4 with B-frames in AVI (4 of 60), edit lists (48 of 60), and
an error that ends the file at the first damaged packet; 0.9 of the speed of PyAV and 0.6 GB of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mmidd.errors import EmptyMedia, MissingExtra, MmiddError, UnreadableMedia
from mmidd.video.container import declared
from mmidd.video.picture import Pixels
from mmidd.video.reader import MAX_PIXELS, Clip, DecoderMaker, Frame, checked_indices


class TorchcodecReader:
    """One thread; frames by torchcodec's own numbering."""

    bad_packets = 0

    def __init__(self, path: Path, *, max_pixels: int = MAX_PIXELS) -> None:
        try:
            from torchcodec.decoders import VideoDecoder
        except (
            ImportError,
            RuntimeError,
            OSError,
        ) as error:  # a build for another torch fails on its shared libraries
            raise MissingExtra("torchcodec", "the torchcodec video backend") from error
        known = declared(path, max_pixels)
        try:
            self._decoder: Any = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
        except (RuntimeError, ValueError) as error:
            if "load libtorchcodec" in str(error):  # no fault of the medium: every other one would have it too
                raise MmiddError(
                    "torchcodec finds no FFmpeg libraries that it can use on this machine: install them (on Debian and "
                    "Ubuntu: apt install ffmpeg), or use --set decoder=pyav"
                ) from error
            raise UnreadableMedia("torchcodec cannot open the video") from error
        count = len(self._decoder)
        if count == 0:
            raise EmptyMedia("the video has no frame")
        size = self._decoder.metadata
        self.clip = Clip(
            count,
            size.width or known.width,
            size.height or known.height,
            known.fps,
            known.codec,
            0,
            known.aspect,
            False,
        )

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """See VideoReader; a frame that torchcodec fails on is lost, CountMismatch is never raised."""
        for index in checked_indices(indices, self.clip.frame_count):
            try:
                got = self._decoder.get_frame_at(index)
                yield Frame(index, float(got.pts_seconds), Pixels(np.ascontiguousarray(got.data.numpy())))
            except (RuntimeError, IndexError):
                yield Frame(index, None, None, "undecodable_frame")

    def close(self) -> None:
        """Let the decoder go."""
        self._decoder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


DECODER = DecoderMaker(
    lambda: {"torchcodec": version("torchcodec")}, lambda path, _recount, most: TorchcodecReader(path, max_pixels=most)
)
