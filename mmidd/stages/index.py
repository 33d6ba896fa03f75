"""Index: every file under a dataset's root is a medium, a label file, a known sidecar, or listed as unmatched, unlabelled (a
medium by its path that is lost for want of a label) or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import pyarrow as pa

from mmidd import manifest as manifests
from mmidd.engine.digests import DigestCache, Known
from mmidd.engine.files import digest
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.errors import DataError, ManifestError, MediaError
from mmidd.manifest import Manifest
from mmidd.manifest.places import LIES
from mmidd.manifest.tables import MAX_LABEL_BYTES
from mmidd.raw import archives
from mmidd.raw.disk import open_inside
from mmidd.raw.listing import Listing, Stat, clip_stat
from mmidd.raw.path import Place, RemotePath

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
LABELLED = SCHEMA.append(pa.field("attack", _TEXT))
"""The same with the family of presentation attacks, which follows from `method` and so is not committed."""


@dataclass(frozen=True)
class IndexPayload:
    """What indexing one dataset needs; `labels` are the digests of its label files that the unit's key holds."""

    manifest: Manifest
    root: Place
    listing: Listing
    labels: Mapping[str, str]


STAGE_VERSION = 4


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
        where = f"\0{listing.lies[path]}" if path in listing.lies else ""
        names.update(f"{path}\0{listing.files[path].bytes}{where}\n".encode())
    paths = manifests.label_paths(manifest, sorted(listing.files))
    for path in paths:
        if listing.files[path].bytes > MAX_LABEL_BYTES:
            raise DataError(f"the label file {root / path} has more than {MAX_LABEL_BYTES:,} bytes; is it one?")
    known = digests if isinstance(root, RemotePath) else None
    labels = {path: _label_digest(manifest.name, root, listing, path, known, keep=keep) for path in paths}
    inputs = (names.hexdigest(), digest(labels, dict(listing.refused), listing.empty))
    item = Item(manifest.name, ".", inputs, IndexPayload(manifest, root, listing, labels))
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
            place = listing.place(root, path)
            if isinstance(root, RemotePath) or isinstance(place, RemotePath):
                return place.read_bytes()
            with open_inside(root, place) as file:
                return file.read()
        return archives.read(listing.place(root, archive), listing.member(path), MAX_LABEL_BYTES)
    except MediaError as error:
        raise DataError(f"cannot read the label file {root / path}: {error}") from error


def run(task: Task, config: None, resources: Resources) -> Result:
    """Describe every file of each dataset in the task. Raises ManifestError for a broken label file."""
    results = [_describe(item) for item in task.items]
    return Result(pa.concat_tables([rows for rows, _ in results]), tuple(outcome for _, outcome in results))


def _describe(item: Item) -> tuple[pa.Table, Outcome]:
    payload: IndexPayload = item.payload
    root, listing = payload.root, payload.listing
    try:
        accounting = manifests.describe(
            payload.manifest, sorted(listing.files), lambda path: label_bytes(root, listing, path)
        )
    except ManifestError as error:
        raise ManifestError(f"{item.dataset}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read a label file of {item.dataset} in {root}: {error.strerror}") from error
    for each in accounting.lists:
        if payload.labels.get(each.path, each.sha256) != each.sha256:
            raise DataError(f"the label file {root / each.path} changed while it was read; run the same command again")
    clips = {
        name: clip_stat({path: listing.files[path] for path in frames.values()})
        for name, frames in accounting.frames.items()
    }
    others: list[tuple[str, str, str | None]] = [(path, "label file", None) for path in accounting.label_files]
    lost = accounting.unlabelled
    others += [(path, "unlabelled" if path in lost else "unmatched", reason) for path, reason in accounting.unmatched]
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
        "lists": [asdict(each) for each in accounting.lists],
        "partial_rules": list(accounting.partial_rules),
    }
    outcome = Outcome(item.dataset, ".", "ok", item.inputs or (), facts=facts)
    known = {**listing.files, **clips}
    rows = pa.concat_tables([_media_rows(accounting.media, known, listing.lies), _other_rows(item.dataset, others)])
    return rows.sort_by("media").combine_chunks(), outcome


def _media_rows(media: Sequence[manifests.Medium], files: Mapping[str, Stat], lies: Mapping[str, str]) -> pa.Table:
    """The rows of media, column by column: a million rows as dicts would take a gigabyte. Of a medium that `lies` beside
    its place the reason says where."""
    reasons = (LIES + lies[medium.media] if medium.media in lies else None for medium in media)
    given = {
        "status": pa.repeat("media", len(media)),
        "reason": pa.array(reasons, _TEXT, size=len(media)) if lies else pa.nulls(len(media), _TEXT),
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
