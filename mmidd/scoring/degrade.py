"""What is done to stored images before a model sees them: JPEG, shrinking, blur, noise, H.264, each of a stated strength.

All of it is a function of the image, its sample's id and the level; H.264 also of the frames beside it in its clip.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from mmidd.errors import UsageError

Pixels = npt.NDArray[np.uint8]
PIECE = 32
"""Frames of a clip that are one H.264 video: longer clips are several, so that memory is bounded."""
NONE, SWEEP = "none", "sweep"


@dataclass(frozen=True)
class Degradation:
    """One of KINDS and its level."""

    name: str
    level: float

    def __str__(self) -> str:
        return f"{self.name}={self.level:g}"

    @property
    def slug(self) -> str:
        """As a part of a file's name."""
        return f"{self.name}-{self.level:g}"

    @property
    def is_nothing(self) -> bool:
        """Would it leave every image as it is?"""
        return self.level == KINDS[self.name].nothing

    @property
    def of_clips(self) -> bool:
        """Does it need the other frames of the clip?"""
        return self.name == "h264"

    def applied(self, frames: Sequence[Pixels], ids: Sequence[str]) -> list[Pixels]:
        """Of a piece of a clip, frames in order, RGB (height, width, 3) each; the same shapes come back."""
        if self.is_nothing:
            return list(frames)
        if self.of_clips:
            return _by_size(frames, self.level)
        one = KINDS[self.name].one
        assert one is not None
        return [one(frame, self.level, name) for frame, name in zip(frames, ids, strict=True)]


def jpeg(pixels: Pixels, quality: float, name: str) -> Pixels:
    """Encoded as JPEG (libjpeg's quality, 1 to 100; chroma 4:2:0; baseline) and decoded again."""
    given = np.ascontiguousarray(pixels)
    data = simplejpeg.encode_jpeg(given, quality=int(quality), colorsubsampling="420", fastdct=False)
    found: Pixels = simplejpeg.decode_jpeg(data, fastdct=False, fastupsample=False)
    return found


def resize(pixels: Pixels, factor: float, name: str) -> Pixels:
    """Shrunk to `factor` times its sides (rounded, at least a pixel; mean over areas) and brought back (bilinear)."""
    height, width = pixels.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    found: Pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return found


def blur(pixels: Pixels, sigma: float, name: str) -> Pixels:
    """A Gaussian blur, its sigma in pixels of the stored image (OpenCV's kernel for it; mirrored at the border)."""
    found: Pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    return found


def noise(pixels: Pixels, sigma: float, name: str) -> Pixels:
    """Gaussian noise, its sigma in grey levels of 0..255, drawn for each pixel and colour from a generator that the sample's
    id seeds; rounded, and cut off at 0 and 255."""
    chance = np.random.default_rng(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
    drawn = chance.standard_normal(pixels.shape, np.float32)
    return np.clip(np.rint(pixels + np.float32(sigma) * drawn), 0, 255).astype(np.uint8)


def h264(frames: Sequence[Pixels], crf: float) -> list[Pixels]:
    """Frames of one size encoded as one video by libx264 (constant rate factor 0 to 51, preset medium, 4:2:0, 25 frames a
    second, one thread) and decoded again. An image is a clip of one frame: an I frame. Odd sides are padded meanwhile."""
    import av
    from av.video.codeccontext import VideoCodecContext

    height, width = frames[0].shape[:2]
    tall, wide = height + height % 2, width + width % 2
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(encoder, VideoCodecContext) and isinstance(decoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = wide, tall, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"crf": f"{crf:g}", "preset": "medium", "threads": "1"}
    encoder.thread_count = decoder.thread_count = 1
    packets = []
    for place, frame in enumerate(frames):
        even = cv2.copyMakeBorder(frame, 0, tall - height, 0, wide - width, cv2.BORDER_REPLICATE)
        given = av.VideoFrame.from_ndarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420), "yuv420p")
        given.pts = place
        packets += encoder.encode(given)
    packets += encoder.encode(None)
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    assert len(decoded) == len(frames)
    return [
        np.ascontiguousarray(cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2RGB_I420)[:height, :width])
        for frame in decoded
    ]


def _by_size(frames: Sequence[Pixels], crf: float) -> list[Pixels]:
    """A video has one size: where a clip's frames change theirs, another begins."""
    found: list[Pixels] = []
    begin = 0
    for place in range(1, len(frames) + 1):
        if place == len(frames) or frames[place].shape != frames[begin].shape:
            found += h264(frames[begin:place], crf)
            begin = place
    return found


@dataclass(frozen=True)
class Kind:
    """Levels go from `least` to `most` (whole numbers alone with `whole`); at `nothing` the image stays as it is. `sweep`:
    the levels of a robustness table."""

    least: float
    most: float
    nothing: float | None
    sweep: tuple[float, ...]
    unit: str
    one: Callable[[Pixels, float, str], Pixels] | None
    whole: bool = False


KINDS: Mapping[str, Kind] = {
    "jpeg": Kind(1, 100, None, (90, 70, 50, 30), "quality, 1 to 100", jpeg, whole=True),
    "resize": Kind(0.01, 1, 1, (0.75, 0.5, 0.25), "factor of the sides, up to 1", resize),
    "blur": Kind(0, 50, 0, (1, 2, 4), "sigma in pixels", blur),
    "noise": Kind(0, 255, 0, (5, 10, 20), "sigma in grey levels of 0..255", noise),
    "h264": Kind(0, 51, None, (23, 30, 40), "constant rate factor, 0 to 51", None),
}


def parsed(text: str) -> Degradation | None:
    """`jpeg=40` and the like; None for "none". Raises UsageError."""
    if text == NONE:
        return None
    name, _, level = text.partition("=")
    if name not in KINDS:
        told = ", ".join(f"{each}=LEVEL ({kind.unit})" for each, kind in KINDS.items())
        raise UsageError(f"--degrade {text[:60]}: one of {told}; or sweep")
    kind = KINDS[name]
    try:
        value = float(level)
    except ValueError:
        value = math.nan
    if not kind.least <= value <= kind.most or (kind.whole and value != int(value)):
        raise UsageError(f"--degrade {text[:60]}: {name} is told as {kind.unit}, such as {name}={kind.sweep[1]:g}")
    return Degradation(name, value)


def asked(words: Sequence[str]) -> tuple[Degradation, ...]:
    """What `--degrade` was given, each once; "sweep" is every level of every kind's `sweep`."""
    found: list[Degradation | None] = []
    for word in words:
        if word == SWEEP:
            found += [Degradation(name, level) for name, kind in KINDS.items() for level in kind.sweep]
        else:
            found.append(parsed(word))
    return tuple(dict.fromkeys(each for each in found if each is not None and not each.is_nothing))
