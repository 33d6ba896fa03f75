"""The bytes of a crop: the same for real and fake, without metadata."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from mmidd.errors import MmiddError, TooLargeMedia, UnreadableMedia

Image = npt.NDArray[np.uint8]
Format = Literal["jpeg", "png", "webp"]
Subsampling = Literal["444", "420"]

MOST_PIXELS = 8192 * 8192
"""The largest image that `decode` opens: ours are crops or whole images of datasets, far below."""

_SAMPLING = {"444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}


@dataclass(frozen=True)
class ImageConfig:
    """How crops are stored. `quality` (1..100) and `subsampling` are JPEG's; PNG and WebP are lossless."""

    format: Format = "jpeg"
    quality: int = 95
    subsampling: Subsampling = "444"

    def __post_init__(self) -> None:
        if self.format not in get_args(Format):
            raise ValueError(f"format must be one of {get_args(Format)}, not {self.format!r}")
        if self.subsampling not in get_args(Subsampling):
            raise ValueError(f"subsampling must be one of {get_args(Subsampling)}, not {self.subsampling!r}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must lie in 1..100, not {self.quality}")


def encode(image: Image, config: ImageConfig) -> bytes:
    """(H,W,3) uint8 RGB -> the file's bytes: equal for equal pixels and library versions; nothing but the pixels.

    Raises ValueError for no such image, MmiddError where the codec refuses (a side beyond the format's limit).
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"an image must be (H,W,3) uint8, not {image.shape} {image.dtype}")
    if config.format == "webp":
        return _webp(image)
    flags = [cv2.IMWRITE_JPEG_QUALITY, config.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[config.subsampling]]
    ok, data = cv2.imencode(
        f".{config.format}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags if config.format == "jpeg" else []
    )
    if not ok:
        raise MmiddError(f"{config.format} cannot hold an image of {image.shape[1]}x{image.shape[0]}")
    return bytes(data.tobytes())


def encode_mask(mask: Image) -> bytes:
    """(H,W) uint8 -> a single-channel PNG of exactly these values. Raises ValueError for no such array."""
    if mask.ndim != 2 or mask.dtype != np.uint8 or 0 in mask.shape:
        raise ValueError(f"a mask must be (H,W) uint8, not {mask.shape} {mask.dtype}")
    ok, data = cv2.imencode(".png", mask)
    if not ok:
        raise MmiddError(f"png cannot hold a mask of {mask.shape[1]}x{mask.shape[0]}")
    return bytes(data.tobytes())


def _webp(image: Image) -> bytes:
    """Pillow's fastest lossless method: a twentieth of the time of OpenCV's, which has no choice of method."""
    out = io.BytesIO()
    try:
        PIL.Image.fromarray(image).save(out, "WEBP", lossless=True, quality=0, method=0)
    except (ValueError, OSError) as error:
        raise MmiddError(f"webp cannot hold an image of {image.shape[1]}x{image.shape[0]}") from error
    return out.getvalue()


def decode(data: bytes) -> Image:
    """The (H,W,3) uint8 RGB pixels of an image that `encode` wrote; size checked before the pixels are unpacked.

    Raises UnreadableMedia for bytes that are no JPEG, PNG or WebP, TooLargeMedia beyond `MOST_PIXELS`.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as header:
            width, height = header.size
    except PIL.Image.DecompressionBombError as error:
        raise TooLargeMedia("the image holds too many pixels") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableMedia("the bytes are no JPEG, PNG or WebP image") from error
    if width * height > MOST_PIXELS:
        raise TooLargeMedia(f"the image holds {width}x{height} pixels, more than {MOST_PIXELS}")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.shape[:2] != (height, width):
        raise UnreadableMedia("the image is damaged")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
