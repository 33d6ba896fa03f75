"""The append-only journal of what models replied: a recorded input, of which the captions are a function.

One file a process that wrote, one line a reply: `KEY CRC JSON`. A line that is torn or altered counts as absent; a later
line of a key counts instead of an earlier one. Nothing is ever changed or removed. Files are read in the order of their
names, which begin with a number that grows.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mmidd.errors import MmiddError
from mmidd.llm.answer import Answer

_KEY, _CRC = 32, 8
_HEAD = _KEY + 1 + _CRC + 1
_SYNC_EVERY = 64
LONGEST_LINE = 1 << 20


class JournalError(MmiddError):
    """The journal of replies cannot be written or read."""


class Journal:
    """All replies in a folder by key (32 hex digits), and a file of this process's own to add to. Safe among threads."""

    def __init__(self, folder: Path) -> None:
        """Read the index of what is there; the folder and the file are made with the first reply. Raises JournalError."""
        self._folder = folder
        self._lock = threading.Lock()
        self._files: list[Path] = []
        self._places: dict[bytes, tuple[int, int, int]] = {}
        self._own: int | None = None
        self._added = 0
        self._at = 0
        with _disk(folder):
            for path in sorted(folder.glob("*.log")):
                self._index(path)

    def get(self, key: str) -> Answer | None:
        """The newest sound reply of a key."""
        with self._lock:
            place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        number, at, size = place
        with _disk(self._files[number]), self._files[number].open("rb") as file:
            file.seek(at)
            line = file.read(size)
        return _reply(key, line)

    def put(self, key: str, reply: Answer, *, instead: bool = False) -> None:
        """Add a reply: once this returns, a killed process no longer loses it.

        What another thread was answered first stays, unless `instead`.
        """
        body = json.dumps(asdict(reply), ensure_ascii=True, separators=(",", ":")).encode()
        line = b"%s %08x %s\n" % (key.encode(), zlib.crc32(key.encode() + body), body)
        with self._lock, _disk(self._folder):
            if not instead and bytes.fromhex(key) in self._places:
                return
            if self._own is None:
                self._own = self._open()
            written = os.write(self._own, line)
            if written != len(line):
                raise JournalError(f"the journal in {self._folder} takes no more: is the disk full? Mend it and run again")
            self._places[bytes.fromhex(key)] = (len(self._files) - 1, self._at, len(line))
            self._at += len(line)
            self._added += 1
            if self._added % _SYNC_EVERY == 0:
                os.fsync(self._own)

    def close(self) -> None:
        """Make what was added durable."""
        with self._lock:
            if self._own is not None:
                os.fsync(self._own)
                os.close(self._own)
                self._own = None

    def __len__(self) -> int:
        return len(self._places)

    def _open(self) -> int:
        """Opens this process's own file, later than all that are there. The last of `_files` from then on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        last = max(
            (int(name) for path in self._folder.glob("*.log") if (name := path.name.split("-")[0]).isdigit()), default=0
        )
        path = self._folder / f"{last + 1:06d}-{uuid.uuid4().hex[:12]}.log"
        self._files.append(path)
        self._at = 0
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def _index(self, path: Path) -> None:
        number = len(self._files)
        self._files.append(path)
        for at, line in _lines(path):
            key = line[:_KEY]
            if _sound(line):
                self._places[bytes.fromhex(key.decode())] = (number, at, len(line))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        at = 0
        while line := file.readline(LONGEST_LINE):
            yield at, line
            at += len(line)


def _sound(line: bytes) -> bool:
    try:
        crc = int(line[_KEY + 1 : _HEAD - 1], 16)
        bytes.fromhex(line[:_KEY].decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return False
    return line.endswith(b"\n") and zlib.crc32(line[:_KEY] + line[_HEAD:-1]) == crc


def _reply(key: str, line: bytes) -> Answer | None:
    if not _sound(line) or line[:_KEY] != key.encode():
        return None
    try:
        reply = Answer(**json.loads(line[_HEAD:]))
    except (ValueError, TypeError, RecursionError):
        return None
    counts = (reply.prompt_tokens, reply.completion_tokens)
    sound = isinstance(reply.text, str) and all(count is None or type(count) is int for count in counts)
    return reply if sound and isinstance(reply.finish, str | None) else None


class _disk:
    """Tells what the disk did to the journal as one clear error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise JournalError(
                f"the journal of replies at {self._path} cannot be used: {error.strerror or type(error).__name__}. "
                "Mend it, then run the same command to go on."
            ) from error
