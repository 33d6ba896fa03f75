"""Tiny real clips made on the spot: every frame carries its number as a barcode that survives lossy coding."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mmidd.video.yuv import Converter

BITS = 10
WIDTH, HEIGHT = 160, 96
Image = npt.NDArray[np.uint8]


def barcode(index: int) -> Image:
    """(96,160,3): the number in ten blocks, its complement below, and under both a pattern that moves."""
    bits = np.array([(index >> bit) & 1 for bit in range(BITS)], dtype=np.uint8)
    codes = np.repeat(np.stack([bits, 1 - bits]) * 255, WIDTH // BITS, axis=1)
    x = (np.arange(WIDTH) * 3 + index * 5) % 256
    moving = (x[None, :] + np.arange(HEIGHT - 64)[:, None] * 4) % 256
    grey = np.concatenate([np.repeat(codes, 32, axis=0), moving]).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_barcode(image: Image) -> int:
    """The number burnt into a frame; fails where the code and its complement disagree."""
    height, width = image.shape[:2]
    grey = image.mean(axis=2)
    centres = (np.arange(BITS) * 2 + 1) * width // (2 * BITS)
    rows = [np.array([grey[y - 6 : y + 6, x - 4 : x + 4].mean() > 127 for x in centres]) for y in (height // 6, height // 2)]
    assert (rows[0] != rows[1]).all(), "the barcode cannot be read"
    return int((rows[0].astype(int) << np.arange(BITS)).sum())


@dataclass(frozen=True)
class Recipe:
    """How a clip is written: `times` are presentation times in units of 1/fps; `shown` is what the container asks
    players to do with the stored frames: degrees counterclockwise, then mirror left-right, then top-bottom."""

    name: str
    codec: str = "libx264"
    frames: int = 90
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    pix_fmt: str = "yuv420p"
    times: tuple[int, ...] | None = None
    fps: int = 25
    shown: tuple[int, bool, bool] = (0, False, False)
    aspect: Fraction | None = None
    audio: bool = False
    format: str | None = None


def write_clip(folder: Path, recipe: Recipe) -> Path:
    """Encode a recipe with PyAV; deterministic."""
    path = folder / recipe.name
    with quiet_encoders(), av.open(str(path), "w", format=recipe.format, options=recipe.container) as container:
        encode_into(container, recipe)
    return path


def encode_into(container: Any, recipe: Recipe) -> None:
    """One video stream, and where asked for a silent audio stream beside it."""
    stream = container.add_stream(recipe.codec, rate=recipe.fps, options=recipe.options)
    stored = [_stored(barcode(i), recipe) for i in range(recipe.frames)]
    stream.height, stream.width = stored[0].shape[:2]
    stream.pix_fmt = recipe.pix_fmt
    stream.codec_context.thread_count = 1
    if recipe.aspect is not None:
        stream.codec_context.sample_aspect_ratio = recipe.aspect
    if any(recipe.shown):
        stream.set_display_rotation(*recipe.shown)
    if recipe.audio:
        _mux_silence(container, seconds=recipe.frames / recipe.fps)
    for i, image in enumerate(stored):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=recipe.pix_fmt)
        frame.pts = recipe.times[i] if recipe.times is not None else i
        frame.time_base = Fraction(1, recipe.fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _stored(upright: Image, recipe: Recipe) -> Image:
    degrees, mirror_x, mirror_y = recipe.shown
    return np.ascontiguousarray(np.rot90(upright[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1], -degrees // 90))


def _mux_silence(container: Any, seconds: float) -> None:
    stream = container.add_stream("aac", rate=16000)
    stream.layout = "mono"
    for k in range(int(seconds * 16000) // 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, k * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def encode_audio(path: Path) -> None:
    """An mp4 with sound and no picture."""
    with av.open(str(path), "w") as container:
        _mux_silence(container, seconds=1.0)


def elementary_stream(size: tuple[int, int], frames: int, codec: str = "libx264", fmt: str = "h264") -> bytes:
    """Raw coded video without a container: grey frames of (width, height)."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=fmt) as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "0", "preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            image = np.full((size[1], size[0], 3), i * 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def set_edit_list(path: Path, *, skip: int, keep: int) -> None:
    """Rewrite the first edit of an mp4's video track: `skip` frames later in, `keep` frames long."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    version, count = data[at], struct.unpack(">I", data[at + 4 : at + 8])[0]
    assert (version, count) == (0, 1)
    timescale = _timescale(data, b"mdhd")
    start = struct.unpack(">i", data[at + 12 : at + 16])[0]
    frame = timescale // 25
    data[at + 8 : at + 12] = struct.pack(">I", keep * _timescale(data, b"mvhd") // 25)
    data[at + 12 : at + 16] = struct.pack(">i", start + skip * frame)
    path.write_bytes(data)


def _timescale(data: bytearray, box: bytes) -> int:
    at = data.index(box) + 4
    assert data[at] == 0, "version 0 boxes only"
    return int(struct.unpack(">I", data[at + 12 : at + 16])[0])


@dataclass(frozen=True)
class Reference:
    """A frame of a plain sequential decode."""

    timestamp: float | None
    image: Image


@contextlib.contextmanager
def plain_decode(path: Path) -> Iterator[Iterator[av.VideoFrame]]:
    """The frames as a plain sequential decode of the best video stream shows them."""
    with av.open(str(path)) as container:
        best = container.streams.best("video")
        assert isinstance(best, av.VideoStream)
        yield container.decode(best)


def full_decode(path: Path) -> list[Reference]:
    """All of a small clip's frames, in stored orientation, converted as the reader converts."""
    converter = Converter()
    with plain_decode(path) as frames:
        return [Reference(None if frame.pts is None else frame.time, converter.rgb(frame)) for frame in frames]


def rewrite_packets(path: Path, change: Callable[[int, bytes], bytes | None]) -> None:
    """Copy a clip packet by packet, letting `change` edit the bytes of the i-th one, or leave it out (None)."""
    copy = path.with_name(f"copy_{path.name}")
    with av.open(str(path)) as old, av.open(str(copy), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for i, packet in enumerate(packet for packet in old.demux(old.streams.video[0]) if packet.size):
            data = change(i, bytes(packet))
            if data is None:
                continue
            changed = av.Packet(data)
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, stream
            new.mux(changed)
    copy.replace(path)


def growing_clip(path: Path, sizes: tuple[tuple[int, int], ...], frames: int) -> Path:
    """One stream whose frames change their size on the way, as in recordings that switch their source."""
    with av.open(str(path), "w") as container:
        first = None
        for k, size in enumerate(sizes):
            with av.open(io.BytesIO(elementary_stream(size, frames)), "r", format="h264") as raw:
                stream = first = first or container.add_stream_from_template(raw.streams.video[0])
                for i, packet in enumerate(packet for packet in raw.demux() if packet.size):
                    packet.pts = packet.dts = k * frames + i
                    packet.time_base, packet.stream = Fraction(1, 25), stream
                    container.mux(packet)
    return path


def flip_bytes(path: Path, *, start: float, stop: float, every: int, by: int = 0x55) -> None:
    """Damage a file between two fractions of its length."""
    data = bytearray(path.read_bytes())
    for at in range(int(len(data) * start), int(len(data) * stop), every):
        data[at] ^= by
    path.write_bytes(data)


def vfr_times(frames: int, seed: int = 3) -> tuple[int, ...]:
    """Strictly growing, irregular presentation times."""
    steps = np.random.default_rng(seed).integers(1, 5, frames).tolist()
    return tuple(np.cumsum(steps).tolist())


@contextlib.contextmanager
def quiet_encoders() -> Iterator[None]:
    """SVT-AV1 and x265 write to the terminal unless they are told not to."""
    before = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = "0"
    try:
        yield
    finally:
        os.environ.pop("SVT_LOG") if before is None else os.environ.update(SVT_LOG=before)
