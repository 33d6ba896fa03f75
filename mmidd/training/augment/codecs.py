"""What a picture goes through when it is stored or uploaded: JPEG, WebP, and video as platforms re-encode it.

All in memory and on one thread. The same draw gives the same bytes on one machine; encoders of another version, or on
another kind of CPU, may differ in single levels. On batches they run on the CPU, one picture after the other.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

import av
import cv2
import numpy as np
import simplejpeg
from PIL import Image

from mmidd.errors import UsageError
from mmidd.training.augment.base import Augmentation, Operation, Pixels, Range, Stills, in_range, one_of, uniform, whole

Subsampling = Literal["444", "422", "420"]
_FACTORS = {"444": 0x111111, "422": 0x211111, "420": 0x221111}
FPS = 25


@dataclass(frozen=True)
class AsJpeg(Stills):
    quality: int
    subsampling: Subsampling

    def still(self, pixels: Pixels) -> Pixels:
        # simplejpeg encodes with the fast transform below quality 96, whatever it is told; nobody's encoder does.
        parameters = (cv2.IMWRITE_JPEG_QUALITY, self.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _FACTORS[self.subsampling])
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters)
        found: Pixels = simplejpeg.decode_jpeg(encoded, colorspace="RGB")
        return found


@dataclass(frozen=True)
class AsWebp(Stills):
    quality: int

    def still(self, pixels: Pixels) -> Pixels:
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, "WEBP", quality=self.quality, method=2)
        with Image.open(stored) as image:
            return np.array(image.convert("RGB"))


@dataclass(frozen=True)
class Encode:
    """One encoding by H.264: the share of both sides it is resized to, then a constant rate factor, or bits a pixel."""

    scale: float
    crf: float | None
    bits: float | None


@dataclass(frozen=True)
class AsVideo(Operation):
    """Through several encodings in turn, then back to the size it had. A still becomes a clip of `still_frames` that moves
    by `drift` (x, y pixels a frame) and ends where the still is; its last frame is taken."""

    rounds: tuple[Encode, ...]
    still_frames: int
    drift: tuple[int, int]

    def frames(self, pixels: Pixels) -> Pixels:
        shape = pixels.shape[1:3]
        clip = list(pixels) if len(pixels) > 1 else _moving(pixels[0], self.still_frames, self.drift)
        for each in self.rounds:
            size = tuple(max(16, round(side * each.scale)) for side in shape)
            clip = h264([_resized(frame, size) for frame in clip], crf=each.crf, bits=each.bits).frames
        kept = clip if len(pixels) > 1 else clip[-1:]
        return np.stack([_resized(frame, shape) for frame in kept])


@dataclass(frozen=True)
class Encoded:
    """What came back, and how many bytes lay between."""

    frames: list[Pixels]
    size: int


def h264(frames: Sequence[Pixels], *, crf: float | None = None, bits: float | None = None) -> Encoded:
    """(height, width, 3) frames through x264 and back; `bits` a pixel if no `crf`. Odd sides are padded meanwhile."""
    height, width = frames[0].shape[:2]
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, FPS), Fraction(FPS), 1
    # Macroblock-tree rate control reads memory it has not set (see sampledata/media.py); without B-frames and lookahead
    # every frame comes out at once.
    params = "mbtree=0:threads=1:rc-lookahead=0:sync-lookahead=0:bframes=0:scenecut=0:log-level=none"
    encoder.options = {"preset": "veryfast", "flags": "+bitexact", "x264-params": params}
    if crf is not None:
        encoder.options = {**encoder.options, "crf": f"{crf:.2f}"}
    else:
        encoder.bit_rate = max(1000, round((bits or 0) * width * height * FPS))
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = [packet for i, frame in enumerate(frames) for packet in encoder.encode(_frame(frame, i))] + encoder.encode(
        None
    )
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    if len(decoded) != len(frames):
        raise RuntimeError(f"H.264 gave {len(decoded)} of {len(frames)} frames back")
    back = [np.ascontiguousarray(frame.to_ndarray(format="rgb24")[:height, :width]) for frame in decoded]
    return Encoded(back, sum(packet.size for packet in packets))


def _frame(pixels: Pixels, index: int) -> Any:
    height, width = pixels.shape[:2]
    even = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p", threads=1)
    frame.pts, frame.time_base = index, Fraction(1, FPS)
    return frame


def _resized(pixels: Pixels, shape: Sequence[int]) -> Pixels:
    if pixels.shape[:2] == tuple(shape):
        return pixels
    smaller = shape[0] < pixels.shape[0]
    found: Pixels = cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return found


def _moving(pixels: Pixels, count: int, drift: tuple[int, int]) -> list[Pixels]:
    """`count` frames, each shifted by `drift` from the next, the last as it is; borders repeated."""
    height, width = pixels.shape[:2]
    x, y = (abs(each) * (count - 1) for each in drift)
    wide = cv2.copyMakeBorder(pixels, y, y, x, x, cv2.BORDER_REPLICATE)
    corners = [(y + drift[1] * back, x + drift[0] * back) for back in range(count - 1, -1, -1)]
    return [np.ascontiguousarray(wide[top : top + height, left : left + width]) for top, left in corners]


@dataclass(frozen=True, kw_only=True)
class Jpeg(Augmentation):
    """libjpeg-turbo as OpenCV and Pillow call it (the same pixels); a whole quality and a chroma subsampling drawn."""

    quality: tuple[int, int] = (40, 100)
    subsampling: tuple[Subsampling, ...] = ("420",)
    LIMITS: ClassVar[dict[str, Range]] = {"quality": (1, 100)}

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "subsampling", tuple(self.subsampling))
        one_of("Jpeg(subsampling=...)", self.subsampling, ["444", "422", "420"])

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return AsJpeg(whole(chance, self.quality), self.subsampling[int(chance.integers(len(self.subsampling)))])

    def on_tensors(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class WebP(Augmentation):
    """Lossy WebP, a whole quality drawn; libwebp's method 2 of 6, a third of the time of its default."""

    quality: tuple[int, int] = (40, 95)
    LIMITS: ClassVar[dict[str, Range]] = {"quality": (1, 100)}

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        return AsWebp(whole(chance, self.quality))

    def on_tensors(self) -> bool:
        return False


@dataclass(frozen=True)
class Encoding:
    """Ranges of one encoding in a chain: sides in shares of the picture's own, and a constant rate factor (`crf`, 0..51:
    more is worse) or, where it is given, a rate in `bits` a pixel instead."""

    scale: Range = (1, 1)
    crf: Range = (18, 40)
    bits: Range | None = None

    def __post_init__(self) -> None:
        for name, limits in {"scale": (0.05, 1), "crf": (0, 51), "bits": (0.001, 24)}.items():
            if (value := getattr(self, name)) is not None:
                in_range(f"Encoding({name}={value!r})", value, limits)

    def draw(self, chance: np.random.Generator) -> Encode:
        scale, rate = uniform(chance, self.scale), uniform(chance, self.bits or self.crf)
        return Encode(scale, None if self.bits else rate, rate if self.bits else None)


PLATFORMS: dict[str, tuple[Encoding, ...]] = {
    "hosting": (Encoding(crf=(20, 28)), Encoding(scale=(0.6, 1), crf=(22, 32))),
    "social": (Encoding(crf=(20, 28)), Encoding(scale=(0.5, 1), bits=(0.05, 0.2))),
    "messenger": (Encoding(scale=(0.4, 0.8), crf=(26, 34)),),
    "reupload": (Encoding(scale=(0.6, 1), crf=(23, 30)), Encoding(scale=(0.4, 0.8), crf=(26, 36))),
}
"""Chains named after where they happen. Ours: no platform publishes what it does, and all change it."""


@dataclass(frozen=True, kw_only=True)
class Video(Augmentation):
    """H.264 (x264, veryfast), 4:2:0: one of the `chains` drawn, and every number in it. A clip is encoded as the sequence it
    is; a still as the last of `still_frames` frames that move by up to `drift` pixels a frame, so that it is predicted from
    others as most frames of a video are."""

    chains: tuple[tuple[Encoding, ...], ...] = ((Encoding(),),)
    still_frames: int = 3
    drift: int = 2
    NUMBERS: ClassVar[dict[str, Range]] = {"still_frames": (1, 64), "drift": (0, 16)}

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "chains", tuple(tuple(each) for each in self.chains))
        if not self.chains or not all(self.chains):
            raise UsageError("Video(chains=...): give at least one chain, and no empty one")
        if "libx264" not in av.codecs_available:
            raise UsageError("Video: this PyAV was built without libx264; install PyAV's own wheel (pip install av)")

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        chain = self.chains[int(chance.integers(len(self.chains)))]
        x, y = (int(each) for each in chance.integers(-self.drift, self.drift + 1, 2))
        return AsVideo(tuple(each.draw(chance) for each in chain), self.still_frames, (x, y))

    def on_tensors(self) -> bool:
        return False


def platforms(*names: str) -> tuple[tuple[Encoding, ...], ...]:
    """Chains for `Video` by name; all of `PLATFORMS` if none is named."""
    one_of("platforms", wanted := names or tuple(PLATFORMS), list(PLATFORMS))
    return tuple(PLATFORMS[name] for name in wanted)
