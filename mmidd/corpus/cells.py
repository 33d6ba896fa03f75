"""Any row's image at once: the encoded bytes of an image or a mask, without reading what lies beside it."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

import pyarrow as pa

from mmidd.corpus.parquet import File, opened_shard, reading
from mmidd.corpus.plain import Values, values_of
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.filestate import State, state
from mmidd.schema import IMAGE, arrow_schema

Picture = Literal["image", "mask"]
_COLUMNS: tuple[Picture, ...] = ("image", "mask")
CACHE_BYTES = 256 << 20
_MOST_FILES, _MOST_FOOTERS = 64, 32
"""Open at once: shards whose bytes are read, and shards whose footer (about a MB) is held."""
_LOOK_AGAIN = 10.0
"""Seconds after which a shard that is being read is looked at again."""
_PICTURES, _ROWS = 64, 1 << 16
_SCHEMA = arrow_schema()

Value = TypeVar("Value")


class Spot(NamedTuple):
    """Where a row lies: the number of its shard, of the row group in it, and of the row in that."""

    shard: int
    group: int
    place: int


class Bounded(Generic[Value]):
    """What was asked for last, up to so many bytes of it, and always the very last."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._found = OrderedDict[Hashable, tuple[Value, int]]()

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """What was made for a key; `make` tells its bytes too."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = make()
            self._held += found[1]
            while self._held > self._most and len(self._found) > 1:
                self._held -= self._found.popitem(last=False)[1][1]
        else:
            self._found.move_to_end(key)
        return found[0]


@dataclass
class _Layout:
    """A shard as it was opened first: its file's state (None where it is not on this machine), the first row of each row
    group and the end, and where the values of its pictures lie in each (None: not as they are)."""

    path: Path | None
    state: State | None
    starts: list[int]
    values: dict[Picture, list[Values | None]]
    look_again: float = 0.0


class Cells:
    """The encoded image or mask of any row of a corpus, by one read of its bytes.

    Where a row group is touched first its page headers are read, and where a page is, the lengths in it; both are kept, in
    8 bytes a row. A shard whose pictures lie otherwise than a build writes them (compressed, in a dictionary), and one that
    is not on this machine, is read row group by row group, of which `cache_bytes` are kept.

    A shard that is missing or changes meanwhile is a CorpusError. Files are opened when they are needed, by each process
    for itself, so it may be forked and pickled.
    """

    def __init__(self, corpus: Corpus, cache_bytes: int = CACHE_BYTES) -> None:
        self.corpus, self._cache_bytes = corpus, cache_bytes
        self._ends = list(accumulate(shard.rows for shard in corpus.shards))
        self._layouts = dict[int, _Layout]()
        self._pictures = Bounded[pa.ChunkedArray](cache_bytes)
        self._forget()

    def __reduce__(self) -> tuple[type[Cells], tuple[Corpus, int]]:
        return Cells, (self.corpus, self._cache_bytes)

    def find(self, row: int) -> Spot:
        """Where a row lies. Raises CorpusError for a number that is none."""
        if not 0 <= row < (self._ends[-1] if self._ends else 0):
            raise CorpusError(f"{self.corpus.place.path('')} has no row {row}: it has {len(self.corpus)}, numbered from 0")
        shard = bisect_right(self._ends, row)
        starts = self._layout(shard).starts
        place = row - self._ends[shard] + self.corpus.shards[shard].rows
        group = bisect_right(starts, place) - 1
        return Spot(shard, group, place - starts[group])

    def read(self, row: int, column: Picture = "image") -> bytes | None:
        """The encoded bytes of a row's image or mask; None where it has none."""
        return self.at(self.find(row), column)

    def at(self, spot: Spot, column: Picture = "image") -> bytes | None:
        """The same of a row that was found."""
        shard, group, place = spot
        layout = self._layout(shard)
        if (values := layout.values[column][group]) is not None:
            file = self._file(shard)
            with self._reading(shard):
                if not values.touched:
                    self.check(shard)
                    values.touch(file.read)
                elif time.monotonic() > layout.look_again:
                    self.check(shard)
                if values.plain and values.find(file.read, place):
                    return values.read(file.read, place)
        picture = self._pictures.get((shard, group, column), lambda: self._column(shard, group, column))[place]
        return picture["bytes"].as_py() if picture.is_valid else None

    def table(self, shard: int, group: int, columns: Sequence[str]) -> pa.Table:
        """These columns of one row group, in the schema's types."""
        self.check(shard)
        schema = pa.schema([_SCHEMA.field(name) for name in columns])
        rows = _PICTURES if IMAGE in schema.types else _ROWS
        file = self._footer(shard)
        with self._reading(shard):
            return pa.Table.from_batches([batch for _, batch in file.batches(schema, rows, group)], schema)

    def check(self, shard: int) -> None:
        """Raises CorpusError where a shard is no more the file that it was when it was opened first."""
        layout = self._layout(shard)
        if layout.path is not None:
            with self._reading(shard):
                if _kept(layout.path.stat()) != layout.state:
                    raise self._changed(shard)
            layout.look_again = time.monotonic() + _LOOK_AGAIN

    def _column(self, shard: int, group: int, column: Picture) -> tuple[pa.ChunkedArray, int]:
        found = self.table(shard, group, [column])[column]
        return found, found.nbytes

    def _layout(self, shard: int) -> _Layout:
        if (found := self._layouts.get(shard)) is None:
            place, name = self.corpus.place, self.corpus.shards[shard].name
            with self._reading(shard):
                path = place.local(name)
                before = _kept(path.stat()) if path is not None else None
            file = self._footer(shard)
            with self._reading(shard):
                values: dict[Picture, list[Values | None]] = {
                    column: _values(file, column, path is not None) for column in _COLUMNS
                }
            self._layouts[shard] = found = _Layout(path, before, [0, *accumulate(file.groups)], values)
            self.check(shard)
        return found

    def _footer(self, shard: int) -> File:
        self._own()
        file = self._footers.get(shard)
        if file is None:
            file = self._footers[shard] = opened_shard(self.corpus.place, self.corpus.shards[shard])
            if len(self._footers) > _MOST_FOOTERS:
                self._footers.popitem(last=False)[1].close()
        self._footers.move_to_end(shard)
        return file

    def _file(self, shard: int) -> _Opened:
        self._own()
        found = self._files.get(shard)
        if found is None:
            layout = self._layout(shard)
            assert layout.path is not None
            with self._reading(shard):
                found = _Opened(layout.path)
            if found.state != layout.state:
                raise self._changed(shard)
            self._files[shard] = found
            if len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(shard)
        return found

    @contextmanager
    def _reading(self, shard: int) -> Iterator[None]:
        name = self.corpus.shards[shard].name
        with reading(self.corpus.place, name):
            try:
                yield
            except FileNotFoundError as error:
                raise CorpusError(
                    f"{self.corpus.place.path(name)} is not there any more: put the file back, or open the corpus anew"
                ) from error
            except _Short:
                raise self._changed(shard) from None

    def _changed(self, shard: int) -> CorpusError:
        path = self.corpus.place.path(self.corpus.shards[shard].name)
        return CorpusError(f"{path} changed while the corpus was read: put the file back, or open the corpus anew")

    def _own(self) -> None:
        """After a fork: open anew, for two processes that share a file share its position."""
        if self._pid != os.getpid():
            self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._files = OrderedDict[int, _Opened]()
        self._footers = OrderedDict[int, File]()


class _Short(Exception):
    """A file ends before what was found in it."""


class _Opened:
    """A file that is open to be read at any place, until nobody holds it."""

    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_RDONLY)
        self.state = _kept(os.fstat(self._number))

    def read(self, at: int, count: int) -> bytes:
        """Exactly so many bytes. Raises _Short where there are fewer."""
        found = os.pread(self._number, count, at)
        while len(found) < count:  # a system gives 2 GiB at most, a network disk perhaps less
            if not (more := os.pread(self._number, count - len(found), at + len(found))):
                raise _Short
            found += more
        return found

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # at exit modules may be gone before it is
        if hasattr(self, "_number"):
            close(self._number)


def _kept(about: os.stat_result) -> State:
    """A file's state but for its time of change, which another link to it moves as well."""
    return state(about)[:-1]


def _values(file: File, column: Picture, local: bool) -> list[Values | None]:
    chunks = file.chunks(f"{column}.bytes") if local else None
    if chunks is None:
        return [None] * len(file.groups)
    return [values_of(chunk, rows) for chunk, rows in zip(chunks, file.groups, strict=True)]
