"""PNG files without what shapes no pixel: text, profiles and times of any size cost no picture and are never inflated.

Pictures that were made by a model carry their prompts and workflows, so a limit on metadata loses fakes and no reals.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from mmidd.errors import UnreadableMedia

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_KEPT = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
_EXIF_TEXT = b"Raw profile type exif\0"
"""Where ImageMagick keeps EXIF."""
_MOST_EXIF = 2**18


def plain(data: bytes) -> bytes:
    """The file with those chunks alone that shape pixels, their number or their orientation (PNG 3, 11.2 and 11.3).

    An ancillary chunk with a wrong checksum is left out. Raises UnreadableMedia for a critical one: damaged pixels.
    """
    pieces, seen, dropped = [SIGNATURE], len(SIGNATURE), False
    for kind, start, end in _chunks(data):
        seen = end
        sound = zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if kind in _CRITICAL and not sound:
            raise UnreadableMedia(f"the image data is damaged: the checksum of a chunk {kind.decode()} is wrong")
        if kind in _CRITICAL or (sound and (kind in _KEPT or _is_exif(kind, data[start + 8 : end - 4]))):
            pieces.append(data[start:end])
        else:
            dropped = True
    return b"".join((*pieces, data[seen:])) if dropped else data


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of every chunk that is whole, up to IEND."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            return
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end


def _is_exif(kind: bytes, body: bytes) -> bool:
    """Is it EXIF as text, of a size that EXIF may have?"""
    if kind not in (b"tEXt", b"zTXt") or not body.startswith(_EXIF_TEXT):
        return False
    if kind == b"tEXt":
        return len(body) <= _MOST_EXIF
    try:
        inflated = zlib.decompressobj()
        inflated.decompress(body[len(_EXIF_TEXT) + 1 :], _MOST_EXIF)
    except zlib.error:
        return False
    return inflated.eof
