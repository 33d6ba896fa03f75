"""The files of a committed unit: `rows.parquet` with the columns, `blobs.bin` with the bytes, `outcomes.parquet`.

Large binary columns live out of line in one file, so that a row's image is one read at a known place, and curation can
read every column of every unit without touching an image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.engine.files import sha256_file
from mmidd.engine.store import Record, Store, Writer
from mmidd.engine.units import Outcome
from mmidd.errors import WorkError, check_memory, is_passing, reason

ROWS, BLOBS, OUTCOMES = "rows.parquet", "blobs.bin", "outcomes.parquet"

_REASON = pa.struct([("frame", pa.int32()), ("status", pa.string()), ("reason", pa.string())])
OUTCOME_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("status", pa.string()),
        ("inputs", pa.list_(pa.string())),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int32()),
        ("planned", pa.int32()),
        ("ok", pa.int32()),
        ("dropped", pa.int32()),
        ("failed", pa.int32()),
        ("reasons", pa.list_(_REASON)),
        ("rows_digest", pa.string()),
        ("facts", pa.string()),
    ]
)


def stored_schema(schema: pa.Schema, blobs: Sequence[str]) -> pa.Schema:
    """The schema of `rows.parquet`: each blob column becomes its place and length in `blobs.bin`."""
    fields = []
    for field in schema:
        if field.name in blobs:
            fields += [pa.field(f"{field.name}_at", pa.int64()), pa.field(f"{field.name}_bytes", pa.int64())]
        else:
            fields.append(field)
    return pa.schema(fields)


def writers(rows: pa.Table, outcomes: Sequence[Outcome], blobs: Sequence[str]) -> dict[str, Writer]:
    """What to write for a unit. `rows` has its blob columns inline; equal rows give equal bytes."""
    places, pieces = _lay_out(rows, blobs)
    stored = stored_schema(rows.schema, blobs)
    columns = {name: places.get(name, rows[name] if name in rows.column_names else None) for name in stored.names}
    table = pa.table(columns, schema=stored)

    def write_blobs(path: Path) -> None:
        with path.open("wb") as file:
            file.writelines(pieces)

    named: dict[str, Writer] = {ROWS: lambda path: _write(table, path)}
    if blobs:
        named[BLOBS] = write_blobs
    named[OUTCOMES] = lambda path: _write(outcome_table(outcomes), path)
    return named


def _lay_out(rows: pa.Table, blobs: Sequence[str]) -> tuple[dict[str, pa.Array], list[bytes]]:
    places: dict[str, list[int | None]] = {f"{name}{end}": [] for name in blobs for end in ("_at", "_bytes")}
    pieces: list[bytes] = []
    at = 0
    values = {name: rows[name].to_pylist() for name in blobs}
    for row in range(rows.num_rows):
        for name in blobs:
            piece = values[name][row]
            places[f"{name}_at"].append(None if piece is None else at)
            places[f"{name}_bytes"].append(None if piece is None else len(piece))
            if piece is not None:
                pieces.append(piece)
                at += len(piece)
    return {name: pa.array(column, pa.int64()) for name, column in places.items()}, pieces


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", write_statistics=False)
    if pq.read_metadata(path).num_rows != table.num_rows:
        raise WorkError(f"{path} does not read back as it was written; is the disk sound?")


def outcome_table(outcomes: Iterable[Outcome]) -> pa.Table:
    """Outcomes as a table, in the given order."""
    rows = []
    for outcome in outcomes:
        row = {name: getattr(outcome, name) for name in OUTCOME_SCHEMA.names}
        row["reasons"] = [{"frame": f, "status": s, "reason": r} for f, s, r in outcome.reasons]
        row["facts"] = json.dumps(dict(outcome.facts), sort_keys=True)
        rows.append(row)
    return pa.Table.from_pylist(rows, OUTCOME_SCHEMA)


class _Facts(Mapping[str, Any]):
    """Facts as the text that they were written as: a million outcomes are held at once, few are asked for theirs."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._text)
        except (ValueError, RecursionError) as error:
            raise WorkError(
                "the work folder holds outcomes that are not as mmidd writes them; build in a new one"
            ) from error
        return found

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def read_outcomes(store: Store, record: Record) -> list[Outcome]:
    """The outcomes of a committed unit."""
    table = _read(store, record, OUTCOMES)
    if not table.schema.equals(OUTCOME_SCHEMA):
        raise damaged(store.path(record, OUTCOMES), "it has other columns than this mmidd writes")
    columns = {name: shared(table[name]) for name in table.column_names if name != "facts"}
    columns["inputs"] = [tuple(map(intern, each)) for each in columns["inputs"]]
    columns["reasons"] = [tuple((r["frame"], r["status"], r["reason"]) for r in each) for each in columns["reasons"]]
    columns["facts"] = [_Facts(text) for text in table["facts"].to_pylist()]
    return [Outcome(*row) for row in zip(*(columns[field.name] for field in fields(Outcome)), strict=True)]


def read_rows(store: Store, record: Record, columns: Sequence[str] | None = None) -> pa.Table:
    """The stored rows of a unit (blobs as places); `columns` names those to read."""
    return _read(store, record, ROWS, list(columns) if columns is not None else None)


def read_inline(store: Store, record: Record, schema: pa.Schema, blobs: Sequence[str], mask: pa.Array) -> pa.Table:
    """The rows of a unit where `mask` is true, with their blobs inline again."""
    stored = read_rows(store, record).filter(mask)
    reader = BlobReader(sound(store.path(record, BLOBS))) if blobs else None
    columns: dict[str, Any] = {}
    for field in schema:
        if field.name in blobs and reader is not None:
            at, size = (stored[f"{field.name}{end}"].to_pylist() for end in ("_at", "_bytes"))
            columns[field.name] = pa.array(map(reader.read, at, size), field.type)
        else:
            columns[field.name] = stored[field.name]
    return pa.table(columns, schema=schema)


def _read(store: Store, record: Record, name: str, columns: list[str] | None = None) -> pa.Table:
    return read_sound(store.path(record, name), columns)


def read_sound(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a committed Parquet file; `columns` names those to read. Raises WorkError if it is not what was committed."""
    try:
        with pq.ParquetFile(sound(path), memory_map=True) as file:  # a dataset over one file would take twice the time
            if lost := sorted({*(columns or ())} - {*file.schema_arrow.names}):
                raise damaged(path, f"it has no column {lost[0]}, as this mmidd writes")
            return file.read(columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _fault(path, error, type(error).__name__) from error


def sound(path: Path) -> Path:
    """The path of a committed file whose bytes are those of its commit: their digest is in its name. Else WorkError."""
    try:
        about = path.stat()
        whole = _digest_at(path, about.st_size, about.st_mtime_ns).startswith(path.name.split(".")[1])
    except OSError as error:
        raise _fault(path, error, error.strerror or type(error).__name__) from error
    if not whole:
        raise damaged(path, "it has another checksum than when it was written")
    return path


@lru_cache(maxsize=4096)
def _digest_at(path: Path, size: int, mtime_ns: int) -> str:
    """Every file is read for this once in a process, unless it changes."""
    return sha256_file(path)


def _fault(path: Path, error: Exception, how: str) -> WorkError:
    """What reading a committed file says against it. Raises MemoryError; what the system refuses is no fault of the file."""
    check_memory(error)
    if is_passing(error) and isinstance(error, OSError):
        return WorkError(f"cannot read {path}: {reason(error) or how}. Mend it, then run the same command to go on.")
    return damaged(path, how)


def damaged(path: Path, how: str) -> WorkError:
    """What to say of a committed file that is not what it was."""
    return WorkError(
        f"{path} is damaged ({how}). Delete that file and run the same command: what it held is made again, and "
        "nothing else. Is the disk sound?"
    )


def key_of(*columns: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """One text a row that names its values of these columns together; null where one of them is."""
    wide = pa.large_string()  # the texts of some million rows pass 2 GiB
    return pc.binary_join_element_wise(*(column.cast(wide) for column in columns), pa.scalar("\0", wide))


def find(rows: pa.Table, table: pa.Table, by: Sequence[str]) -> pa.Array:
    """For each of `rows` the number of the row of `table` with the same values of the columns `by`; null where there is
    none. It reads all of `table` each time: ask for all rows at once."""
    wanted, there = (key_of(*(each[name] for name in by)) for each in (rows, table))
    return pc.index_in(wanted, value_set=there.combine_chunks(), skip_nulls=True).combine_chunks()


def lookup(rows: pa.Table, table: pa.Table, by: Sequence[str]) -> pa.Table:
    """For each of `rows` the row that `find` finds; nulls where there is none."""
    return table.take(find(rows, table, by))


def content_digest(table: pa.Table) -> str:
    """Names the values of a table: equal schema and values, equal 64 hex digits, however the columns are cut or laid out."""
    found = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for column in table.columns:
        for piece in _content(column.combine_chunks()):
            found.update(piece)
    return found.hexdigest()


def _content(array: pa.Array) -> Iterator[Any]:
    yield np.array([len(array), array.null_count])
    yield array.is_valid().to_numpy(zero_copy_only=False)
    values = array.drop_null()
    if pa.types.is_fixed_size_list(values.type):
        yield from _content(values.flatten())
    elif pa.types.is_list(values.type):
        yield values.value_lengths().to_numpy()
        yield from _content(values.flatten())
    elif pa.types.is_string(values.type) and len(values):
        yield pc.binary_length(values).to_numpy()
        _, offsets, texts = values.buffers()
        ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
        yield texts.slice(int(ends[0]), int(ends[-1] - ends[0]))
    else:
        yield np.ascontiguousarray(values.to_numpy(zero_copy_only=False))


class LightRow(Mapping[str, Any]):
    """A row as a tuple that can be asked by name: a third of a dict, of which a million would take a gigabyte."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: Mapping[str, int], values: tuple[Any, ...]) -> None:
        self._places, self._values = places, values

    def __getitem__(self, name: str) -> Any:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)


def light_rows(table: pa.Table, names: Sequence[str]) -> list[LightRow]:
    """Rows with these columns alone, equal texts as one object: a million rows repeat few identities and methods."""
    places = {name: place for place, name in enumerate(names)}
    columns = [shared(table[name]) for name in names]
    return [LightRow(places, row) for row in zip(*columns, strict=True)]


def shared(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """A column as a list, equal texts as one object."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return list(column.to_pylist())
    found: list[Any] = []
    coded = column.dictionary_encode()
    for chunk in coded.chunks if isinstance(coded, pa.ChunkedArray) else [coded]:
        texts = [None if text is None else intern(text) for text in chunk.dictionary.to_pylist()]
        found.extend(None if place is None else texts[place] for place in chunk.indices.to_pylist())
    return found


class BlobReader:
    """Reads pieces of a blob file by place and length, without loading the rest."""

    def __init__(self, path: Path) -> None:
        size = path.stat().st_size
        self._bytes = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)

    def read(self, at: int | None, size: int | None) -> bytes | None:
        """The piece, or None where there is none. Raises WorkError when it lies outside the file."""
        if at is None or size is None:
            return None
        if at < 0 or size < 0 or at + size > len(self._bytes):
            raise WorkError(f"a blob of {size} bytes at {at} lies outside its file of {len(self._bytes)} bytes")
        return self._bytes[at : at + size].tobytes()


def in_order(rows: pa.Table, names: Sequence[tuple[str, str]], then: Sequence[str]) -> pa.Table:
    """Rows sorted by the place of their medium in `names`, then by the columns `then`."""
    place = {name: number for number, name in enumerate(names)}
    pairs: Iterator[tuple[str, str]] = zip(rows["dataset"].to_pylist(), rows["media"].to_pylist(), strict=True)
    keyed = rows.append_column("_place", pa.array([place[pair] for pair in pairs], pa.int64()))
    order = [("_place", "ascending"), *((name, "ascending") for name in then)]
    return keyed.sort_by(order).drop_columns(["_place"])
