"""Still images: any allowed file to upright 8-bit RGB, and what the JPEG's tables say of its quality."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, UnidentifiedImageError, features

from mmidd.errors import EmptyMedia, TooLargeMedia, UnreadableMedia
from mmidd.video import entropy, orientation, png
from mmidd.video.jpeg import estimated_quality
from mmidd.video.reader import MAX_PIXELS

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Still:
    """`image` (H,W,3) RGB uint8 upright; `codec` jpeg, png, webp, bmp, tiff or gif; `jpeg_quality` 1 to 100, estimated
    from the file's quantisation tables, None if it is no JPEG; `frames` of the file, of which the first was taken."""

    image: npt.NDArray[np.uint8]
    codec: str
    jpeg_quality: int | None
    frames: int


def read_still(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Still:
    """Decode an image file's bytes.

    Transparency is dropped, not blended: the pixels are those that are stored. Colour profiles are not applied. 16-bit
    samples keep their high byte. Raises EmptyMedia, TooLargeMedia (by the size that the header declares, before
    anything is allocated), UnreadableMedia (unknown format, truncated or damaged data, 32-bit samples). docs/video.md
    tells what damage is found.
    """
    if not data:
        raise EmptyMedia("the file has no bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large sizes and odd metadata; the checks here decide
        try:
            return _read(data, max_pixels)
        except (UnreadableMedia, TooLargeMedia, MemoryError):
            raise
        except UnidentifiedImageError as error:
            raise UnreadableMedia("no image of a known format") from error
        except Image.DecompressionBombError as error:
            raise TooLargeMedia("the image declares more pixels than the limit") from error
        except Exception as error:  # Pillow's plugins raise anything on damaged bytes: OSError, SyntaxError, struct.error
            raise UnreadableMedia(f"the image data is truncated or damaged ({type(error).__name__})") from error


def still_identity() -> dict[str, str]:
    """The versions of the libraries that shape a still's pixels, for cache keys."""
    libraries = {name: features.version(name) or "none" for name in ("libjpeg_turbo", "zlib", "webp", "libtiff")}
    return {"pillow": PIL.__version__, "simplejpeg": version("simplejpeg"), **libraries}


def _read(data: bytes, max_pixels: int) -> Still:
    if data.startswith(png.SIGNATURE):
        data = png.plain(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise TooLargeMedia(f"{image.width}x{image.height} is beyond the limit of {max_pixels} pixels")
        frames = int(getattr(image, "n_frames", 1))
        for key in ("xmp", "XML:com.adobe.xmp"):  # Pillow takes its orientation where EXIF has none; no decoder does
            image.info.pop(key, None)
        pixels = _jpeg(image, data, max_pixels) if image.format in ("JPEG", "MPO") else _rgb(image)
        return Still(
            image=orientation.from_exif(_exif_orientation(image)).apply(pixels),
            codec="jpeg" if image.format == "MPO" else str(image.format).lower(),
            jpeg_quality=estimated_quality(getattr(image, "quantization", None)),
            frames=frames,
        )


def _jpeg(image: Image.Image, data: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    """(H,W,3) uint8. Colours of CMYK are Pillow's; a strict look tells whether its data are whole."""
    pixels = entropy.decode(data, cmyk=image.mode == "CMYK", max_pixels=max_pixels)
    return _rgb(image) if image.mode == "CMYK" else pixels


def _rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(H,W,3) uint8; Pillow's own conversions would clip 16-bit and 32-bit samples to 255."""
    image.load()
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UnreadableMedia("32-bit samples have no defined range")
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _exif_orientation(image: Image.Image) -> object:
    """The EXIF tag, None where there is none or where the EXIF block itself is broken (viewers ignore it too)."""
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return None
