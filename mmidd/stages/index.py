"""Index: every file under a dataset's root is a medium, a label file, a known sidecar, or listed as unmatched."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmidd import archives
from mmidd import manifest as manifests
from mmidd.archives import Contents, Member
from mmidd.engine.digests import DigestCache, Known
from mmidd.engine.files import digest, write_text
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.errors import DataError, ManifestError, MediaError, sanitised
from mmidd.manifest import Manifest
from mmidd.manifest.tables import MAX_LABEL_BYTES
from mmidd.remote.path import Place, RemotePath

_TEXT = pa.string()
SCHEMA = pa.schema(
    [
        ("dataset", _TEXT),
        ("media", _TEXT),
        ("status", _TEXT),
        ("reason", _TEXT),
        ("bytes", pa.int64()),
        ("kind", _TEXT),
        ("rule", _TEXT),
        ("label", _TEXT),
        ("forgery_type", _TEXT),
        ("method", _TEXT),
        ("compression", _TEXT),
        ("target_id", _TEXT),
        ("source_id", _TEXT),
        ("pair_dataset", _TEXT),
        ("pair_media", _TEXT),
        ("aligned", pa.bool_()),
        ("group_keys", pa.list_(_TEXT)),
        ("split", _TEXT),
        ("license", _TEXT),
        ("pair_candidates", pa.list_(_TEXT)),
        ("mask", _TEXT),
    ]
)


@dataclass(frozen=True, slots=True)
class Stat:
    """What the file system says of a file: enough to trust an earlier digest of it.

    Of an archive's member: its size, the archive's time, the archive's path, and where its bytes lie (see Member).
    Of a folder of frames `mtime_ns` is a stamp over all their names, sizes and times; of an object its store's.
    """

    bytes: int
    mtime_ns: int
    archive: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Listing:
    """Every file under a dataset's root, and the entries that are refused, with the reason.

    An archive that was opened is under `archives`; its members are among the files as `archive.zip/inner/name.jpg`.
    `empty` are the folders with nothing in them.
    """

    files: Mapping[str, Stat]
    refused: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, Stat] = field(default_factory=dict)
    empty: tuple[str, ...] = ()

    def place(self, root: Place, path: str) -> Place:
        """Where a file, an archive, or a folder lies; of an object also what the listing said of it."""
        about = self.archives.get(path) or self.files.get(path)
        if about is None or isinstance(root, Path):
            return root / path
        return root.at(path, about.bytes, about.mtime_ns)

    def member(self, path: str) -> Member:
        """An archive's member as the archive knows it."""
        about = self.files[path]
        return Member(path[len(about.archive or "") + 1 :], about.bytes, about.offset)


def entries(data: Place) -> list[Place]:
    """What lies directly under the data root. Raises DataError."""
    try:
        return sorted(data.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read the data root {data}: {error.strerror}") from error


def locate(manifest: Manifest, data: Place, under: Sequence[Place] | None = None) -> Place | None:
    """The dataset's folder under the data root (whose entries are `under`), by any of its accepted names; None where
    there is none."""
    inside = entries(data) if under is None else under
    found = [entry for entry in inside if is_folder_of(manifest, entry) and entry.is_dir()]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise DataError(f"{manifest.name} is under {data} twice: {names}. Keep one, or rename the other.")
    return found[0] if found else None


def is_folder_of(manifest: Manifest, folder: Place) -> bool:
    """Does the folder bear one of the dataset's accepted names?"""
    return folder.name.casefold() in {name.casefold() for name in manifest.folders}


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
            refused[_shown(prefix)] = f"folder cannot be read: {error.strerror}"
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
        return f"cannot be read: {error.strerror}"
    return Stat(about.st_size, about.st_mtime_ns) if stat.S_ISREG(about.st_mode) else "not a regular file"


def open_archives(manifest: Manifest, root: Place, listing: Listing, kept: Path | None, *, keep: bool = True) -> Listing:
    """The listing with the members of the archives that the manifest names.

    To list a compressed tar is to unpack it once, so what was found is kept in the folder `kept` and holds while the
    archive has the same size and time; `keep=False` only reads there.
    """
    found = manifests.archive_paths(manifest, listing.files)
    if not found:
        return listing
    files, refused = dict(listing.files), dict(listing.refused)
    opened: dict[str, Stat] = {}
    for path in found:
        about = files.pop(path)
        place = kept / f"{digest(manifest.name, path)}.json" if kept else None
        try:
            inside = _contents(listing.place(root, path), about, place, keep)
        except MediaError as error:
            refused[path] = sanitised(str(error))
            continue
        except OSError as error:
            refused[path] = f"cannot be read: {error.strerror}"
            continue
        if not inside.members and not inside.refused:
            refused[path] = "an archive without files"
            continue
        opened[path] = about
        refused.update((f"{path}/{name}", reason) for name, reason in inside.refused)
        for member in inside.members:
            files[f"{path}/{member.name}"] = Stat(member.bytes, about.mtime_ns, path, member.offset)
    return Listing(files, refused, opened, listing.empty)


_CONTENTS_FORMAT = 2


def _contents(path: Place, about: Stat, place: Path | None, keep: bool) -> Contents:
    stamp = [_CONTENTS_FORMAT, about.bytes, about.mtime_ns]
    known = _kept_contents(place, stamp) if place is not None else None
    if known is not None:
        return known
    inside = archives.contents(path)
    if place is not None and keep:
        members = [[member.name, member.bytes, member.offset] for member in inside.members]
        text = json.dumps({"stamp": stamp, "members": members, "refused": inside.refused})
        write_text(place, text, scratch=place.parent)
    return inside


def _kept_contents(place: Path, stamp: list[int]) -> Contents | None:
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
    stamp = hashlib.sha256()
    for name, about in sorted(frames.items()):
        stamp.update(f"{name}\0{about.bytes}\0{about.mtime_ns}\n".encode())
    first = next(iter(frames.values()))
    return Stat(sum(about.bytes for about in frames.values()), int(stamp.hexdigest()[:15], 16), first.archive)


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class Payload:
    """What indexing one dataset needs."""

    manifest: Manifest
    root: Place
    listing: Listing


STAGE_VERSION = 3


def ingredients(manifest: Manifest) -> dict[str, Any]:
    """What shapes a dataset's index beside its files."""
    return _ingredients(STAGE, {"dataset": manifest.name, "manifest": manifest.digest})


def plan(
    manifest: Manifest, root: Place, listing: Listing, digests: DigestCache | None = None, *, keep: bool = False
) -> Unit:
    """One unit a dataset; its inputs are all names and sizes, and the bytes of the label files.

    In an object store an unchanged label file is not read again if `digests` knows it; `keep` adds it there.
    """
    names = hashlib.sha256()
    for path in sorted(listing.files):
        names.update(f"{path}\0{listing.files[path].bytes}\n".encode())
    paths = manifests.label_paths(manifest, sorted(listing.files))
    for path in paths:
        if listing.files[path].bytes > MAX_LABEL_BYTES:
            raise DataError(f"the label file {root / path} has more than {MAX_LABEL_BYTES:,} bytes; is it one?")
    known = digests if isinstance(root, RemotePath) else None
    labels = {path: _label_digest(manifest.name, root, listing, path, known, keep=keep) for path in paths}
    inputs = (names.hexdigest(), digest(labels, dict(listing.refused), listing.empty))
    item = Item(manifest.name, ".", inputs, Payload(manifest, root, listing))
    return Unit(f"{manifest.name}/index", (Task((item,)),))


def _label_digest(dataset: str, root: Place, listing: Listing, path: str, digests: DigestCache | None, *, keep: bool) -> str:
    about = listing.files[path]
    known = digests.fresh(dataset, path, about.bytes, about.mtime_ns) if digests else None
    if known is not None:
        return known
    try:
        found = hashlib.sha256(label_bytes(root, listing, path)).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read the label file {root / path}: {error.strerror}") from error
    if digests and keep:
        digests.put(dataset, [(path, Known(about.bytes, about.mtime_ns, found))])
    return found


def label_bytes(root: Place, listing: Listing, path: str) -> bytes:
    """A label file's bytes, also from an archive. Raises DataError for an archive's or an object's fault, OSError."""
    archive = listing.files[path].archive
    try:
        if archive is None:
            return listing.place(root, path).read_bytes()
        return archives.read(listing.place(root, archive), listing.member(path), MAX_LABEL_BYTES)
    except MediaError as error:
        raise DataError(f"cannot read the label file {root / path}: {error}") from error


def run(task: Task, config: None, resources: Resources) -> Result:
    """Describe every file of each dataset in the task. Raises ManifestError for a broken label file."""
    results = [_describe(item) for item in task.items]
    return Result(pa.concat_tables([rows for rows, _ in results]), tuple(outcome for _, outcome in results))


def _describe(item: Item) -> tuple[pa.Table, Outcome]:
    payload: Payload = item.payload
    root, listing = payload.root, payload.listing
    try:
        accounting = manifests.describe(
            payload.manifest, sorted(listing.files), lambda path: label_bytes(root, listing, path)
        )
    except ManifestError as error:
        raise ManifestError(f"{item.dataset}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read a label file of {item.dataset} in {root}: {error.strerror}") from error
    clips = {
        name: clip_stat({path: listing.files[path] for path in frames.values()})
        for name, frames in accounting.frames.items()
    }
    others: list[tuple[str, str, str | None]] = [(path, "label file", None) for path in accounting.label_files]
    others += [(path, "unmatched", reason) for path, reason in accounting.unmatched]
    others += [(path, "refused", reason) for path, reason in listing.refused.items()]
    inside = sum(len(frames) - 1 for frames in accounting.frames.values())
    count = len(accounting.media) + len(others) + inside
    ignored = sum(accounting.ignored.values())
    if count + ignored != len(listing.files) + len(listing.refused):
        raise DataError(f"indexing {item.dataset} lost files: this is a fault of mmidd, please report it")
    facts = {
        "ignored": dict(accounting.ignored),
        "files": len(listing.files),
        "missing_label_files": list(accounting.missing_label_files),
        "missing_pairs": len(accounting.missing_pairs),
        "empty_folders": list(listing.empty),
    }
    outcome = Outcome(item.dataset, ".", "ok", item.inputs or (), facts=facts)
    known = {**listing.files, **clips}
    rows = pa.concat_tables([_media_rows(accounting.media, known), _other_rows(item.dataset, others)])
    return rows.sort_by("media").combine_chunks(), outcome


def _media_rows(media: Sequence[manifests.Medium], files: Mapping[str, Stat]) -> pa.Table:
    """The rows of media, column by column: a million rows as dicts would take a gigabyte."""
    given = {
        "status": pa.repeat("media", len(media)),
        "reason": pa.nulls(len(media), _TEXT),
        "bytes": pa.array((files[medium.media].bytes for medium in media), pa.int64(), size=len(media)),
        "license": _column(media, "licence", _TEXT),
    }
    columns = [given[name] if name in given else _column(media, name, SCHEMA.field(name).type) for name in SCHEMA.names]
    return pa.table(columns, schema=SCHEMA)


def _column(media: Sequence[manifests.Medium], name: str, kind: pa.DataType) -> pa.Array:
    return pa.array(map(attrgetter(name), media), kind, size=len(media))


def _other_rows(dataset: str, others: Sequence[tuple[str, str, str | None]]) -> pa.Table:
    """The rows of files that are no media: (path, status, reason)."""
    paths, statuses, reasons = zip(*others, strict=True) if others else ((), (), ())
    given = {
        "dataset": pa.repeat(dataset, len(others)),
        "media": pa.array(paths, _TEXT),
        "status": pa.array(statuses, _TEXT),
        "reason": pa.array(reasons, _TEXT),
    }
    return pa.table([given.get(each.name, pa.nulls(len(others), each.type)) for each in SCHEMA], schema=SCHEMA)


STAGE = Stage("index", STAGE_VERSION, run, SCHEMA, row_order=())
