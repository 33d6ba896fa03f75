"""Listing raw data: every file under a dataset's root, members of archives included, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from unicodedata import is_normalized

from mmidd.engine.files import digest, write_text
from mmidd.errors import DataError, MediaError, told
from mmidd.media import composed
from mmidd.raw import archives, disk, junk
from mmidd.raw.archives import Contents, Member
from mmidd.raw.opened import Opened
from mmidd.raw.path import Place, RemotePath
from mmidd.raw.store import Listed, Seen

_AT_ONCE = 8
"""Short objects of a store that are looked into at the same time."""


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
    `at`: where a file or a folder (and all in it) lies whose name the disk spells otherwise, or that a link leads to: below
    the root, or in full. `litter` files were passed by; `links` are those refused links, with what they lead to, that
    could be followed if that were allowed.
    """

    files: Mapping[str, Stat]
    refused: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, Stat] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    lies: Mapping[str, str] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    litter: int = 0
    links: Mapping[str, str] = field(default_factory=dict)

    def disk(self, path: str) -> str:
        """Where it lies, as the disk (or the store) spells it: below the root, or in full."""
        return _lies(self.where(path), self.at)

    def where(self, path: str) -> str:
        """Where it lies, below the dataset's root; an archive's name is a part of that."""
        return self.lies.get(path, path)

    def place(self, root: Place, path: str) -> Place:
        """Where a file, an archive, or a folder lies; of an object also what the listing said of it."""
        about = self.archives.get(path) or self.files.get(path)
        if about is None or isinstance(root, Path):
            return root / self.disk(path)
        return root.at(self.disk(path), about.bytes, about.mtime_ns)

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
    named = {_folded(name) for name in folders}
    found = [entry for entry in inside if _folded(entry.name) in named and entry.is_dir()]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise DataError(f"{dataset} is under {data} twice: {names}. Keep one, or rename the other.")
    return found[0] if found else None


def _folded(name: str) -> str:
    return composed(name).casefold()


def walk(root: Place, follow: Sequence[Path] = ()) -> Listing:
    """List a dataset's folder, links that lead into one of the folders `follow` included. Raises DataError if unreadable.

    Litter is counted and not listed. Names are composed (Unicode's NFC), whatever the disk has.
    """
    found = root.walk() if isinstance(root, RemotePath) else disk.listed(root, follow)
    seen, refused, at = _composed(found)
    files = {name: Stat(*about[:2], ctime_ns=about.st_ctime_ns) for name, about in seen.items()}
    listing = Listing(files, refused, {}, found.empty, {}, at, found.litter, found.links)
    told = {**_unfinished(files), **_pointers(root, listing)}
    left = {path: about for path, about in files.items() if path not in told} if told else files
    return replace(listing, files=left, refused={**refused, **told})


def _unfinished(files: Mapping[str, Stat]) -> dict[str, str]:
    """The files that are not whole by what their program left beside them (the name of others says so itself)."""
    beside = (path.removesuffix(junk.BESIDE) for path in files if path.endswith(junk.BESIDE))
    return {path: f"{junk.UNFINISHED} ({junk.BESIDE} lies beside it)" for path in beside if path in files}


def _composed(found: Listed) -> tuple[dict[str, Seen], dict[str, str], dict[str, str]]:
    """The files, what is refused and where things lie, by composed names. Two that are one then are refused."""
    refused, at = dict(found.refused), dict(found.at)
    if all(map(_is_composed, found.objects)):
        return dict(found.objects), refused, at
    spelled: dict[str, set[str]] = defaultdict(set)
    for path in found.objects:
        for part in () if path.isascii() else _prefixes(path):
            spelled[composed(part)].add(part)
    files: dict[str, Seen] = {}
    at = {composed(path): place for path, place in at.items()}
    for path, seen in found.objects.items():
        parts = [] if path.isascii() else _prefixes(path)
        if any(len(spelled[composed(part)]) > 1 for part in parts):
            refused[path] = "another name differs from it in its Unicode form alone (NFC, NFD): keep one of them"
            continue
        files[composed(path)] = seen
        for part in parts:
            if not _is_composed(part.rpartition("/")[2]):
                at.setdefault(composed(part), _lies(part, found.at))
    return files, refused, at


def _is_composed(name: str) -> bool:
    return name.isascii() or is_normalized("NFC", name)


def _prefixes(path: str) -> list[str]:
    """The folders above a path, and itself."""
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _lies(path: str, at: Mapping[str, str]) -> str:
    """Where a path lies, by the longest part of it that says so."""
    head = path if at else ""
    while head:
        if head in at:
            return at[head] + path[len(head) :]
        head = head.rpartition("/")[0]
    return path


def _pointers(root: Place, listing: Listing) -> dict[str, str]:
    """The files in whose place a pointer lies (of Git LFS, of git-annex), with what it is."""
    short = junk.SHORT if isinstance(root, Path) else junk.SHORT_OBJECTS
    paths = [path for path, about in listing.files.items() if about.bytes in short]
    read = partial(_head, root, listing)
    if isinstance(root, Path) or not paths:
        heads = list(map(read, paths))
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            heads = list(pool.map(read, paths))
    return {path: told for path, head in zip(paths, heads, strict=True) if (told := junk.pointer(head))}


def _head(root: Place, listing: Listing, path: str) -> bytes:
    """A short file's bytes; none where they cannot be had, which whoever reads it tells."""
    place = listing.place(root, path)
    try:
        if isinstance(root, RemotePath) or isinstance(place, RemotePath):
            return place.read_bytes()
        with disk.open_inside(root, place) as file:
            return file.read(junk.HEAD)
    except (OSError, MediaError):
        return b""


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
    litter = 0
    for path in found:
        about = files.pop(path)
        place = kept / f"{digest(dataset, path)}.json" if kept else None
        try:
            inside = _contents(root, listing.place(root, path), about, place, keep)
        except MediaError as error:
            refused[path] = _instead(root, listing, path) or told(error)
            continue
        except OSError as error:
            refused[path] = f"cannot be read: {told(error)}"
            continue
        if not inside.members and not inside.refused:
            refused[path] = "an archive without files"
            continue
        opened[path] = about
        litter += inside.litter
        refused.update((f"{path}/{name}", reason) for name, reason in inside.refused)
        for member in inside.members:
            files[f"{path}/{member.name}"] = Stat(member.bytes, about.mtime_ns, path, member.offset, about.ctime_ns)
    both = {**listing.archives, **opened}
    return replace(listing, files=files, refused=refused, archives=both, litter=listing.litter + litter)


def _instead(root: Place, listing: Listing, path: str) -> str | None:
    """What a file is that is no archive by its bytes, where that can be told."""
    try:
        with listing.place(root, path).open("rb") as file:
            return junk.holds(file.read(junk.HEAD))
    except (OSError, MediaError):
        return None


_CONTENTS_FORMAT = 4


def _contents(root: Place, path: Place, about: Stat, place: Path | None, keep: bool) -> Contents:
    stamp = [_CONTENTS_FORMAT, about.bytes, about.mtime_ns, about.ctime_ns]
    known = _kept_contents(place, stamp) if place is not None else None
    if known is not None:
        return known
    opened = Opened(path, about.bytes, about.mtime_ns, root) if isinstance(path, Path) else None
    inside = archives.contents(path)
    if opened is not None:
        opened.check()
    if place is not None and keep:
        members = [[member.name, member.bytes, member.offset] for member in inside.members]
        text = json.dumps({"stamp": stamp, "members": members, "refused": inside.refused, "litter": inside.litter})
        write_text(place, text, scratch=place.parent)
    return inside


def _kept_contents(place: Path, stamp: list[int | None]) -> Contents | None:
    """The list of an archive's members as it was kept; None where there is none for this stamp, or it is broken."""
    try:
        saved = json.loads(place.read_text(encoding="utf-8"))
        if saved["stamp"] != stamp:
            return None
        members = tuple(Member(str(name), int(size), offset) for name, size, offset in saved["members"])
        return Contents(members, tuple((str(name), str(why)) for name, why in saved["refused"]), int(saved["litter"]))
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
