"""Parquet as the Hub wants it: image bytes plain, the rest zstd, a page index, content-defined chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.schema import COLUMNS, IMAGE, arrow_schema

_CDC = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
ROW_OVERHEAD = 600
"""About what the columns of a row take beside its image, bytes."""
_MOST_BITS = 24


@dataclass(frozen=True)
class ShardLimits:
    """How large the files and their row groups may be."""

    max_bytes: int
    row_group_rows: int
    row_group_bytes: int


def partition(
    places: npt.NDArray[np.uint64], sizes: npt.NDArray[np.int64], limits: ShardLimits
) -> list[npt.NDArray[np.int64]]:
    """Cut rows into shards by their place, a 64-bit number: the row numbers of each shard, in order of place.

    The range of places is halved until each part fits, so growth moves rows only into halves of their own shard. Rows
    that share one place and still do not fit are cut where the limit falls.
    """
    order = np.argsort(places, kind="stable")
    sorted_places = places[order]
    ends = np.concatenate([[0], np.cumsum(sizes[order] + ROW_OVERHEAD)])
    cuts = np.array([0, len(order)] if len(order) else [0])
    bits = 0
    while len(cuts) > 1 and np.diff(ends[cuts]).max() > limits.max_bytes and bits < _MOST_BITS:
        bits += 1
        parts = sorted_places >> np.uint64(64 - bits)
        cuts = np.concatenate([[0], np.flatnonzero(parts[1:] != parts[:-1]) + 1, [len(order)]])
    pieces = [piece for start, end in pairwise(cuts) for piece in _pieces(ends, int(start), int(end), limits.max_bytes)]
    return [order[start:end] for start, end in pieces]


def _pieces(ends: npt.NDArray[np.int64], start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Runs of rows that fit, one after the other; a row that fits nowhere is one of its own."""
    while start < end:
        fits = int(np.searchsorted(ends, ends[start] + most, side="right")) - 1
        stop = min(end, max(start + 1, fits))
        yield start, stop
        start = stop


Pictures = tuple[bytes, bytes | None]
"""The encoded image of a row, and its mask if it has one."""


def write_shard(path: Path, columns: pa.Table, pictures: Iterator[Pictures], limits: ShardLimits | Sequence[int]) -> None:
    """Write one shard: `columns` hold every column but `image` and `mask`, `pictures` gives those, row by row.
    Instead of limits there may be the rows of each row group.

    Only one row group of images is in memory at a time. The file is synced, not renamed: its folder is swapped in.
    """
    schema = arrow_schema()
    plain = [field.name for field in schema if field.type != IMAGE]
    compression = {leaf: "NONE" if leaf.split(".")[0] in ("image", "mask") else "zstd" for leaf in _leaves(schema)}
    writer = pq.ParquetWriter(
        path,
        schema,
        compression=compression,
        use_dictionary=[leaf for leaf in _leaves(schema) if leaf.split(".")[0] not in ("image", "mask")],
        write_page_index=True,
        use_content_defined_chunking=_CDC,
    )
    with writer:
        for start, group in _groups(pictures, limits):
            part = {name: columns[name].slice(start, len(group)) for name in plain}
            ids = part["id"].to_pylist()
            images, masks = zip(*group, strict=True)
            part["image"] = pa.array([_named(data, name) for name, data in zip(ids, images, strict=True)], IMAGE)
            part["mask"] = pa.array([_named(data, f"{name}-mask") for name, data in zip(ids, masks, strict=True)], IMAGE)
            writer.write_table(pa.table([part[c.name] for c in COLUMNS], schema=schema), row_group_size=len(group))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _named(data: bytes | None, name: str) -> dict[str, Any] | None:
    return None if data is None else {"bytes": data, "path": f"{name}.{suffix(data)}"}


def _groups(pictures: Iterator[Pictures], limits: ShardLimits | Sequence[int]) -> Iterator[tuple[int, list[Pictures]]]:
    if not isinstance(limits, ShardLimits):
        yield from ((sum(limits[:number]), list(islice(pictures, rows))) for number, rows in enumerate(limits))
        return
    start, group, total = 0, list[Pictures](), 0
    for image, mask in pictures:
        size = len(image) + len(mask or b"")
        if group and (len(group) >= limits.row_group_rows or total + size > limits.row_group_bytes):
            yield start, group
            start, group, total = start + len(group), [], 0
        group.append((image, mask))
        total += size
    if group:
        yield start, group


def _leaves(schema: pa.Schema) -> list[str]:
    """The Parquet leaf columns, by dotted path."""
    found = []
    for field in schema:
        if field.type == IMAGE:
            found += [f"{field.name}.bytes", f"{field.name}.path"]
        elif pa.types.is_fixed_size_list(field.type):
            depth = 1 + int(pa.types.is_fixed_size_list(field.type.value_type))
            found.append(field.name + ".list.element" * depth)
        else:
            found.append(field.name)
    return found


def suffix(data: bytes) -> str:
    """The usual file ending of an encoded image, by its first bytes."""
    if data.startswith(b"\xff\xd8"):
        return "jpg"
    return "png" if data.startswith(b"\x89PNG") else "webp"
