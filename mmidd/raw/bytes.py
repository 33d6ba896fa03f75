"""Where the bytes of a medium lie, and how they are had: a file, a member of an archive, or many that make a clip.

What lies in an object store is copied to this machine first, so that decoders need to know nothing of it.
A compressed tar can only be read from its beginning, so all media of it that a task has are served by one pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from mmidd.errors import MediaError, TooLargeMedia, UnreadableMedia, told
from mmidd.raw import archives, sources
from mmidd.raw.archives import Member, NamedBytes
from mmidd.raw.junk import HEAD, holds
from mmidd.raw.opened import Opened
from mmidd.raw.path import Place, RemotePath
from mmidd.raw.sources import clip_digest as clip_digest

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.media import Inside, Kind

MOST_HELD_BYTES = 2 * 2**30
"""Of one medium, while a compressed tar passes by."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive that a medium lies in: its path below the dataset's root, and what the index saw of it."""

    name: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a medium: its name in the archive or in the folder, the number of the frame (0 where it is all).

    `place` is where it lies, from the folder or in full, where that is not its name.
    """

    number: int
    name: str
    bytes: int
    mtime_ns: int
    offset: int | None = None
    place: str | None = None

    @property
    def path(self) -> str:
        """Where it lies, from the folder or in full."""
        return self.place or self.name

    @property
    def member(self) -> Member:
        return Member(self.name, self.bytes, self.offset)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """What has to be known of a medium to read it.

    `name` says where it lies below `root`: its file; of an archive's member the archive; of a clip of frames the folder or
    the archive. `parts` then says which files or members it has; `inside` where the frames of an HDF5 file lie in it.
    (A path of its own for every one of a million media would take as much memory as all the rest of it.)
    """

    root: Place
    name: str
    kind: Kind
    bytes: int
    mtime_ns: int
    archive: Archive | None = None
    parts: tuple[FilePart, ...] = ()
    ctime_ns: int | None = None
    inside: Inside | None = None

    @property
    def path(self) -> Place:
        """Where it lies; of an object also what the listing said of it."""
        if isinstance(self.root, RemotePath) and (self.archive or self.kind != "frames"):
            seen = self.archive or self
            return self.root.at(self.name, seen.bytes, seen.mtime_ns)
        return self.root / self.name

    @property
    def numbers(self) -> list[int]:
        """Of a clip of frames, those of its frames."""
        return [part.number for part in self.parts]


class MediaBytes(Protocol):
    """The bytes of one medium. Every method raises MediaError where they cannot be had, ChangedMedia where they are no more
    what was listed, or what was digested."""

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

    def check(self) -> None:
        """Raises ChangedMedia where a file is not what it was when it was read: to be asked when its last byte was used."""
        ...


def lies_instead(file: MediaFile, source: MediaBytes) -> str | None:
    """What lies there for a medium that cannot be decoded (a web page, a pointer), where its first bytes say so."""
    try:
        if file.kind == "frames":
            return None
        if file.kind == "image":
            return holds(source.still()[:HEAD])
        video = source.video()
        with video.open("rb") if isinstance(video, Path) else video as opened:
            return holds(opened.read(HEAD))
    except (OSError, MediaError):
        return None


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
            yield key, sources.of_file(medium)
        elif archives.is_sequential(medium.archive.name):
            sequential.setdefault(medium.path, []).append((key, medium))
        else:
            yield key, sources.Members(medium)
    for path, members in sequential.items():
        yield from _one_pass(path, members, needed)


def open_one(file: MediaFile) -> MediaBytes:
    """The source of one medium, all of whose bytes can be had for as long as it is used: of a compressed tar it keeps them,
    where `open_all` lets them go when it goes on."""
    return next(source for _, source in open_all([(file, file)], lambda _: None))


@dataclass
class _Held:
    """A medium of a compressed tar: the digests of its parts, the bytes of those that are needed."""

    medium: MediaFile
    needed: frozenset[int] | None
    archive: Opened | None = None
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
        sources.check_still(self.medium.bytes)
        return self.frame(0)

    def video(self) -> BinaryIO:
        return NamedBytes(self.frame(0), self.medium.parts[0].name)

    def frame(self, number: int) -> bytes:
        if self.fault is not None or number not in self.data:
            raise self.fault or UnreadableMedia("the archive does not hold the member that it lists")
        return self.data[number]

    def check(self) -> None:
        if self.archive is not None:
            self.archive.check()


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
        opened = sources.opened(members[0][1])
        for _, each in held:
            each.archive = opened
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
        fault = UnreadableMedia(f"cannot be read: {told(error)}")
    for key, each in held:
        if id(each) not in given:
            each.fault = each.fault or fault
            yield key, each
