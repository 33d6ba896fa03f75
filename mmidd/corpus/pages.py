"""The page headers of a Parquet file: what its columns unpack to and where their values lie, whatever its footer says.

A footer is a claim. pyarrow believes the header of each page, so these are read first, without unpacking anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_HEADER = 1 << 14
"""A page's header has some ten bytes, and two statistics of at most a few thousand."""
_DICTIONARY = 2
_VALUES_OF = {0: 5, 3: 8}
"""The field of a page header that holds the header of a data page, by the page's type."""
_PLAIN, _RLE = 0, 3
_DEEPEST = 8
_MOST_EMPTY = 1000
"""Pages of a column that hold no values: a dictionary, an index; more would only cost time."""

Read = Callable[[int, int], bytes]
"""The bytes from a place on, of a number; fewer at the end of the file."""


@dataclass(frozen=True)
class Chunk:
    """A column in one row group, as the footer says: its pages' first and last byte in the file, and its values, nulls
    included. `levels` is how deep a value is nested in what may be null."""

    at: int
    end: int
    values: int
    levels: int


@dataclass(frozen=True)
class Page:
    """A page as its header says: where its bytes lie, how many, and how many they unpack to. `plain`: levels as runs, then
    the values one after the other. A dictionary has no values."""

    at: int
    packed: int
    whole: int
    values: int
    plain: bool
    dictionary: bool


@dataclass(frozen=True)
class Unpacked:
    """What a column chunk unpacks to: bytes of all pages, of the largest one, and of the dictionary."""

    bytes: int
    page: int
    dictionary: int


def chunk_of(found: Any, size: int, levels: int = 0) -> Chunk:
    """A chunk from pyarrow's metadata, in a file of so many bytes. Raises ValueError for one that lies outside."""
    starts = [found.data_page_offset, *([found.dictionary_page_offset] if found.has_dictionary_page else [])]
    at = min(start for start in starts if start is not None)
    end = at + found.total_compressed_size
    if not 0 <= at <= end <= size:
        raise ValueError("a column lies outside its file")
    # Not asked for its `compression`: pyarrow aborts on a codec that it does not know.
    return Chunk(at, end, found.num_values, levels)


def pages(read: Read, chunk: Chunk) -> Iterator[Page]:
    """The pages of a chunk, until it has its values. Raises ValueError for what is none."""
    at, left, empty = chunk.at, chunk.values, 0
    while left > 0:
        if at >= chunk.end or empty > _MOST_EMPTY:
            raise ValueError("a column has fewer values than it says")
        found, length = _header(read(at, min(_HEADER, chunk.end - at)))
        kind, whole, packed = found.get(1), found.get(2), found.get(3)
        at += length
        if not isinstance(kind, int):
            raise ValueError("a page has no kind")
        if not (isinstance(whole, int) and isinstance(packed, int) and whole >= 0 and 0 <= packed <= chunk.end - at):
            raise ValueError("a page has no size")
        about: Any = found.get(_VALUES_OF[kind]) if kind in _VALUES_OF else {1: 0}
        values = _values(about, left)
        plain = kind == 0 and about.get(2) == _PLAIN and (not chunk.levels or about.get(3) == _RLE)
        yield Page(at, packed, whole, values, plain, kind == _DICTIONARY)
        at, left, empty = at + packed, left - values, empty + (not values)


def unpacked(source: Any, size: int, chunk: Any) -> Unpacked:
    """What a column chunk (pyarrow's metadata) of a file of so many bytes unpacks to. Raises ValueError for what is none."""

    def read(at: int, count: int) -> bytes:
        source.seek(at)
        found: bytes = source.read(count)
        return found

    total, largest, dictionary = 0, 0, 0
    for page in pages(read, chunk_of(chunk, size)):
        total, largest = total + page.whole, max(largest, page.whole)
        dictionary = max(dictionary, page.whole if page.dictionary else 0)
    return Unpacked(total, largest, dictionary)


def present(data: bytes, count: int, levels: int) -> bytes:
    """From the definition levels of a page, as runs: 1 for each of so many values that is there, 0 for a null.

    Raises ValueError where the runs end before.
    """
    width, found, at = levels.bit_length(), bytearray(), 0
    while len(found) < count:
        head, at = _varint(data, at)
        run = head >> 1
        size = run * width if head & 1 else 1
        if not run or size > len(data) - at:
            raise ValueError("a page ends in its levels")
        if head & 1:  # groups of eight values, each packed from its lowest bit on
            bits = np.unpackbits(np.frombuffer(data, np.uint8, size, at), bitorder="little").reshape(-1, width)
            found += (bits @ (1 << np.arange(width)) == levels).astype(np.uint8).tobytes()
        else:
            found += bytes([data[at] == levels]) * min(run, count - len(found))
        at += size
    return bytes(found[:count])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    reader = _Compact(data)
    reader.at = at
    try:
        return reader.varint(), reader.at
    except IndexError:
        raise ValueError("a page ends in its levels") from None


def _values(header: Any, most: int) -> int:
    count = header.get(1) if isinstance(header, dict) else None
    if not isinstance(count, int) or not 0 <= count <= most:
        raise ValueError("a page has other values than its column")
    return count


def _header(data: bytes) -> tuple[dict[int, Any], int]:
    """The fields of a page header by number, and its length."""
    reader = _Compact(data)
    try:
        return reader.struct(0), reader.at
    except IndexError:
        raise ValueError("a page has no header") from None


class _Compact:
    """Thrift's compact protocol: numbers and structs are kept, all else is passed."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("a page header is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._number()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return None
        if kind in (4, 5, 6):
            return self._number()
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (3, 7):
            self._pass(1 if kind == 3 else 8)
        elif kind == 8:
            self._pass(self.varint())
        elif kind in (9, 10):
            head = self._byte()
            count = self.varint() if head >> 4 == 15 else head >> 4
            for _ in range(min(count, len(self._data) + 1)):
                self._value(3 if head & 15 in (1, 2) else head & 15, depth + 1)
        else:
            raise ValueError("a page header holds what none has")
        return None

    def _pass(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of a page header does not end")

    def _number(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)
