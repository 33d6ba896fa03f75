"""What an H.264 packet says of its place among the others (ITU-T H.264, 7.3): enough to notice that one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_SLICE, _PARTITION, _IDR, _SPS, _PPS = 1, 2, 5, 7, 8
_HIGH = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_SLICE_BYTES = 32
"""More than the part of a slice header that is read."""


class Bits:
    """Reads a unit's bits; beyond its end there are zeros, as in a damaged one."""

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(plain, "big")
        self._left = 8 * len(plain)

    def take(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def unsigned(self) -> int:
        """An Exp-Golomb number."""
        zeros = 0
        while zeros < 32 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb number."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -(number // 2)


@dataclass(frozen=True)
class _Sequence:
    bits: int
    gaps: bool
    planes: bool


class FrameNumbers:
    """Follows the numbers of reference pictures, which grow by one from each to the next."""

    def __init__(self, extradata: bytes | None) -> None:
        self._length = (extradata[4] & 3) + 1 if extradata and len(extradata) > 6 and extradata[0] == 1 else 0
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._last: int | None = None
        for unit in _configured(extradata) if extradata and self._length else _units(extradata or b"", 0):
            self._parameters(unit)

    def follow(self, data: bytes) -> tuple[bool, bool]:
        """Of the next packet in decoding order: is a reference picture missing before it; does no other refer to it?"""
        for unit in _units(data, self._length):
            kind = unit[0] & 31
            if kind in (_SLICE, _PARTITION, _IDR):
                barren = not unit[0] & 0x60
                return self._missing(unit, barren), barren
            self._parameters(unit)
        return False, False

    def _missing(self, unit: bytes, barren: bool) -> bool:
        bits = Bits(unit[1:_SLICE_BYTES])
        bits.unsigned(), bits.unsigned()  # first block, slice type
        sequence = self._sequences.get(self._sequence_of.get(bits.unsigned(), -1))
        if sequence is None:
            return False
        if sequence.planes:
            bits.take(2)
        number, last = bits.take(sequence.bits), self._last
        if not barren:
            self._last = number
        if unit[0] & 31 == _IDR or last is None or sequence.gaps:
            return False
        return number not in (last, (last + 1) % (1 << sequence.bits))

    def _parameters(self, unit: bytes) -> None:
        if not unit:
            return
        bits = Bits(unit[1:])
        if unit[0] & 31 == _SPS:
            number, sequence = _sequence(bits)
            self._sequences[number] = sequence
        elif unit[0] & 31 == _PPS:
            number = bits.unsigned()
            self._sequence_of[number] = bits.unsigned()


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """A sequence parameter set up to the flag that allows gaps."""
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    number, planes = bits.unsigned(), False
    if profile in _HIGH:
        chroma = bits.unsigned()
        planes = chroma == 3 and bool(bits.take(1))
        bits.unsigned(), bits.unsigned(), bits.take(1)  # depths, lossless
        if bits.take(1):
            for place in range(12 if chroma == 3 else 8):
                _skip_scaling(bits, 16 if place < 6 else 64)
    length = min(bits.unsigned() + 4, 16)
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.take(1), bits.signed(), bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
    bits.unsigned()  # reference pictures held
    return number, _Sequence(length, bool(bits.take(1)), planes)


def _skip_scaling(bits: Bits, size: int) -> None:
    if not bits.take(1):
        return
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _configured(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets of an mp4's or mkv's configuration record."""
    at = 5
    for mask in (31, 255):
        count = extradata[at] & mask if at < len(extradata) else 0
        at += 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + size]
            at += 2 + size


def _units(data: bytes, length: int) -> Iterator[bytes]:
    """A packet's units, none of them empty: after their lengths, or between start codes where `length` is 0."""
    at = 0 if length else data.find(b"\0\0\1") + 3
    while at >= (0 if length else 3) and at < len(data):
        if length:
            start = at + length
            end = start + int.from_bytes(data[at:start], "big")
            at = end
        else:
            start, end = at, data.find(b"\0\0\1", at)
            end, at = (end, end + 3) if end >= 0 else (len(data), len(data))
        if data[start:end]:
            yield data[start:end]
