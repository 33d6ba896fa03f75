"""Tables without pictures, for pandas, DuckDB, Polars, R and spreadsheets: classes by name, and the split, one row a sample.

    labels.parquet  labels.csv  media.parquet  media.csv

The Parquet files are exact. In the CSV files lists are JSON, null is an empty cell and an empty text is "". A text that a
spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) has a ' before it; so has one that
begins with a ', so that taking one ' away gives the text again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mmidd.corpus.read import Corpus
from mmidd.schema import BY_NAME
from mmidd.share.export.protocol import Exporter, Sink
from mmidd.share.export.rows import NAMES, TOLD, finite

_RISKY = "^[=+\\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]"


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """The two tables, each twice. Returns the pictures' columns, which are left out."""
    _write(sink, "labels", _NAMED, _rows(corpus))
    media = _media(corpus)
    _write(sink, "media", media.schema.remove_metadata(), media.replace_schema_metadata().to_batches(1 << 13))
    return tuple(name for name in NAMES if name not in _NAMED.names)


_NAMED = pa.schema(
    [*((column.name, pa.string() if column.classes else column.type) for column in TOLD), ("split", pa.string())]
)


def _rows(corpus: Corpus) -> Iterator[pa.RecordBatch]:
    """All rows, in the order of the corpus: its files' names begin with their split."""
    for split in sorted(corpus.splits):
        for _, batch in corpus.part(split).batches([column.name for column in TOLD]):
            yield _named(batch, split)


def _named(batch: pa.RecordBatch, split: str) -> pa.RecordBatch:
    """A batch with its classes by name (null where the schema knows none of that number), and its split."""
    columns = [_classes(batch[name], BY_NAME[name].classes) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays([*columns, pa.array([split] * len(batch), pa.string())], schema=_NAMED)


def _classes(column: pa.Array, classes: tuple[str, ...]) -> pa.Array:
    if not classes:
        return column
    known = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(classes)))
    return pa.array(classes, pa.string()).take(pc.if_else(known, column, pa.scalar(None, column.type)))


def _media(corpus: Corpus) -> pa.Table:
    """The media table; of a part of a corpus its datasets and splits, with the media that are in no split."""
    if corpus.shards == corpus.about.shards:
        return corpus.media
    names = [name for name, found in corpus.about.datasets.items() if found.slug in corpus.datasets]
    table, splits = corpus.media, [*corpus.splits, None]
    here = pc.and_(_one_of(table["dataset"], names), _one_of(table["split"], splits))
    return table.filter(here)


def _one_of(column: pa.ChunkedArray, values: list[Any]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(values, pa.string()))


def _write(sink: Sink, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """A table as Parquet and as CSV, batch by batch."""
    plain = pa.schema([(each.name, pa.string() if _is_list(each.type) else each.type) for each in schema])
    with ExitStack() as files:
        parquet, csv = (files.enter_context(_Growing(sink, f"{name}.{ending}")) for ending in ("parquet", "csv"))
        exact = files.enter_context(pq.ParquetWriter(parquet, schema, compression="zstd"))
        text = files.enter_context(pyarrow.csv.CSVWriter(csv, plain))
        for batch in batches:
            exact.write_batch(batch)
            text.write_batch(pa.RecordBatch.from_arrays([_cells(column) for column in batch.columns], schema=plain))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _cells(column: pa.Array) -> pa.Array:
    """A column as CSV can hold it."""
    if _is_list(column.type):
        values = column.to_pylist()
        return pa.array([None if value is None else json.dumps(finite(value)) for value in values], pa.string())
    if column.type != pa.string():
        return column
    risky = pc.match_substring_regex(column, _RISKY)
    return pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)


class _Growing(io.RawIOBase):
    """A file of a sink as writers of tables want it."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name, self._size = sink, name, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._sink.add(self._name, piece)
        self._size += len(piece)
        return len(piece)


EXPORTER = Exporter(layout, pictures=False)
