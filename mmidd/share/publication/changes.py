"""What a publication has that the one before it had not, and the other way round, by dataset; and CHANGELOG.md of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import Shard
from mmidd.corpus.card import escape
from mmidd.schema import COLUMNS
from mmidd.share.publication.format import PIXELS, Publication
from mmidd.share.publication.opened import Opened

CHANGELOG = "CHANGELOG.md"
MOST_CHANGELOG = 4 << 20
COUNTS = ("added", "removed", "changed", "media_removed", "media_taken_down")
_KEPT = [column.name for column in COLUMNS if column.name not in PIXELS]
_DIGESTS = ("image_sha256", "mask_sha256")
"""What is compared of an image: proofs say no more."""
_AT_ONCE, _ROWS_AT_ONCE = 64, 1024


_ROW = pa.schema([("id", pa.string()), ("dataset", pa.string()), ("media", pa.string()), ("digest", pa.binary())])
"""A row as it is compared: `digest` is of the values of its columns."""


def changes(now: Opened, before: Opened | None) -> tuple[dict[str, Any], ...]:
    """By dataset, in the order of their names: rows `added`, `removed`, `changed` (the same id with another value in any
    column, or another image), media that gave rows and give none (`media_removed`), and those of them that the media table
    names as taken down (`media_taken_down`; what left the raw data as well is only removed). Datasets in which nothing
    changed are left out.

    Shards with the same digest in both are not read, but where something changed for their ids.
    """
    if before is None:
        added = {name: sum(splits.values()) for name, splits in now.about.rows.items()}
        return tuple({"dataset": name, **dict.fromkeys(COUNTS, 0), "added": added[name]} for name in sorted(added))
    same = _same(now, before)
    new, old = _rows(now, same), _rows(before, same)
    counted: dict[str, Counter[str]] = {}
    for what, table in _compared(new, old).items():
        for each in pc.value_counts(table["dataset"].drop_null()).to_pylist():
            counted.setdefault(each["values"], Counter())[what] = each["counts"]
    if gone := _media(old) - _media(new):
        gone -= _giving(now, same)
    down = _taken_down(now) if gone else set[tuple[str, str]]()
    for medium in gone:
        counted.setdefault(medium[0], Counter())["media_removed"] += 1
        counted[medium[0]]["media_taken_down"] += medium in down
    return tuple({"dataset": name, **{key: counted[name][key] for key in COUNTS}} for name in sorted(counted))


def _compared(new: pa.Table, old: pa.Table) -> dict[str, pa.Table]:
    """The rows that were added, removed, changed."""
    both = new.join(old.select(["id", "digest"]), "id", join_type="inner", right_suffix="_before")
    return {
        "added": new.join(old, "id", join_type="left anti"),
        "removed": old.join(new, "id", join_type="left anti"),
        "changed": both.filter(pc.not_equal(both["digest"], both["digest_before"])),
    }


def _media(table: pa.Table) -> set[tuple[str, str]]:
    """The media of rows."""
    found = table.select(["dataset", "media"]).drop_null().group_by(["dataset", "media"]).aggregate([])
    return {(row["dataset"], row["media"]) for row in found.to_pylist()}


def _file(opened: Opened, shard: Shard) -> str:
    return opened.about.files[shard.name].sha256


def _same(now: Opened, before: Opened) -> set[str]:
    """The digests of files with rows that both have."""
    return {_file(now, shard) for shard in now.shards} & {_file(before, shard) for shard in before.shards}


def _rows(opened: Opened, same: set[str]) -> pa.Table:
    """The rows of the shards that the other has not."""
    found = [_ROW.empty_table()]
    for shard in opened.shards:
        if _file(opened, shard) not in same:
            for part in _told(opened, shard):
                marks = [_mark([row[name] for name in (*_KEPT, *_DIGESTS)]) for row in part]
                columns = {name: [row[name] for row in part] for name in _ROW.names[:-1]}
                found.append(pa.table({**columns, "digest": marks}, schema=_ROW))
    return pa.concat_tables(found).combine_chunks()


def _mark(values: Sequence[Any]) -> bytes:
    return hashlib.sha256(repr(values).encode()).digest()[:16]


def _told(opened: Opened, shard: Shard) -> Iterator[list[dict[str, Any]]]:
    """The rows of a shard with the digests of their images, some at a time."""
    if not opened.complete:
        for batch in opened.batches(shard, [*_KEPT, *_DIGESTS], _ROWS_AT_ONCE):
            yield batch.to_pylist()
        return
    for batch in opened.batches(shard, [*_KEPT, *PIXELS], _AT_ONCE):
        yield [row | {f"{name}_sha256": _sha256(row.pop(name)) for name in PIXELS} for row in batch.to_pylist()]


def _sha256(picture: Mapping[str, Any] | None) -> str | None:
    return hashlib.sha256(picture["bytes"]).hexdigest() if picture and picture["bytes"] is not None else None


def _giving(now: Opened, same: set[str]) -> set[tuple[str, str]]:
    """The media that have rows in the shards that were not read."""
    found = set[tuple[str, str]]()
    for shard in now.shards:
        if _file(now, shard) in same:
            for batch in now.batches(shard, ["dataset", "media"]):
                found |= _media(pa.Table.from_batches([batch]))
    return found


def _taken_down(now: Opened) -> set[tuple[str, str]]:
    media: pa.Table = now.media
    down = media.filter(pc.fill_null(pc.equal(media["reason"], "excluded"), False)).select(["dataset", "media"])
    return {(row["dataset"], row["media"]) for row in down.to_pylist()}


def changelog(publication: Publication, before: bytes | None) -> bytes:
    """CHANGELOG.md: this version, then what that of the version before said of those before it."""
    text = (before or b"").decode("utf-8", "replace")
    start = text.find(_SECTION)
    earlier = text[start:] if start >= 0 else ""
    return f"{_TITLE}\n{section(publication)}\n{earlier}".rstrip().encode() + b"\n"


_TITLE = "# Changelog\n"
_SECTION = "## Version "
_WORDS = {
    "added": "rows added", "removed": "rows removed", "changed": "rows changed", "media_removed": "media gone",
    "media_taken_down": "of them taken down",
}  # fmt: skip


def section(publication: Publication) -> str:
    """What the changelog says of one version."""
    lines = [f"{_SECTION}{publication.version}\n", f"Made with mmidd {escape(publication.mmidd)}.\n"]
    if publication.redacted:
        lines.append(f"Redacted: {', '.join(publication.redacted)}.\n")
    if not publication.changes:
        return "\n".join([*lines, "No row changed.\n"])
    return "\n".join([*lines, _table(publication.changes)])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"| dataset | {' | '.join(_WORDS.values())} |", "|" + " --- |" * (len(COUNTS) + 1)]
    lines += [
        f"| {' | '.join([escape(str(row['dataset'])), *(f'{row.get(name, 0):,}' for name in COUNTS)])} |" for row in rows
    ]
    return "\n".join(lines) + "\n"
