"""Listing raw data: every file under a dataset's root, members of archives included, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmidd.engine.files import digest, write_text
from mmidd.errors import DataError, MediaError, told
from mmidd.raw import archives
from mmidd.raw.archives import Contents, Member
from mmidd.raw.opened import Opened
from mmidd.raw.path import Place, RemotePath


@dataclass(frozen=True, slots=True)
class Stat:
    """What the file system says of a file: enough to trust an earlier digest of it.

    Of an archive's member: its size, the archive's times, the archive's path, and where its bytes lie (see Member).
    Of a folder of frames the times are stamps over all their names, sizes and times; of an object `mtime_ns` is its
    store's stamp, and there is no `ctime_ns`.
    """

    bytes: int
    mtime_ns: int
    archive: str | None = None
    offset: int | None = None
    ctime_ns: int | None = None


@dataclass(frozen=True)
class Listing:
    """Every file under a dataset's root, and the entries that are refused, with the reason.

    An archive that was opened is under `archives`; its members are among the files as `archive.zip/inner/name.jpg`.
    `empty` are the folders with nothing in them. `lies`: where a file or folder lies that is listed as if it lay elsewhere.
    """

    files: Mapping[str, Stat]
    refused: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, Stat] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    lies: Mapping[str, str] = field(default_factory=dict)

    def where(self, path: str) -> str:
        """Where it lies, below the dataset's root; an archive's name is a part of that."""
        return self.lies.get(path, path)

    def place(self, root: Place, path: str) -> Place:
        """Where a file, an archive, or a folder lies; of an object also what the listing said of it."""
        about = self.archives.get(path) or self.files.get(path)
        if about is None or isinstance(root, Path):
            return root / self.where(path)
        return root.at(self.where(path), about.bytes, about.mtime_ns)

    def member(self, path: str) -> Member:
        """An archive's member as the archive knows it."""
        about = self.files[path]
        return Member(self.where(path)[len(about.archive or "") + 1 :], about.bytes, about.offset)


def entries(data: Place) -> list[Place]:
    """What lies directly under the data root. Raises DataError."""
    try:
        return sorted(data.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read the data root {data}: {error.strerror}") from error


def locate(dataset: str, folders: Iterable[str], data: Place, under: Sequence[Place] | None = None) -> Place | None:
    """A dataset's folder under the data root (whose entries are `under`), by any of its accepted names; None where
    there is none. Raises DataError where there are two."""
    inside = entries(data) if under is None else under
    named = {name.casefold() for name in folders}
    found = [entry for entry in inside if entry.name.casefold() in named and entry.is_dir()]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise DataError(f"{dataset} is under {data} twice: {names}. Keep one, or rename the other.")
    return found[0] if found else None


def walk(root: Place) -> Listing:
    """List a dataset's folder without following a link out of it or into a loop. Raises DataError if unreadable."""
    if isinstance(root, RemotePath):
        found = root.walk()
        return Listing({name: Stat(*seen) for name, seen in found.objects.items()}, found.refused, empty=found.empty)
    files: dict[str, Stat] = {}
    refused: dict[str, str] = {}
    empty: list[str] = []
    inside = root.resolve()
    for entry, relative in _entries(root, refused, empty):
        try:
            relative.encode()
        except UnicodeEncodeError:
            refused[relative.encode(errors="backslashreplace").decode()] = "name is not UTF-8"
            continue
        about = _look(entry, inside)
        if isinstance(about, str):
            refused[relative] = about
        else:
            files[relative] = about
    return Listing(files, refused, empty=tuple(sorted(empty)))


def _entries(root: Path, refused: dict[str, str], empty: list[str]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every entry below `root` that is no folder, with its path from there. No recursion: depth is the data's choice."""
    folders: list[tuple[str, str]] = [(os.fspath(root), "")]
    while folders:
        folder, prefix = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise DataError(f"cannot read {folder}: {error.strerror}") from error
            refused[_shown(prefix)] = f"folder cannot be read: {told(error)}"
            continue
        if prefix and not entries:
            empty.append(_shown(prefix))
        for entry in entries:
            relative = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, relative))
            else:
                yield entry, relative


def _look(entry: os.DirEntry[str], inside: Path) -> Stat | str:
    """What there is to know of a file, or why it is refused."""
    if entry.is_symlink():
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):
            return "link to nothing"
        if not target.is_relative_to(inside):
            return "link that leaves the dataset's root"
        if target.is_dir():
            return "link to a folder: not followed"
    try:
        about = entry.stat()
    except OSError as error:
        return f"cannot be read: {told(error)}"
    if not stat.S_ISREG(about.st_mode):
        return "not a regular file"
    return Stat(about.st_size, about.st_mtime_ns, ctime_ns=about.st_ctime_ns)


def open_archives(
    dataset: str, found: Collection[str], root: Place, listing: Listing, kept: Path | None, *, keep: bool = True
) -> Listing:
    """The listing with the members of the archives `found`, which are among its files.

    To list a compressed tar is to unpack it once, so what was found is kept in the folder `kept` and holds while the
    archive has the same size and times; `keep=False` only reads there.
    """
    if not found:
        return listing
    files, refused = dict(listing.files), dict(listing.refused)
    opened: dict[str, Stat] = {}
    for path in found:
        about = files.pop(path)
        place = kept / f"{digest(dataset, path)}.json" if kept else None
        try:
            inside = _contents(listing.place(root, path), about, place, keep)
        except MediaError as error:
            refused[path] = told(error)
            continue
        except OSError as error:
            refused[path] = f"cannot be read: {told(error)}"
            continue
        if not inside.members and not inside.refused:
            refused[path] = "an archive without files"
            continue
        opened[path] = about
        refused.update((f"{path}/{name}", reason) for name, reason in inside.refused)
        for member in inside.members:
            files[f"{path}/{member.name}"] = Stat(member.bytes, about.mtime_ns, path, member.offset, about.ctime_ns)
    return Listing(files, refused, {**listing.archives, **opened}, listing.empty)


_CONTENTS_FORMAT = 3


def _contents(path: Place, about: Stat, place: Path | None, keep: bool) -> Contents:
    stamp = [_CONTENTS_FORMAT, about.bytes, about.mtime_ns, about.ctime_ns]
    known = _kept_contents(place, stamp) if place is not None else None
    if known is not None:
        return known
    opened = Opened(path, about.bytes, about.mtime_ns) if isinstance(path, Path) else None
    inside = archives.contents(path)
    if opened is not None:
        opened.check()
    if place is not None and keep:
        members = [[member.name, member.bytes, member.offset] for member in inside.members]
        text = json.dumps({"stamp": stamp, "members": members, "refused": inside.refused})
        write_text(place, text, scratch=place.parent)
    return inside


def _kept_contents(place: Path, stamp: list[int | None]) -> Contents | None:
    """The list of an archive's members as it was kept; None where there is none for this stamp, or it is broken."""
    try:
        saved = json.loads(place.read_text(encoding="utf-8"))
        if saved["stamp"] != stamp:
            return None
        members = tuple(Member(str(name), int(size), offset) for name, size, offset in saved["members"])
        return Contents(members, tuple((str(name), str(why)) for name, why in saved["refused"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None


def clip_stat(frames: Mapping[str, Stat]) -> Stat:
    """What stands for size and time of a folder of frames: any change to one of them changes it."""
    stamp, changed = hashlib.sha256(), hashlib.sha256()
    for name, about in sorted(frames.items()):
        stamp.update(f"{name}\0{about.bytes}\0{about.mtime_ns}\n".encode())
        changed.update(f"{about.ctime_ns}\n".encode())
    first, size = next(iter(frames.values())), sum(about.bytes for about in frames.values())
    ctime_ns = None if first.ctime_ns is None else int(changed.hexdigest()[:15], 16)
    return Stat(size, int(stamp.hexdigest()[:15], 16), first.archive, ctime_ns=ctime_ns)


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
