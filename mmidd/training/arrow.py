"""Arrow to numpy and back by their buffers: pyarrow's own ways import pandas where it is there, a second in each process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def valid(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Where a column is not null."""
    bits = column.buffers()[0] if column.null_count else None
    if bits is None:
        return np.ones(len(column), np.bool_)
    end = column.offset + len(column)
    found = np.unpackbits(np.frombuffer(bits, np.uint8, (end + 7) // 8), count=end, bitorder="little")
    return found[column.offset :].astype(np.bool_)


def filled(column: pa.Array, value: float) -> npt.NDArray[Any]:
    """A column of numbers, with `value` where it is null. May be a view of its memory."""
    kind = np.dtype(column.type.to_pandas_dtype())
    held = np.frombuffer(column.buffers()[1] or b"", kind)[column.offset : column.offset + len(column)]
    return np.where(valid(column), held, kind.type(value)) if column.null_count else held


def places(numbers: npt.NDArray[Any]) -> pa.Array:
    """Whole numbers as an Arrow array, to take rows by."""
    held = np.ascontiguousarray(numbers, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(held), [None, pa.py_buffer(held)])
