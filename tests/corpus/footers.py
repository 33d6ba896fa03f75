"""Footers of Parquet files taken apart and put together again, with a change: Thrift's compact protocol, read and written.

A struct is {field: (type, value)}, a list (type, [values]).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

STRUCT, LIST, BINARY, INT, LONG = 12, 9, 8, 5, 6
Struct = dict[int, tuple[int, Any]]
GROUPS, COLUMNS, ABOUT, SIZES = 4, 1, 3, 16
"""The fields of: row groups in a footer, columns in a row group, metadata in a column, size statistics in that."""


def change(path: Path, edit: Callable[[Struct], object]) -> None:
    """Write a Parquet file again, with its footer edited."""
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer, _ = _struct(data, start)
    edit(footer)
    new = _written(STRUCT, footer)
    path.write_bytes(data[:start] + new + len(new).to_bytes(4, "little") + b"PAR1")


def group(footer: Struct, number: int = 0) -> Struct:
    """A row group."""
    found: Struct = footer[GROUPS][1][1][number]
    return found


def column(footer: Struct, path: str, number: int = 0) -> Struct:
    """A column of a row group, by its dotted path."""
    chunks: list[Struct] = group(footer, number)[COLUMNS][1][1]
    return next(each for each in chunks if b".".join(each[ABOUT][1][3][1][1]).decode() == path)


def about(footer: Struct, path: str, number: int = 0) -> Struct:
    """The metadata of that."""
    found: Struct = column(footer, path, number)[ABOUT][1]
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def _struct(data: bytes, at: int) -> tuple[Struct, int]:
    found: Struct = {}
    field = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            field, at = _value(LONG, data, at)
        value, at = (None, at) if head & 15 in (1, 2) else _value(head & 15, data, at)
        found[field] = head & 15, value
    return found, at + 1


def _value(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind == STRUCT:
        return _struct(data, at)
    if kind in (4, INT, LONG):
        value, at = _number(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == BINARY:
        count, at = _number(data, at)
        return data[at : at + count], at + count
    if kind in (LIST, 10):
        count, of, at = data[at] >> 4, data[at] & 15, at + 1
        if count == 15:
            count, at = _number(data, at)
        values = []
        for _ in range(count):
            value, at = _value(of, data, at)
            values.append(value)
        return (of, values), at
    size = {1: 1, 2: 1, 3: 1, 7: 8}[kind]
    return data[at : at + size], at + size


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _zigzag(value: int) -> bytes:
    return _varint(((value << 1) ^ (value >> 63)) & ((1 << 64) - 1))


def _written(kind: int, value: Any) -> bytes:
    if kind == STRUCT:
        found = b"".join(bytes([of]) + _zigzag(field) + (b"" if of in (1, 2) else _written(of, each))
                         for field, (of, each) in value.items())  # fmt: skip
        return found + b"\0"
    if kind in (4, INT, LONG):
        return _zigzag(value)
    if kind == BINARY:
        return _varint(len(value)) + bytes(value)
    if kind in (LIST, 10):
        of, values = value
        return bytes([0xF0 | of]) + _varint(len(values)) + b"".join(_written(of, each) for each in values)
    return bytes(value)
