"""What the footer of a Parquet file says of its columns, asked so that a hostile footer ends in an error.

Where its metadata objects are asked for a column that it cannot take (its size statistics do not fit, it is encrypted),
pyarrow throws what nothing catches, and the process ends; so it does where `.compression` is asked of an unknown codec.
Where it reads a file it catches the same. So each column is first opened as if to be read, from a file that gives no bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Footer:
    """The footer of a file of so many bytes. Raises ValueError where a row group has other columns than the file."""

    def __init__(self, about: pq.FileMetaData, size: int) -> None:
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        if any(group.num_columns != about.num_columns for group in groups):
            raise ValueError("a row group has other columns than its file")
        self._about, self._bytes = about, _NoBytes(size)
        self._unread = pq.ParquetFile(pa.PythonFile(self._bytes, "r"), metadata=about, buffer_size=1, pre_buffer=False)
        self.rows: int = about.num_rows
        self.groups: list[int] = [group.num_rows for group in groups]
        """The rows of each row group."""
        self.sizes: list[int] = [group.total_byte_size for group in groups]
        """The bytes of each row group, unpacked."""
        self.columns: list[pq.ColumnSchema] = [about.schema.column(number) for number in range(about.num_columns)]
        self.paths: list[str] = [column.path for column in self.columns]
        """By these paths, physical types and levels pyarrow reads; what each chunk says of them is not looked at."""

    def chunks(self, group: int, paths: Sequence[str]) -> dict[int, Any]:
        """pyarrow's metadata of the columns with these paths, in one row group, by their number. Raises what pyarrow
        raises for such as it cannot read."""
        self._bytes.asked = False
        try:
            next(self._unread.iter_batches(1, row_groups=[group], columns=paths, use_threads=False), None)
        except (OSError, pa.ArrowException):
            if not self._bytes.asked:
                raise  # else all columns were opened
        found = self._about.row_group(group)
        return {number: found.column(number) for number, path in enumerate(self.paths) if path in paths}


class _NoBytes(io.RawIOBase):
    """A file of so many bytes that gives none of them. `asked`: it was to."""

    def __init__(self, size: int) -> None:
        self._size, self._at, self.asked = size, 0, False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, at: int, whence: int = io.SEEK_SET) -> int:
        self._at = at + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        self.asked = True
        return b""
