"""How the bytes of one medium are had, by where it lies. See `MediaBytes` for what the methods promise.

What is hashed is what is used: it is read once, compared when it is read again, or (where a decoder reads for itself) the
file is looked at again at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mmidd.engine.files import sha256_file
from mmidd.errors import ChangedMedia, TooLargeMedia, UnreadableMedia
from mmidd.filestate import State, state
from mmidd.raw import archives
from mmidd.raw.archives import NamedBytes
from mmidd.raw.cache import Copy
from mmidd.raw.opened import Opened
from mmidd.raw.path import RemotePath

if TYPE_CHECKING:
    from mmidd.raw.bytes import FilePart, MediaBytes, MediaFile

MOST_STILL_BYTES = 512 * 2**20
_PIECE = 2**20
_AT_ONCE = 8
"""Frames of a clip that are fetched from an object store at the same time."""


def of_file(medium: MediaFile) -> MediaBytes:
    """Of a medium that is a file, or a folder of them."""
    path = medium.path
    if isinstance(path, RemotePath):
        return _Clip(medium, path) if medium.kind == "frames" else _Object(medium, path)
    return _Folder(medium, path) if medium.kind == "frames" else _File(medium, path)


def opened(medium: MediaFile) -> Opened | None:
    """The file or the archive of a medium, opened as it was listed; None in an object store, whose copies are as listed."""
    path, seen = medium.path, medium.archive or medium
    return Opened(path, seen.bytes, seen.mtime_ns, medium.root) if isinstance(path, Path) else None


def clip_digest(digests: Iterable[tuple[str, str]]) -> str:
    """The digest of a clip from (name, sha256) of its frames in order: that of `sha256sum`'s lines on them."""
    lines = "".join(f"{sha256}  {name.rpartition('/')[2]}\n" for name, sha256 in digests)
    return hashlib.sha256(lines.encode()).hexdigest()


def check_still(size: int) -> None:
    """Raises TooLargeMedia."""
    if size > MOST_STILL_BYTES:
        raise TooLargeMedia(f"an image file of more than {MOST_STILL_BYTES} bytes")


@dataclass
class _File:
    """A file on a disk. An image is read once; a video's decoder reads it again."""

    medium: MediaFile
    path: Path
    _file: Opened | None = None
    _data: bytes | None = None

    def sha256(self) -> str:
        if self.medium.kind == "image" and self.medium.bytes <= MOST_STILL_BYTES:
            return hashlib.sha256(self.still()).hexdigest()
        return self._opened().sha256()

    def still(self) -> bytes:
        check_still(self.medium.bytes)
        if self._data is None:
            self._data = self._opened().read()
        return self._data

    def video(self) -> Path:
        self._opened()
        return self.path

    def frame(self, number: int) -> bytes:
        raise UnreadableMedia("a single file has no numbered frames")

    def check(self) -> None:
        if self._file is not None:
            self._file.check()

    def _opened(self) -> Opened:
        self._file = self._file or Opened(self.path, self.medium.bytes, self.medium.mtime_ns, self.medium.root)
        return self._file


@dataclass
class _Object:
    """A file in an object store: copied to this machine when its bytes are first asked for, and held there."""

    medium: MediaFile
    path: RemotePath
    _copy: Copy | None = None

    def sha256(self) -> str:
        return sha256_file(self.video())

    def still(self) -> bytes:
        check_still(self.medium.bytes)
        return self.video().read_bytes()

    def video(self) -> Path:
        self._copy = self._copy or self.path.copy()
        return self._copy.path

    def frame(self, number: int) -> bytes:
        raise UnreadableMedia("a single file has no numbered frames")

    def check(self) -> None:
        """The copy is this process's own while it is held."""


class _Frames:
    """Numbered images, which are read twice: all for their digest, then those that are decoded."""

    def __init__(self, parts: Sequence[FilePart], read: Callable[[FilePart], bytes]) -> None:
        self._parts, self._read = parts, read
        self._digests: dict[int, str] = {}

    def sha256(self, each: Callable[..., Iterable[Any]] = map) -> str:
        """The clip's digest; `each` is how a function goes over all frames."""
        self._digests = dict(each(self._digest, self._parts))
        return clip_digest((part.name, self._digests[part.number]) for part in self._parts)

    def frame(self, number: int) -> bytes:
        """The bytes that were digested. Raises ChangedMedia for others."""
        part = next(part for part in self._parts if part.number == number)
        data = self._read(part)
        if self._digests.get(number) not in (None, hashlib.sha256(data).hexdigest()):
            raise ChangedMedia
        return data

    def _digest(self, part: FilePart) -> tuple[int, str]:
        return part.number, hashlib.sha256(self._read(part)).hexdigest()


class _Images:
    """A folder of numbered images, wherever it lies: neither an image nor a video."""

    _frames: _Frames

    def sha256(self) -> str:
        return self._frames.sha256()

    def still(self) -> bytes:
        raise UnreadableMedia("a folder is no image")

    def video(self) -> Path:
        raise UnreadableMedia("a folder of frames is no video")

    def frame(self, number: int) -> bytes:
        return self._frames.frame(number)


@dataclass
class _Folder(_Images):
    """A folder of numbered images. `_seen` is what each file was when it was read first."""

    medium: MediaFile
    path: Path
    _seen: dict[int, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._frames = _Frames(self.medium.parts, self._read)

    def check(self) -> None:
        """Without numbers: these files are not held open, and some network disks give a file another one."""
        for part in self.medium.parts:
            seen = self._seen.get(part.number)
            try:
                if seen is not None and state((self.path / part.path).stat())[2:] != seen[2:]:
                    raise ChangedMedia
            except OSError as error:
                raise ChangedMedia from error

    def _read(self, part: FilePart) -> bytes:
        check_still(part.bytes)
        file = Opened(self.path / part.path, part.bytes, part.mtime_ns, self.medium.root)
        self._seen.setdefault(part.number, file.state)
        return file.read()


@dataclass
class _Clip(_Images):
    """A folder of numbered images in an object store: each is copied to this machine when it is first asked for."""

    medium: MediaFile
    path: RemotePath

    def __post_init__(self) -> None:
        self._frames = _Frames(self.medium.parts, self._read)

    def sha256(self) -> str:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return self._frames.sha256(pool.map)

    def check(self) -> None:
        """The copies are as they were listed."""

    def _read(self, part: FilePart) -> bytes:
        check_still(part.bytes)
        return self.path.at(part.path, part.bytes, part.mtime_ns).read_bytes()


@dataclass
class Members:
    """Members of an archive that can be had in any order. One that has to be held in memory is unpacked once."""

    medium: MediaFile
    _archive: Opened | None = None
    _data: bytes | None = None

    def __post_init__(self) -> None:
        self._frames = _Frames(self.medium.parts, self._read)

    def sha256(self) -> str:
        self._archive = self._archive or opened(self.medium)
        if self.medium.kind == "frames":
            return self._frames.sha256()
        if self._in_place:
            with archives.open_member(self.medium.path, self.medium.parts[0].member) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        return hashlib.sha256(self._all()).hexdigest()

    def still(self) -> bytes:
        check_still(self.medium.bytes)
        return self._all()

    def video(self) -> BinaryIO:
        part = self.medium.parts[0]
        return archives.open_member(self.medium.path, part.member) if self._in_place else NamedBytes(self._all(), part.name)

    def frame(self, number: int) -> bytes:
        return self._frames.frame(number)

    def check(self) -> None:
        if self._archive is not None:
            self._archive.check()

    @property
    def _in_place(self) -> bool:
        """Can it be read without holding all of it?"""
        small = self.medium.kind == "image" and self.medium.bytes <= MOST_STILL_BYTES
        return self.medium.parts[0].offset is not None and not small

    def _all(self) -> bytes:
        if self._data is None:
            self._data = archives.read(self.medium.path, self.medium.parts[0].member)
        return self._data

    def _read(self, part: FilePart) -> bytes:
        check_still(part.bytes)
        return archives.read(self.medium.path, part.member)
