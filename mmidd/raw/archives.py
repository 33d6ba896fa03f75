"""Members of zip and tar archives, listed and read in place, on a disk or in an object store: nothing is unpacked to disk,
nothing inside is trusted.

Names that leave the archive, links, devices, archives in archives, and what unpacks to absurd sizes are refused with a
reason. Sizes are bounded before anything is allocated.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tarfile import EmptyHeaderError, EOFHeaderError, HeaderError  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, BinaryIO

from mmidd.errors import ChangedMedia, TooLargeMedia, UnreadableMedia
from mmidd.filestate import State, state
from mmidd.media import composed
from mmidd.raw import junk

if TYPE_CHECKING:
    from mmidd.raw.path import Place

ZIP, TAR, PACKED_TAR = (".zip",), (".tar",), (".tar.gz", ".tgz")
SUFFIXES = (*ZIP, *TAR, *PACKED_TAR)
NESTED = (*SUFFIXES, ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")

NESTED_ARCHIVE = "an archive in an archive: unpack the outer one, and the inner one is read"

MAX_MEMBERS = 2_000_000
MAX_TOTAL_BYTES = 4 * 2**40
MAX_MEMBER_BYTES = 2 * 2**30
"""Of members that have to be held in memory: those of a zip or of a compressed tar."""
MAX_RATIO = 200
"""How far anything may unpack. Pictures and videos hardly do; long runs of one byte reach a thousand."""
FREE_BYTES = 64 * 2**20
"""Unpacked bytes that are never held against an archive, whatever the ratio."""
_MAX_DIRECTORY = 512 * 2**20
_MAX_HEADER = 16 * 2**20
_PIECE = 2**20
_ZIP_END = 22
_MARKED_UTF8 = 0x800
_POINTER = 200
"""First bytes of a short member that are looked at: fewer than a tar's block, so that its next header is not passed."""

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error, EOFError, ValueError,
    NotImplementedError, RuntimeError, OverflowError, LookupError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. `offset` is where its bytes lie in an uncompressed tar, None in others."""

    name: str
    bytes: int
    offset: int | None = None


@dataclass(frozen=True)
class Contents:
    """All that an archive holds: members that can be read, and the names that are refused, with the reason; of litter only
    how much there is. Names are composed (Unicode's NFC)."""

    members: tuple[Member, ...]
    refused: tuple[tuple[str, str], ...]
    litter: int = 0


def is_archive(name: str) -> bool:
    """Does the name end as an archive's that can be read in place?"""
    return name.lower().endswith(SUFFIXES)


def is_sequential(name: str | Place) -> bool:
    """A compressed tar: its members can only be had by reading all that lies before them. Of a place whose name says nothing
    (what a link led to) its bytes are asked. Raises OSError."""
    return (_named(name) if isinstance(name, str) else _form(name)) == PACKED_TAR


def _named(name: str) -> tuple[str, ...] | None:
    return next((form for form in (ZIP, TAR, PACKED_TAR) if name.lower().endswith(form)), None)


def _form(path: Place) -> tuple[str, ...]:
    form = _named(path.name)
    if form is not None:
        return form
    with path.open("rb") as file:
        start = file.read(4)
    return ZIP if start[:2] == b"PK" else PACKED_TAR if start[:2] == b"\x1f\x8b" else TAR


def contents(path: Place) -> Contents:
    """List an archive. A compressed tar is unpacked for it once, in memory, piece by piece.

    Raises UnreadableMedia for a damaged one, TooLargeMedia for a bomb, OSError for the file system's own faults.
    """
    with _faults():
        every = list(_zip_members(path) if _form(path) == ZIP else _tar_members(path))
    found = [(name, about) for name, about in every if not junk.is_litter(name)]
    names = Counter(name for name, _ in found)
    members, refused = [], {}
    for name, about in found:
        if isinstance(about, str):
            refused[name] = about
        elif names[name] > 1:
            refused[name] = "stands twice in the archive"
        else:
            members.append(about)
    ordered = tuple(sorted(members, key=lambda member: member.name))
    return Contents(ordered, tuple(sorted(refused.items())), len(every) - len(found))


def read(path: Place, member: Member, most: int = MAX_MEMBER_BYTES) -> bytes:
    """The bytes of one member of at most `most` bytes. Of many in a compressed tar, ask `stream`.

    Raises UnreadableMedia, TooLargeMedia, OSError.
    """
    if member.bytes > most:
        raise TooLargeMedia(f"a member of {member.bytes} bytes; at most {most} are read")
    if is_sequential(path):
        data = next((data for _, data in stream(path, {member.name})), None)
    elif member.offset is not None:
        with path.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.bytes)
    else:
        with _faults():
            data = _zip_read(path, member)
    if data is None or len(data) != member.bytes:
        raise UnreadableMedia("the archive does not hold the member that it lists")
    return data


def open_member(path: Place, member: Member) -> BinaryIO:
    """A member as a file that can be read and sought: of an uncompressed tar in place, of others in memory.

    Raises as `read` does.
    """
    if member.offset is None or is_sequential(path):
        return NamedBytes(read(path, member), member.name)
    return io.BufferedReader(_Window(path, member))


def stream(path: Place, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The wanted members of a tar in the order in which they lie there: one pass, which ends with the last of them.

    Members beyond MAX_MEMBER_BYTES are left out. Raises UnreadableMedia, TooLargeMedia, OSError.
    """
    left = set(wanted)
    with _faults(), _tar_file(path) as file:
        for info in _infos(file):
            name = _plain(info.name)
            if name not in left or not info.isreg() or info.size > MAX_MEMBER_BYTES:
                continue
            file.seek(info.offset_data)
            data = _exactly(file, info.size)
            left.discard(name)
            yield name, data
            if not left:
                return


class NamedBytes(io.BytesIO):
    """Bytes with a file's name, by which a demuxer may know the format."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name.rpartition("/")[2]


class _Window(io.RawIOBase):
    """A stretch of a file as a file of its own."""

    def __init__(self, path: Place, member: Member) -> None:
        super().__init__()
        self.name = member.name.rpartition("/")[2]
        self._file = path.open("rb")
        self._start, self._size, self._at = member.offset or 0, member.bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


class _Guarded:
    """What the archive modules read from: no read beyond `most` at once (a header may declare any size). Where
    `packed` is given, it is the compressed file below: then only forward, and not beyond the ratio."""

    def __init__(self, file: BinaryIO, most: int, packed: BinaryIO | None = None) -> None:
        self._file, self._most, self._packed = file, most, packed
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        if size < 0:  # "all that is left": of a zip's end, never of a whole archive
            left = bytearray()
            while piece := self.read(_PIECE):
                left += piece
                if len(left) >= self._most:
                    raise TooLargeMedia("the archive has a header of an absurd size")
            return bytes(left)
        if size > self._most:
            raise TooLargeMedia("the archive has a header of an absurd size")
        if self._packed is None:
            return self._file.read(size)
        data = self._file.read(size)
        self._at += len(data)
        if (self._at > FREE_BYTES and self._at > MAX_RATIO * max(1, self._packed.tell())) or self._at > MAX_TOTAL_BYTES:
            raise TooLargeMedia(f"the archive unpacks to more than {MAX_RATIO} times its size")
        return data

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and place < 0:
            raise UnreadableMedia("the archive points before its own beginning")
        if self._packed is None:
            return self._file.seek(place, whence)
        if whence != os.SEEK_SET or place < self._at:
            raise UnreadableMedia("the archive points back into itself")
        while self._at < place and self.read(min(_PIECE, place - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        return self._at if self._packed is not None else self._file.tell()

    def seekable(self) -> bool:
        return True


@contextmanager
def _faults() -> Iterator[None]:
    """What the archive modules raise on damaged bytes, as a fault of the medium."""
    try:
        yield
    except EOFError as error:
        raise UnreadableMedia("the archive ends too early; was the download cut?") from error
    except _DAMAGE as error:
        raise UnreadableMedia(f"the archive is damaged or of an unknown form ({type(error).__name__})") from error


@contextmanager
def _tar_file(path: Place) -> Iterator[_Guarded]:
    with path.open("rb") as raw:
        if not is_sequential(path):
            yield _Guarded(raw, _MAX_HEADER)
            return
        with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
            yield _Guarded(unpacked, _MAX_HEADER, raw)  # type: ignore[arg-type]


class _Header(tarfile.TarInfo):
    """A tar's header that says so if it is damaged: to the tar module a bad one is as good as the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except EmptyHeaderError as error:
            raise EOFError from error
        except HeaderError as error:
            raise UnreadableMedia("the archive has a damaged header; download it again") from error


def _infos(file: _Guarded) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar, one after the other, without keeping them; at last a look at what follows its end mark."""
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "tarinfo": _Header}
    tar = tarfile.TarFile(fileobj=file, mode="r", **options)  # type: ignore[arg-type]
    last = -1
    for count in range(MAX_MEMBERS + 1):
        info = tar.next()
        tar.members = []  # type: ignore[attr-defined]
        if info is None:
            while piece := file.read(_PIECE):  # to its last byte, so that a compressed one's checksum is compared
                if piece.strip(b"\0"):
                    raise UnreadableMedia("the archive goes on behind its end mark: are two of them in one file?")
            return
        if info.size < 0 or info.offset <= last:
            raise UnreadableMedia("the archive points back into itself")
        if count == MAX_MEMBERS:
            raise TooLargeMedia(f"the archive has more than {MAX_MEMBERS} members")
        last = info.offset
        yield info


def _tar_members(path: Place) -> Iterator[tuple[str, Member | str]]:
    size, packed = path.stat().st_size, is_sequential(path)
    with _tar_file(path) as file:
        for info in _infos(file):
            if info.isdir():
                continue
            name = _plain(info.name)
            if not packed and info.offset_data + info.size > size:
                raise EOFError
            fault = _name_fault(name) or _tar_fault(info)
            if fault is None and info.size in junk.SHORT:
                file.seek(info.offset_data)
                fault = junk.pointer(file.read(_POINTER))
            yield _shown(name), fault or Member(name, info.size, None if packed else info.offset_data)


def _tar_fault(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "a link in an archive"
    if not info.isreg():
        return "not a regular file"
    return "a sparse file in an archive" if info.issparse() else None


def _zip_members(path: Place) -> Iterator[tuple[str, Member | str]]:
    with path.open("rb") as raw:
        _check_disk(raw)
    with path.open("rb") as raw, zipfile.ZipFile(_Guarded(raw, _MAX_DIRECTORY)) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise TooLargeMedia(f"the archive has more than {MAX_MEMBERS} members")
        if not _complete(raw, len(infos)):
            raise UnreadableMedia("the archive's directory has not as many members as it says; download it again")
        if sum(info.compress_size for info in infos) > path.stat().st_size:
            raise TooLargeMedia("the archive's members overlap")
        if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            raise TooLargeMedia(f"the archive unpacks to more than {MAX_TOTAL_BYTES} bytes")
        for info in infos:
            if info.is_dir():
                continue
            name = _plain(_zip_name(info))
            fault = _name_fault(name) or _zip_fault(info)
            if fault is None and info.file_size in junk.SHORT:
                with archive.open(info) as member:
                    fault = junk.pointer(member.read(_POINTER))
            yield _shown(name), fault or Member(name, info.file_size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name. One that is not marked as UTF-8 may be so for all that: macOS marks none."""
    if info.flag_bits & _MARKED_UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _end_record(raw: BinaryIO) -> bytes:
    """A zip's end record; empty where there is none."""
    raw.seek(max(0, raw.seek(0, os.SEEK_END) - _ZIP_END - 2**16))
    tail = raw.read()
    place = tail.rfind(b"PK\5\6")
    return tail[place:] if place >= 0 else b""


def _check_disk(raw: BinaryIO) -> None:
    """Raise UnreadableMedia for the last part of a zip that was split: its end record has that part's number."""
    number = int.from_bytes(_end_record(raw)[4:6], "little")
    if 0 < number < 0xFFFF:  # the latter: stated elsewhere, in 64 bits
        raise UnreadableMedia(f"the last part of a split zip of {number + 1} parts (.z01 ...): get all, join with zip -s 0")


def _complete(raw: BinaryIO, count: int) -> bool:
    """Does the end record state as many members as were found? Above 65,535 some programs state the rest only."""
    stated = int.from_bytes(_end_record(raw)[10:12], "little")
    return stated in (count % 2**16, 0xFFFF)  # the latter: stated elsewhere, in 64 bits


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "a link in an archive"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "not a regular file"
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed in a way that is not read"
    if info.file_size > 2**20 and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"it unpacks to more than {MAX_RATIO} times its size"
    return None


def _zip_read(path: Place, member: Member) -> bytes | None:
    archive, infos = _zip_open(path, state(path.stat()) if isinstance(path, Path) else path.stat())
    if member.name not in infos:
        return None
    with archive.open(infos[member.name]) as file:
        return file.read(member.bytes + 1)


@lru_cache(maxsize=4)
def _zip_open(path: Place, now: State) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """An open zip with its directory: a worker reads many members of one. In another state it is another file."""
    file = path.open("rb")
    if isinstance(path, Path) and state(os.fstat(file.fileno())) != now:
        raise ChangedMedia
    archive = zipfile.ZipFile(_Guarded(file, _MAX_DIRECTORY))
    return archive, {_plain(_zip_name(info)): info for info in archive.infolist()}


def _exactly(file: _Guarded, size: int) -> bytes:
    pieces = []
    while size and (piece := file.read(min(_PIECE, size))):
        pieces.append(piece)
        size -= len(piece)
    if size:
        raise UnreadableMedia("the archive ends within a member")
    return b"".join(pieces)


def _plain(name: str) -> str:
    """A member's name without the `./` that tar puts before it, composed."""
    name = composed(name)
    while name.startswith("./"):
        name = name[2:].lstrip("/") if name[2:3] == "/" else name[2:]
    return name


def _name_fault(name: str) -> str | None:
    """Why a name cannot be a path below the archive."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "name is not UTF-8"
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        return "not a plain relative path"
    return NESTED_ARCHIVE if name.lower().endswith(NESTED) else None


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
