"""The page headers of a Parquet file: what its columns really unpack to, whatever its footer says.

A footer is a claim. pyarrow believes the header of each page, so these are read first, without unpacking anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_HEADER = 1 << 14
"""A page's header has some ten bytes, and two statistics of at most a few thousand."""
_DICTIONARY = 2
_VALUES_OF = {0: 5, 3: 8}
"""The field of a page header that holds the header of a data page, by the page's type."""
_DEEPEST = 8


@dataclass(frozen=True)
class Unpacked:
    """What a column chunk unpacks to: bytes of all pages, of the largest one, and of the dictionary."""

    bytes: int
    page: int
    dictionary: int


def unpacked(source: Any, size: int, chunk: Any) -> Unpacked:
    """What a column chunk (pyarrow's metadata) of a file of so many bytes unpacks to. Raises ValueError for what is none."""
    starts = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
    at = min(start for start in starts if start is not None)
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= size:
        raise ValueError("a column lies outside its file")
    left, total, largest, dictionary = chunk.num_values, 0, 0, 0
    while left > 0:
        if at >= end:
            raise ValueError("a column has fewer values than it says")
        source.seek(at)
        found, length = _header(source.read(min(_HEADER, end - at)))
        kind, whole, packed = found.get(1), found.get(2), found.get(3)
        if not (isinstance(whole, int) and isinstance(packed, int) and whole >= 0 and 0 <= packed <= end - at - length):
            raise ValueError("a page has no size")
        at, total, largest = at + length + packed, total + whole, max(largest, whole)
        if kind == _DICTIONARY:
            dictionary = max(dictionary, whole)
        elif kind in _VALUES_OF:
            left -= _values(found.get(_VALUES_OF[kind]), left)
    return Unpacked(total, largest, dictionary)


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
            self._pass(self._varint())
        elif kind in (9, 10):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
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

    def _varint(self) -> int:
        value = shift = 0
        while shift < 64:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of a page header does not end")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
