"""Parquet files from outside: opened, bounded, read by column; every fault is a CorpusError that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.place import Place
from mmidd.errors import CorpusError
from mmidd.schema import ADDED

_Columns = TypeVar("_Columns", pa.Table, pa.RecordBatch)

VERIFY = "`mmidd verify` says what is wrong with it"
MOST_GROUP_BYTES = 1 << 30
"""Of a row group, uncompressed. A build makes none over 100 MB but for one huge picture."""


def damaged(place: Place, name: str, why: str) -> CorpusError:
    """The error for a data file that is not what it should be."""
    way_out = VERIFY if not place.remote else f"try again; if it stays so, download the corpus, and {VERIFY}"
    return CorpusError(f"{place.path(name)} cannot be read as a shard of a corpus ({why}): {way_out}")


@contextmanager
def open_parquet(place: Place, name: str, size: int | None = None) -> Iterator[pq.ParquetFile]:
    """A Parquet file, of so many bytes where that is known. Whatever reading it raises becomes a CorpusError, whose cause
    is the fault."""
    try:
        found = place.size(name)
        if size is not None and found != size:
            raise damaged(place, name, f"it has {found} bytes, not the {size} that are listed")
        with place.open(name) as source, pq.ParquetFile(source, pre_buffer=place.remote) as file:
            yield file
    except (*place.faults, ValueError, KeyError, pa.ArrowException) as error:
        raise damaged(place, name, type(error).__name__) from error


def bounded(file: pq.ParquetFile, place: Place, name: str) -> None:
    """Refuse row groups that no build writes, before they take memory."""
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    if any(group.num_rows < 0 or not 0 <= group.total_byte_size <= MOST_GROUP_BYTES for group in groups):
        raise damaged(place, name, f"it has a row group of more than {MOST_GROUP_BYTES >> 20} MiB")
    if sum(group.num_rows for group in groups) != about.num_rows:
        raise damaged(place, name, "its row groups have other rows than it says")


def columns_of(file: pq.ParquetFile, schema: pa.Schema) -> pa.Table:
    """These columns of a file, in these types; null where the file is older than the column."""
    return _grown(file.read(_there(file, schema)), schema).cast(schema)


def _there(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """What to read of a file for these columns. Raises KeyError where it lacks one that it should have."""
    held = set(file.schema_arrow.names)
    if lacking := [name for name in schema.names if name not in held and name not in ADDED]:
        raise KeyError(lacking[0])
    return [name for name in schema.names if name in held] or file.schema_arrow.names[:1]  # or rows could not be counted


def _grown(found: _Columns, schema: pa.Schema) -> _Columns:
    held = set(found.schema.names)
    columns = [
        found.column(name) if name in held else pa.nulls(len(found), schema.field(name).type) for name in schema.names
    ]
    return type(found).from_arrays(columns, schema.names)


def batches_of(
    file: pq.ParquetFile, schema: pa.Schema, rows: int, group: int | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The first row's number in the file (or in one row group of it), and these columns in these types, batch by batch."""
    start = 0
    for number in range(file.num_row_groups) if group is None else (group,):
        # One row group after the other: asked for several, pyarrow holds many of them (742 MB for 64 images at a time).
        for batch in file.iter_batches(rows, row_groups=[number], columns=_there(file, schema)):
            yield start, _grown(batch, schema).cast(schema)
            start += len(batch)
