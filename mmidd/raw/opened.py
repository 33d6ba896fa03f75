"""A file of a disk while it is read: its bytes, and whether it is still what it was when they were had."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mmidd.errors import ChangedMedia, UnreadableMedia, told
from mmidd.filestate import state
from mmidd.raw.disk import check_inside
from mmidd.raw.path import Place


class Opened:
    """A file, open as long as this object lives, so that no other one gets its number meanwhile.

    Decoders open paths, and more than once: what they saw was this file if `check` finds it there when they have ended.
    """

    def __init__(self, path: Path, size: int, mtime_ns: int, root: Place | None = None) -> None:
        """Raises ChangedMedia where the file has not the size and time that it was listed with, UnreadableMedia, also where
        it does not lie below `root`, or where a link led when it was listed (see `disk`)."""
        with _faults():
            self._path, self._file = path, _open(path)
            about = os.fstat(self._file.fileno())
            if isinstance(root, Path):
                check_inside(root, path, about)
        self.state = state(about)
        if (about.st_size, about.st_mtime_ns) != (size, mtime_ns):
            raise ChangedMedia

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self) -> bytes:
        """Its bytes. Raises ChangedMedia where there are fewer or more than there were, UnreadableMedia."""
        size = self.state[2]
        with _faults():
            self._file.seek(0)
            data = self._file.read(size + 1)
        if len(data) != size:
            raise ChangedMedia
        return data

    def sha256(self) -> str:
        """The digest of its bytes, read in pieces. Raises ChangedMedia, UnreadableMedia."""
        with _faults():
            self._file.seek(0)
            found = hashlib.file_digest(self._file, "sha256").hexdigest()  # type: ignore[arg-type]
        self.check()
        return found

    def check(self) -> None:
        """Raises ChangedMedia where the path shows another file by now, or this one was written to."""
        try:
            with _open(self._path) as file:  # to open it makes a network's file system ask what it is now
                now = state(os.fstat(file.fileno()))
        except OSError as error:
            raise ChangedMedia from error
        if now != self.state:
            raise ChangedMedia


def _open(path: Path) -> BinaryIO:
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for whoever writes into it
        raise ChangedMedia
    return path.open("rb")


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnreadableMedia(f"cannot be read: {told(error)}") from error
