"""Parquet as the Hub wants it: image bytes plain, the rest zstd, a page index, content-defined chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.schema import COLUMNS, IMAGE, arrow_schema

_CDC = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
ROW_OVERHEAD = 600
"""About what the columns of a row take beside its image, bytes."""


@dataclass(frozen=True)
class Limits:
    """How large the files and their row groups may be."""

    max_bytes: int
    row_group_rows: int
    row_group_bytes: int


def partition(places: Sequence[str], sizes: Sequence[int], limits: Limits) -> list[list[int]]:
    """Cut rows into shards by their place (16 hex digits): the row numbers of each shard, in order of place.

    The range of places is halved until each part fits, so growth moves rows only into halves of their own shard. Rows
    that share one place and still do not fit are cut where the limit falls.
    """
    order = sorted(range(len(places)), key=lambda row: places[row])
    parts = [order] if order else []
    bits = 0
    while any(_bytes(part, sizes) > limits.max_bytes for part in parts) and bits < 24:
        bits += 1
        split: dict[int, list[int]] = {}
        for row in order:
            split.setdefault(int(places[row], 16) >> (64 - bits), []).append(row)
        parts = [split[key] for key in sorted(split)]
    return [piece for part in parts for piece in _pieces(part, sizes, limits.max_bytes)]


def _bytes(rows: Sequence[int], sizes: Sequence[int]) -> int:
    return sum(sizes[row] + ROW_OVERHEAD for row in rows)


def _pieces(rows: Sequence[int], sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    piece: list[int] = []
    total = 0
    for row in rows:
        size = sizes[row] + ROW_OVERHEAD
        if piece and total + size > most:
            yield piece
            piece, total = [], 0
        piece.append(row)
        total += size
    if piece:
        yield piece


Pictures = tuple[bytes, bytes | None]
"""The encoded image of a row, and its mask if it has one."""


def write_shard(path: Path, columns: dict[str, Any], pictures: Iterator[Pictures], limits: Limits) -> None:
    """Write one shard: `columns` hold every column but `image` and `mask`, `pictures` gives those, row by row.

    Only one row group of images is in memory at a time. The file is synced, not renamed: its folder is swapped in.
    """
    schema = arrow_schema()
    light = pa.table({name: column for name, column in columns.items()})
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
            part = {name: light[name].slice(start, len(group)) for name in plain}
            ids = part["id"].to_pylist()
            images, masks = zip(*group, strict=True)
            part["image"] = pa.array([_named(data, name) for name, data in zip(ids, images, strict=True)], IMAGE)
            part["mask"] = pa.array([_named(data, f"{name}-mask") for name, data in zip(ids, masks, strict=True)], IMAGE)
            writer.write_table(pa.table([part[c.name] for c in COLUMNS], schema=schema), row_group_size=len(group))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _named(data: bytes | None, name: str) -> dict[str, Any] | None:
    return None if data is None else {"bytes": data, "path": f"{name}.{suffix(data)}"}


def _groups(pictures: Iterator[Pictures], limits: Limits) -> Iterator[tuple[int, list[Pictures]]]:
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
