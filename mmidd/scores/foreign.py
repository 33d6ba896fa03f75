"""Parquet files of anybody's, read as carefully as a corpus from outside: bounded, and every fault a ScoreError."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmidd.corpus.parquet import Damaged, File, open_parquet
from mmidd.errors import CorpusError, ScoreError, reason

_MOST_FACTOR, _MOST_MORE = 128, 2 << 30
"""What may come out of a file: so many times its bytes, and so many more. Lost frames of one medium are all alike."""


@contextmanager
def parquet(path: str | Path, what: str) -> Iterator[Table]:
    """A file of columns. `what` it should be, and how to get one. Raises ScoreError."""
    checked(path)
    try:
        with open_parquet(_One(Path(path)), Path(path).name) as file:
            yield Table(file, repr(str(path)), Path(path).stat().st_size)
    except Damaged as error:
        raise ScoreError(f"{str(path)!r} cannot be read as {what} ({error.why})") from error
    except CorpusError as error:
        raise ScoreError(str(error)) from error


class Table:
    """An opened file: `schema`, `rows`, and columns of it."""

    def __init__(self, file: File, where: str, size: int) -> None:
        self._file, self._where, self._size = file, where, size
        self.schema, self.rows = file.schema, file.rows

    def table(self, schema: pa.Schema) -> pa.Table:
        """These columns, in these types. Raises ScoreError for what unpacks to far more than it is."""
        if min(self._file.groups, default=0) < 0 or sum(self._file.groups) != self.rows:
            raise ScoreError(f"{self._where}: its row groups have other rows than it says")
        parts, held = [], 0
        for _, batch in self._file.batches(schema, 1 << 16):
            parts.append(batch)
            held += batch.nbytes
            if held > _MOST_FACTOR * self._size + _MOST_MORE:
                raise ScoreError(f"{self._where}: its {self._size:,} bytes unpack to more than {held >> 20} MiB")
        return pa.Table.from_batches(parts, schema).combine_chunks()


def checked(path: str | Path) -> int:
    """The bytes of a file that can be read more than once. Raises ScoreError for none, a folder, a pipe."""
    try:
        about = Path(path).stat()
    except (OSError, ValueError) as error:
        why = (reason(error) or error.strerror) if isinstance(error, OSError) else "no path has a zero byte"
        raise ScoreError(f"cannot read {str(path)!r}: {why}") from error
    if not stat.S_ISREG(about.st_mode):
        kind = "a folder" if stat.S_ISDIR(about.st_mode) else "no plain file (a pipe cannot be read twice)"
        raise ScoreError(f"{str(path)!r} is {kind}: name a file")
    return about.st_size


@dataclass(frozen=True)
class _One:
    """The place of one file (`corpus.place.Place`), wherever its links lead and whatever it is called."""

    file: Path
    name = ""
    remote = False
    faults = (OSError,)

    def path(self, name: str) -> str:
        return repr(str(self.file))

    def names(self) -> set[str]:
        return {self.file.name}

    def size(self, name: str) -> int:
        return self.file.stat().st_size

    def open(self, name: str) -> Any:
        return pa.PythonFile(self.file.open("rb"), "r")  # not by its name: pyarrow takes none that is no Unicode

    def local(self, name: str) -> Path:
        return self.file
