"""Where the values of a column lie in one row group, if its pages hold them one after the other, as they are."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import accumulate

from mmidd.corpus.pages import Chunk, Page, Read, pages, present

_SMALL = 8 << 20
"""A page up to this size is read at once to find its values; of a larger one only their lengths are, and its levels."""
_UNREAD, _NULL = (1 << 32) - 1, (1 << 32) - 2
_PREFIX = 4


def values_of(chunk: Chunk, rows: int) -> Values | None:
    """The values of a chunk of a column of bytes, in a row group of so many rows; None where they cannot lie as they are."""
    if not 0 <= chunk.levels < 256 or chunk.end - chunk.at >= _NULL:
        return None
    if chunk.values != rows:
        raise ValueError("a column has other values than rows")
    return Values(chunk)


class Values:
    """The values of a column of bytes in one row group. What was found of it is kept, in 8 bytes a value."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._pages: list[Page] = []
        self._firsts: list[int] = []
        self._starts = self._lengths = array("I")
        self.touched = self.plain = False

    def touch(self, read: Read) -> None:
        """Read the headers of its pages: `plain` if its values lie as they are. Raises ValueError for what is none."""
        found = list(pages(read, self._chunk))
        self._pages = [page for page in found if page.values]
        self._firsts = [0, *accumulate(page.values for page in self._pages)][:-1]
        self._starts = array("I", bytes(4 * self._chunk.values))
        self._lengths = array("I", [_UNREAD]) * self._chunk.values
        whole = all(page.plain and page.packed == page.whole for page in self._pages)
        self.plain = whole and not any(page.dictionary for page in found)
        self.touched = True

    def find(self, read: Read, place: int) -> bool:
        """Find the values of the page that holds this one, if they are not yet. Where they do not fill it as they should (it
        is packed, or damaged) they are not `plain`, and this is False."""
        if self._lengths[place] == _UNREAD:
            try:
                self._find(read, bisect_right(self._firsts, place) - 1)
            except ValueError:
                self.plain = False
        return self.plain

    def read(self, read: Read, place: int) -> bytes | None:
        """A value that was found, None where it is null; its bytes alone are read."""
        length = self._lengths[place]
        return None if length == _NULL else read(self._chunk.at + self._starts[place], length)

    def _find(self, read: Read, number: int) -> None:
        page, first = self._pages[number], self._firsts[number]
        if page.packed <= _SMALL:
            data = read(page.at, page.packed)

            def part(at: int, count: int) -> bytes:
                return data[at : at + count]
        else:

            def part(at: int, count: int) -> bytes:
                return read(page.at + at, min(count, page.packed - at))

        there, at = self._levels(page, part)
        for place, is_there in enumerate(there, first):
            if not is_there:
                self._lengths[place] = _NULL
                continue
            length = int.from_bytes(part(at, _PREFIX), "little")
            at += _PREFIX
            if length > page.packed - at:
                raise ValueError("a value lies outside its page")
            self._starts[place], self._lengths[place] = page.at + at - self._chunk.at, length
            at += length
        if at != page.packed:
            raise ValueError("a page holds more than its values")

    def _levels(self, page: Page, part: Read) -> tuple[bytes, int]:
        """Which values of a page are there, and where in it they begin."""
        if not self._chunk.levels:
            return bytes([1]) * page.values, 0
        size = int.from_bytes(part(0, _PREFIX), "little")
        if size > min(page.packed - _PREFIX, _SMALL):
            raise ValueError("the levels of a page lie outside it")
        return present(part(_PREFIX, size), page.values, self._chunk.levels), _PREFIX + size
