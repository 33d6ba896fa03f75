"""Mutations that get behind the front door: of lines and values, and mended checksums."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Sequence

_PNG = b"\x89PNG\r\n\x1a\n"
_BLOCK = 512


def mend_png(data: bytes) -> bytes:
    """A PNG with the right checksum on every chunk; other data as it is."""
    if not data.startswith(_PNG):
        return data
    out, at = bytearray(_PNG), len(_PNG)
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out + data[at:])


def mend_tar(data: bytes) -> bytes:
    """A tar with the right checksum on every block that has the mark of a header."""
    out = bytearray(data)
    for at in range(0, len(out) - _BLOCK + 1, _BLOCK):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + _BLOCK])
    return bytes(out)


_VALUE = re.compile(rb"[A-Za-z0-9_.+*{}/\\-]+")
_VALUES = (
    b"0", b"1", b"-1", b"2", b"0.5", b"1e400", b".nan", b"true", b"null", b"~", b"''", b"[]", b"{}", b"99999999999999999999",
    b"CelebA",
    b"{clip}", b"**", b"../x", b"'\\e[31m'", b'"\\u202e"', b'"\\0"', b"[a, b]", b"{a: b}",
    b"&a x", b"*a", b"!!str x",
)  # fmt: skip


def change_lines(data: bytes, words: Sequence[str], chance: random.Random) -> bytes:
    """The text with one to three lines or values doubled, moved, taken away, indented or replaced."""
    for _ in range(chance.randint(1, 3)):
        lines = data.split(b"\n")
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines.insert(other, lines[at])
            case 1:
                lines[at], lines[other] = lines[other], lines[at]
            case 2:
                del lines[at]
            case 3:
                lines[at] = b"  " + lines[at] if chance.random() < 0.5 else lines[at].removeprefix(b"  ")
            case _:
                values = list(_VALUE.finditer(lines[at]))
                if values:
                    start, end = chance.choice(values).span()
                    found = [value.group() for value in _VALUE.finditer(lines[other])]
                    new = chance.choice([*_VALUES, *(word.encode() for word in words), *found])
                    lines[at] = lines[at][:start] + new + lines[at][end:]
        data = b"\n".join(lines)
    return data
