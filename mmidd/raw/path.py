"""A place in an object store, used as a `Path` is by those who list, open and read."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from mmidd.raw.cache import Cache, Copy
from mmidd.raw.store import Listed, Remote, Seen, address

BLOCK = 4 * 2**20
"""Bytes of an archive that are fetched at once."""
_PIECE = 32 * 2**20
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class RemotePath:
    """An object or a folder by its key below the data root.

    Of an object that was listed, `seen` is what the listing said: its bytes are then had as they were listed, or not at all
    (UnreadableMedia). Errors are those of `Remote`.
    """

    remote: Remote
    key: str = ""
    seen: Seen | None = None

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.remote, f"{self.key}/{name}" if self.key else name)

    def at(self, name: str, size: int, stamp: int) -> RemotePath:
        """The object of this name, as it was listed."""
        return RemotePath(self.remote, (self / name).key, Seen(size, stamp))

    def __str__(self) -> str:
        return f"{self.remote.url}/{self.key}" if self.key else self.remote.url

    @property
    def name(self) -> str:
        return str(self).rpartition("/")[2]

    def is_dir(self) -> bool:
        """Is it a folder, as far as the listing knows that it comes from?"""
        return self.seen is None

    def is_file(self) -> bool:
        """Is it an object, as far as the listing knows that it comes from?"""
        return self.seen is not None

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies in a folder."""
        return (RemotePath(self.remote, (self / name).key, seen) for name, seen in self.remote.folders(self.key))

    def walk(self) -> Listed:
        """All that lies below a folder."""
        return self.remote.listed(self.key)

    def stat(self) -> Seen:
        """As it was listed; else as it is now."""
        return self.seen or self.remote.look(self.key)

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """For reading here and there: fetched in blocks, which are kept."""
        return io.BufferedReader(_Blocks(self))

    def read_bytes(self) -> bytes:
        """All of it."""
        seen = self.stat()
        return self._bytes("", seen, 0, seen.st_size)

    def copy(self) -> Copy:
        """All of it as a file on this machine."""
        if self.remote.cache is None:
            raise TypeError("this command keeps no copies")
        return self._copy(self.remote.cache, _suffix(self.name), self.stat(), 0, self.stat().st_size)

    def block(self, number: int) -> bytes:
        """The `number`-th block; empty behind the end."""
        seen, start = self.stat(), number * BLOCK
        return self._bytes(f".{number}", seen, start, min(start + BLOCK, seen.st_size))

    def _bytes(self, suffix: str, seen: Seen, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        if self.remote.cache is None:
            return b"".join(self.remote.pieces(self.key, seen, start, end, _PIECE))
        kept = self._copy(self.remote.cache, suffix, seen, start, end)
        return kept.path.read_bytes()

    def _copy(self, cache: Cache, suffix: str, seen: Seen, start: int, end: int) -> Copy:
        about = f"{self}\0{seen.st_size}\0{seen.st_mtime_ns}"
        name = hashlib.sha256(about.encode()).hexdigest()[:32] + suffix
        return cache.copy(name, end - start, lambda: self.remote.pieces(self.key, seen, start, end, _PIECE))


Place = Path | RemotePath
"""Where raw data lie."""


def root_of(data: str | Path, cache: Cache | None = None) -> Place:
    """The data root that `--data` names."""
    where = address(data)
    return where if isinstance(where, Path) else RemotePath(Remote(where, cache))


def _suffix(name: str) -> str:
    """How a copy's name ends: demuxers look at it."""
    ending = Path(name).suffix
    return ending if _SUFFIX.fullmatch(ending) else ""


class _Blocks(io.RawIOBase):
    """An object as a file that can be read and sought. One block is held in memory."""

    def __init__(self, path: RemotePath) -> None:
        super().__init__()
        self.name = path.name
        self._path = RemotePath(path.remote, path.key, path.stat())
        self._at, self._number, self._block = 0, -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, start = divmod(self._at, BLOCK)
        if number != self._number:
            self._block, self._number = self._path.block(number), number
        data = self._block[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._path.stat().st_size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at
