"""Writing media whose bytes depend on their pixels alone: H.264 in MP4, JPEG and PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from mmidd.sampledata.warp import Pixels

TICKS = 600  # a second, for clips with times of their own


def write_video(
    path: Path,
    frames: Iterable[Pixels],
    *,
    fps: int | Fraction,
    crf: int = 20,
    times: Sequence[int] | None = None,
    rotation: int = 0,
) -> None:
    """H.264, yuv420p, MP4. `times` (in TICKS, one a frame) make the rate variable; `rotation` is metadata only.

    The frames are rgb uint8 of one size, with even sides; `rotation` says how many degrees counter-clockwise a
    player has to turn them.
    """
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.pix_fmt = "yuv420p"
        # Macroblock-tree rate control reads memory it has not set: its bytes change from run to run (seen with x264
        # core 165 in PyAV 18, one thread; not with asm=0 or without the tree).
        stream.options = {"crf": str(crf), "preset": "veryfast", "flags": "+bitexact", "x264-params": "mbtree=0"}
        context = stream.codec_context
        context.thread_count = 1
        context.time_base = Fraction(1, TICKS) if times is not None else 1 / Fraction(fps)
        for index, pixels in enumerate(frames):
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_image(path: Path, pixels: Pixels, *, quality: int = 92) -> None:
    """JPEG or PNG, as the suffix says. `quality` is the JPEG's."""
    image = Image.fromarray(pixels)
    if path.suffix == ".png":
        image.save(path, compress_level=6)
    else:
        image.save(path, quality=quality, subsampling=0 if quality > 92 else 2)
