"""JPEG data, decoded strictly: what libjpeg mends and only warns of is damage here.

libjpeg goes on after any fault and fills what is missing, so a hole or a lost tail comes out as a picture. TurboJPEG can be
told to stop at the first warning; its pixels are Pillow's, bit for bit, because both are libjpeg-turbo's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg

from mmidd.errors import TooLargeMedia, UnreadableMedia

_END = b"\xff\xd9"
_FILL = b"\x00\xff"
_LONGEST_ZEROS = 32
"""32 zero bytes are 85 equal coefficients and more: no encoder writes them, where zeros do not mean that nothing changes."""
_STANDALONE = (0x01, *range(0xD0, 0xD8))


def decode(data: bytes, *, cmyk: bool, max_pixels: int) -> npt.NDArray[np.uint8]:
    """The first picture of a JPEG file: (H,W,3) RGB uint8, of a CMYK file (H,W,4) as stored. Bytes after the end marker are
    nobody's; a missing end marker is no damage where every block is there, nor is filling before it.

    Raises UnreadableMedia for damage that can be seen, TooLargeMedia for more than `max_pixels`.
    """
    _check_zeros(data)
    try:
        height, width = simplejpeg.decode_jpeg_header(data, strict=False)[:2]
        if height * width > max_pixels:
            raise TooLargeMedia(f"{width}x{height} is beyond the limit of {max_pixels} pixels")
        return _decode(data, "CMYK" if cmyk else "RGB")
    except ValueError as error:
        raise UnreadableMedia(f"the image data is damaged: {error}") from error


def _decode(data: bytes, space: str) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data + _END, space, strict=True), np.uint8)
    except ValueError as error:
        if "extraneous bytes before marker 0xd9" not in str(error):
            raise
        end = data.rfind(_END)
        filled = data[: end if end > 0 else len(data)]
        bare = filled.rstrip(_FILL)
        if len(bare) == len(filled):
            raise
        return np.asarray(simplejpeg.decode_jpeg(bare + _END, space, strict=True), np.uint8)


def _check_zeros(data: bytes) -> None:
    """Raise UnreadableMedia where a hole was filled with zeros (a lost sector, a download of pieces).

    In sequential JPEG alone, and where the code of all zeros does not mean "nothing changes" for every component (a flat
    picture is a run of zeros then).
    """
    flat = sequential = True
    for marker, start, end in _segments(data):
        if marker == 0xDA:
            stop = data.find(_END, end)
            coded = data[end : stop if stop > 0 else len(data)].rstrip(_FILL)
            if sequential and not flat and bytes(_LONGEST_ZEROS) in coded:
                raise UnreadableMedia("the image data is damaged: a hole of zeros")
            return
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            sequential = marker in (0xC0, 0xC1)
        if marker == 0xC4:
            flat = all(symbol == 0 for symbol in _first_symbols(data[start:end])) and flat


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the body of every segment up to the first scan's, as far as they are whole."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            (length,) = struct.unpack(">H", data[at + 2 : at + 4])
            yield marker, at + 4, at + 2 + length
            if marker == 0xDA:
                return
            at += 2 + max(2, length)


def _first_symbols(body: bytes) -> Iterator[int]:
    """What the code of all zeros means in each Huffman table of a DHT segment (ITU-T T.81, B.2.4.2)."""
    at = 0
    while at + 17 < len(body):
        count = sum(body[at + 1 : at + 17])
        yield body[at + 17]
        at += 17 + count
