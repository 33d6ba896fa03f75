"""Parquet files from outside: opened, bounded, read by column; every fault is a CorpusError that names the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.about import MANIFEST, Shard
from mmidd.corpus.footer import Footer
from mmidd.corpus.pages import Chunk, chunk_of, unpacked
from mmidd.corpus.place import Place
from mmidd.errors import CorpusError, check_memory, is_passing, reason
from mmidd.schema import ADDED, IF_ANY

VERIFY = "`mmidd verify` says what is wrong with it"
MOST_GROUP_BYTES = 1 << 30
"""Of a row group, uncompressed. A build makes none over 100 MB but for one huge picture."""
_MOST_FOOTER, _MOST_ENTRIES = 64 << 20, 100_000
"""Bytes of a footer, and entries of any list in it."""
_MOST_VALUES = 64
"""Of a column in one row: no list of a build is as long."""
_LEAST_ROW = 64
"""Bytes that a row with an image takes at least."""
_MOST_BATCH = 128 << 20
"""Of one batch's texts, where one entry of a dictionary may stand in every row."""
_MOST_FACTOR, _MOST_MORE = 32, 256 << 20
"""What may come out of a file: so many times its bytes, and so many more."""


def damaged(place: Place, name: str, why: str) -> CorpusError:
    """The error for a data file that is not what it should be."""
    way_out = VERIFY if not place.remote else f"try again; if it stays so, download the corpus, and {VERIFY}"
    return Damaged(f"{place.path(name)} cannot be read as a shard of a corpus ({why}): {way_out}", why)


class Damaged(CorpusError):
    """A file that is not what it should be; `why` without its name."""

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


@contextmanager
def reading(place: Place, name: str) -> Iterator[None]:
    """Whatever reading a Parquet file raises in the block becomes a CorpusError, whose cause is the fault; too little memory
    stays a MemoryError, for it says nothing against the file."""
    try:
        yield
    except (*place.faults, ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        check_memory(error)
        if is_passing(error) and isinstance(error, OSError):
            raise CorpusError(f"cannot read {place.path(name)}: {reason(error) or error.strerror}") from error
        raise damaged(place, name, type(error).__name__) from error


@contextmanager
def open_parquet(place: Place, name: str, size: int | None = None) -> Iterator[File]:
    """A Parquet file, of so many bytes where that is known, `reading`."""
    with reading(place, name):
        file = opened(place, name, size)
        try:
            yield file
        finally:
            file.close()


def opened(place: Place, name: str, size: int | None = None) -> File:
    """The same for who closes it, or lets go of it, when it is read."""
    with reading(place, name):
        found = place.size(name)
        if size is not None and found != size:
            raise damaged(place, name, f"it has {found} bytes, not the {size} that are listed")
        source = place.open(name)
        try:
            _check_footer(source, found)
            limits = {"thrift_string_size_limit": _MOST_FOOTER, "thrift_container_size_limit": _MOST_ENTRIES}
            return File(place, name, found, source, pq.ParquetFile(source, pre_buffer=place.remote, **limits))
        except BaseException:
            source.close()
            raise


def opened_shard(place: Place, shard: Shard) -> File:
    """A shard that is as it is listed, as far as its size and its footer tell, for who closes it."""
    file = opened(place, shard.name, shard.bytes)
    try:
        if file.rows != shard.rows:
            raise damaged(place, shard.name, f"it has {file.rows} rows, {MANIFEST} lists {shard.rows}")
        file.check()
    except CorpusError:
        file.close()
        raise
    return file


def _check_footer(source: Any, size: int) -> None:
    source.seek(max(0, size - 8))
    length = int.from_bytes(source.read(4), "little")
    if length > min(_MOST_FOOTER, size - 8):
        raise ValueError("its footer is larger than any")
    source.seek(0)


class File:
    """A Parquet file that was opened, and is read only as far as it cannot fill the memory."""

    def __init__(self, place: Place, name: str, size: int, source: Any, file: pq.ParquetFile) -> None:
        self._place, self._name, self._size, self._source, self._file = place, name, size, source, file
        self._footer = Footer(file.metadata, size)
        self.schema: pa.Schema = file.schema_arrow
        self.rows = self._footer.rows
        self.groups = self._footer.groups
        """The rows of each row group."""

    def close(self) -> None:
        """Read no more."""
        self._file.close()
        self._source.close()

    def is_of(self, schema: pa.Schema) -> bool:
        """Has it the columns of a schema, or those of before some were added?"""
        later = {*ADDED, *IF_ANY} - {*self.schema.names}
        return bool(self.schema.equals(pa.schema([each for each in schema if each.name not in later])))

    def check(self, *, images: bool = True) -> None:
        """Refuse what no build writes, by what the footer says, before it takes memory. With `images` each row has one."""
        if min(self.groups, default=0) < 0 or any(not 0 <= size <= MOST_GROUP_BYTES for size in self._footer.sizes):
            raise self._damaged(f"it has a row group of more than {MOST_GROUP_BYTES >> 20} MiB")
        if sum(self.groups) != self.rows:
            raise self._damaged("its row groups have other rows than it says")
        if self.rows > self._size // (_LEAST_ROW if images else 1):
            raise self._damaged(f"it says that it has {self.rows} rows, in {self._size} bytes")

    def chunks(self, leaf: str) -> list[Chunk] | None:
        """Where a column (by its dotted path) lies in each row group; None where the file has no such, or one of lists."""
        for number, (path, found) in enumerate(zip(self._footer.paths, self._footer.columns, strict=True)):
            if path == leaf and not found.max_repetition_level:
                parts = [self._footer.chunks(group, [leaf])[number] for group in range(len(self.groups))]
                return [chunk_of(part, self._size, found.max_definition_level) for part in parts]
        return None

    def table(self, schema: pa.Schema) -> pa.Table:
        """These columns of the file, in these types; null where the file is older than the column."""
        parts, held = [], 0
        for _, batch in self.batches(schema, 1 << 16):
            parts.append(batch)
            held += batch.nbytes
            if held > _MOST_FACTOR * self._size + _MOST_MORE:
                raise self._damaged(f"its {self._size} bytes unpack to more than {held >> 20} MiB")
        return pa.Table.from_batches(parts, schema)

    def batches(self, schema: pa.Schema, rows: int, group: int | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The first row's number in the file (or in one row group), and these columns in these types, batch by batch."""
        start = 0
        for number in range(len(self.groups)) if group is None else (group,):
            held = self._there(schema)
            most = min(rows, self._fitting(number, held))
            # One row group after the other: asked for several, pyarrow holds many of them (742 MB for 64 images at a time).
            left = self.groups[number]
            for batch in self._file.iter_batches(most, row_groups=[number], columns=held):
                found = _grown(batch, schema).cast(schema)
                found.validate(full=True)
                yield start, found
                start, left = start + len(batch), left - len(batch)  # without a column `found` has no length
            if left:
                raise self._damaged("a row group has other rows than it says")

    def _there(self, schema: pa.Schema) -> list[str]:
        """The columns of a schema that the file has; only one that was added later may lack."""
        held = set(self.schema.names)
        if lacking := [name for name in schema.names if name not in held and name not in (*ADDED, *IF_ANY)]:
            raise KeyError(lacking[0])
        return [name for name in schema.names if name in held] or self.schema.names[:1]  # or rows could not be counted

    def _fitting(self, number: int, names: Sequence[str]) -> int:
        """How many rows of a row group may be read at once, by its pages. In another place than a disk each look is a
        request, so there the footer is believed."""
        if self._place.remote:
            return 1 << 16
        columns, total, dictionary = self._footer.columns, 0, 1
        paths = [path for path in self._footer.paths if path.partition(".")[0] in names]
        for column, chunk in self._footer.chunks(number, paths).items():
            if not 0 <= chunk.num_values <= _MOST_VALUES * max(1, self.groups[number]):
                raise self._damaged("a column has other values than rows")
            found = unpacked(self._source, self._size, chunk)
            total += found.bytes
            dictionary = max(dictionary, found.dictionary if columns[column].physical_type == "BYTE_ARRAY" else 1)
        if total > min(MOST_GROUP_BYTES, _MOST_FACTOR * self._size + _MOST_MORE):
            raise self._damaged(f"a row group of it unpacks to {total >> 20} MiB")
        return max(1, _MOST_BATCH // dictionary)

    def _damaged(self, why: str) -> CorpusError:
        return damaged(self._place, self._name, why)


def _grown(found: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    held = set(found.schema.names)
    columns = [
        found.column(name) if name in held else pa.nulls(len(found), schema.field(name).type) for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema.names)
