"""Where the bytes of a medium lie, and how they are had: a file, a member of an archive, or many that make a clip.

What lies in an object store is copied to this machine first, so that decoders need to know nothing of it.
A compressed tar can only be read from its beginning, so all media of it that a task has are served by one pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from mmidd.engine.files import sha256_file
from mmidd.errors import CHANGED, MediaError, TooLargeMedia, UnreadableMedia
from mmidd.raw import archives
from mmidd.raw.archives import Member, NamedBytes
from mmidd.raw.cache import Copy
from mmidd.raw.path import Place, RemotePath

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.media import Kind

MOST_STILL_BYTES = 512 * 2**20
MOST_HELD_BYTES = 2 * 2**30
"""Of one medium, while a compressed tar passes by."""

_PIECE = 2**20
_AT_ONCE = 8
"""Frames of a clip that are fetched from an object store at the same time."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive that a medium lies in: its path below the dataset's root, and what the index saw of it."""

    name: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a medium: its name in the archive or in the folder, the number of the frame (0 where it is all)."""

    number: int
    name: str
    bytes: int
    mtime_ns: int
    offset: int | None = None

    @property
    def member(self) -> Member:
        return Member(self.name, self.bytes, self.offset)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """What has to be known of a medium to read it.

    `name` says where it lies below `root`: its file; of an archive's member the archive; of a clip of frames the folder or
    the archive. `parts` then says which files or members it consists of. (A path of its own for every one of a million media
    would take as much memory as all the rest of it.)
    """

    root: Place
    name: str
    kind: Kind
    bytes: int
    mtime_ns: int
    archive: Archive | None = None
    parts: tuple[FilePart, ...] = ()

    @property
    def path(self) -> Place:
        """Where it lies; of an object also what the listing said of it."""
        if isinstance(self.root, RemotePath) and (self.archive or self.kind != "frames"):
            seen = self.archive or self
            return self.root.at(self.name, seen.bytes, seen.mtime_ns)
        return self.root / self.name


class MediaBytes(Protocol):
    """The bytes of one medium. Every method raises MediaError where they cannot be had."""

    def sha256(self) -> str:
        """The digest of the bytes; of a clip of frames, of the lines that `sha256sum` prints of them in order."""
        ...

    def still(self) -> bytes:
        """An image file's bytes."""
        ...

    def video(self) -> Path | BinaryIO:
        """A video as a path, or as a file that can be sought."""
        ...

    def frame(self, number: int) -> bytes:
        """The bytes of a numbered frame."""
        ...


M = TypeVar("M")


def open_all(
    media: Iterable[tuple[M, MediaFile]], needed: Callable[[M], frozenset[int] | None]
) -> Iterator[tuple[M, MediaBytes]]:
    """The source of each medium, with what it was given with, in an order that reads a compressed tar once.

    `needed` names the frames of a clip that will be asked for (None: all): of others only the digest is taken.
    """
    sequential: dict[Place, list[tuple[M, MediaFile]]] = {}
    for key, medium in media:
        if medium.archive is None:
            yield key, _whole(medium)
        elif archives.is_sequential(medium.name):
            sequential.setdefault(medium.path, []).append((key, medium))
        else:
            yield key, _Members(medium)
    for path, members in sequential.items():
        yield from _one_pass(path, members, needed)


def clip_digest(digests: Iterable[tuple[str, str]]) -> str:
    """The digest of a clip from (name, sha256) of its frames in order: that of `sha256sum`'s lines on them."""
    lines = "".join(f"{sha256}  {name.rpartition('/')[2]}\n" for name, sha256 in digests)
    return hashlib.sha256(lines.encode()).hexdigest()


def _whole(medium: MediaFile) -> MediaBytes:
    """A medium that is a file, or a folder of them."""
    path = medium.path
    if isinstance(path, RemotePath):
        return _Clip(medium, path) if medium.kind == "frames" else _Object(medium, path)
    return _Folder(medium, path) if medium.kind == "frames" else _File(medium, path)


def _stat(path: Place, size: int, mtime_ns: int) -> None:
    try:
        about = path.stat()
    except OSError as error:
        raise UnreadableMedia(f"cannot be read: {error.strerror}") from error
    if (about.st_size, about.st_mtime_ns) != (size, mtime_ns):
        raise UnreadableMedia(CHANGED)


def _check_still(size: int) -> None:
    if size > MOST_STILL_BYTES:
        raise TooLargeMedia(f"an image file of more than {MOST_STILL_BYTES} bytes")


@dataclass(frozen=True)
class _File:
    medium: MediaFile
    path: Path

    def sha256(self) -> str:
        _stat(self.path, self.medium.bytes, self.medium.mtime_ns)
        try:
            return sha256_file(self.path)
        except OSError as error:
            raise UnreadableMedia(f"cannot be read: {error.strerror}") from error

    def still(self) -> bytes:
        _check_still(self.path.stat().st_size)
        return self.path.read_bytes()

    def video(self) -> Path:
        return self.path

    def frame(self, number: int) -> bytes:
        raise UnreadableMedia("a single file has no numbered frames")


@dataclass
class _Object:
    """A file in an object store: copied to this machine when its bytes are first asked for, and held there."""

    medium: MediaFile
    path: RemotePath
    _copy: Copy | None = None

    def sha256(self) -> str:
        return sha256_file(self.video())

    def still(self) -> bytes:
        _check_still(self.medium.bytes)
        return self.video().read_bytes()

    def video(self) -> Path:
        self._copy = self._copy or self.path.copy()
        return self._copy.path

    def frame(self, number: int) -> bytes:
        raise UnreadableMedia("a single file has no numbered frames")


@dataclass(frozen=True)
class _Folder:
    """A folder of numbered images."""

    medium: MediaFile
    path: Place

    def sha256(self) -> str:
        return clip_digest((part.name, hashlib.sha256(self._read(part)).hexdigest()) for part in self.medium.parts)

    def still(self) -> bytes:
        raise UnreadableMedia("a folder is no image")

    def video(self) -> Path:
        raise UnreadableMedia("a folder of frames is no video")

    def frame(self, number: int) -> bytes:
        return self._read(next(part for part in self.medium.parts if part.number == number))

    def _read(self, part: FilePart) -> bytes:
        path = self.path / part.name
        _stat(path, part.bytes, part.mtime_ns)
        _check_still(part.bytes)
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableMedia(f"cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class _Clip(_Folder):
    """A folder of numbered images in an object store: each is copied to this machine when it is first asked for."""

    path: RemotePath

    def sha256(self) -> str:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            digests = pool.map(lambda part: hashlib.sha256(self._read(part)).hexdigest(), self.medium.parts)
            return clip_digest(zip((part.name for part in self.medium.parts), digests, strict=True))

    def _read(self, part: FilePart) -> bytes:
        _check_still(part.bytes)
        return self.path.at(part.name, part.bytes, part.mtime_ns).read_bytes()


@dataclass(frozen=True)
class _Members:
    """Members of an archive that can be had in any order."""

    medium: MediaFile

    def sha256(self) -> str:
        self._check()
        if self.medium.kind == "frames":
            return clip_digest((part.name, hashlib.sha256(self._read(part)).hexdigest()) for part in self.medium.parts)
        with archives.open_member(self.medium.path, self.medium.parts[0].member) as file:
            found = hashlib.sha256()
            while piece := file.read(_PIECE):
                found.update(piece)
            return found.hexdigest()

    def still(self) -> bytes:
        return self._read(self.medium.parts[0])

    def video(self) -> BinaryIO:
        return archives.open_member(self.medium.path, self.medium.parts[0].member)

    def frame(self, number: int) -> bytes:
        return self._read(next(part for part in self.medium.parts if part.number == number))

    def _read(self, part: FilePart) -> bytes:
        _check_still(part.bytes)
        return archives.read(self.medium.path, part.member)

    def _check(self) -> None:
        archive = self.medium.archive
        if archive is not None:
            _stat(self.medium.path, archive.bytes, archive.mtime_ns)


@dataclass
class _Held:
    """A medium of a compressed tar: the digests of its parts, the bytes of those that are needed."""

    medium: MediaFile
    needed: frozenset[int] | None
    digests: dict[str, str] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    held: int = 0
    fault: MediaError | None = None

    def take(self, part: FilePart, data: bytes) -> None:
        self.digests[part.name] = hashlib.sha256(data).hexdigest()
        if self.needed is not None and part.number not in self.needed:
            return
        self.held += len(data)
        if self.held > MOST_HELD_BYTES:
            self.data.clear()
            self.fault = TooLargeMedia(f"more than {MOST_HELD_BYTES} bytes of a compressed tar would have to be held")
        else:
            self.data[part.number] = data

    @property
    def complete(self) -> bool:
        return len(self.digests) == len(self.medium.parts)

    def sha256(self) -> str:
        if self.complete:
            names = [part.name for part in self.medium.parts]
            if self.medium.kind != "frames":
                return self.digests[names[0]]
            return clip_digest((name, self.digests[name]) for name in names)
        raise self.fault or UnreadableMedia("the archive does not hold the member that it lists")

    def still(self) -> bytes:
        _check_still(self.medium.bytes)
        return self.frame(0)

    def video(self) -> BinaryIO:
        return NamedBytes(self.frame(0), self.medium.parts[0].name)

    def frame(self, number: int) -> bytes:
        if self.fault is not None or number not in self.data:
            raise self.fault or UnreadableMedia("the archive does not hold the member that it lists")
        return self.data[number]


def _one_pass(
    path: Place, members: list[tuple[M, MediaFile]], needed: Callable[[M], frozenset[int] | None]
) -> Iterator[tuple[M, MediaBytes]]:
    held = [(key, _Held(medium, needed(key))) for key, medium in members]
    owner: Mapping[str, tuple[M, _Held, FilePart]] = {
        part.name: (key, each, part) for key, each in held for part in each.medium.parts
    }
    fault: MediaError | None = None
    given: set[int] = set()
    try:
        archive = members[0][1].archive
        if archive is not None:
            _stat(path, archive.bytes, archive.mtime_ns)
        for name, data in archives.stream(path, owner):
            key, each, part = owner[name]
            each.take(part, data)
            if each.complete:
                given.add(id(each))
                yield key, each
                each.data.clear()
    except MediaError as error:
        fault = error
    except OSError as error:
        fault = UnreadableMedia(f"cannot be read: {error.strerror}")
    for key, each in held:
        if id(each) not in given:
            each.fault = each.fault or fault
            yield key, each
