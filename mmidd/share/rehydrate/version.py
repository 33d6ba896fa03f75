"""What lies beside the shards of a rehydrated corpus: the original's own files where it is complete and exact, else
a media table, a card and an `mmidd.json` that tell what is not."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.about import MANIFEST, MEDIA, About, Listed
from mmidd.corpus.card import partial
from mmidd.corpus.target import manifest_bytes
from mmidd.media import Name
from mmidd.schema import media_schema, written_media
from mmidd.share.rehydrate.compared import STATUSES, Status
from mmidd.share.rehydrate.shards import Written

README = "README.md"
REHYDRATED = "rehydrated"
"""The key of `mmidd.json` that only a corpus has that is not the original byte for byte."""
NOT_REHYDRATED, NOT_SELECTED = "not_rehydrated", "not_selected"
"""Why a medium has no rows, or fewer: they could not be made again; its dataset was not asked for."""


@dataclass(frozen=True)
class Original:
    """The corpus that was published: its `mmidd.json`, parsed and as bytes, card and media table."""

    about: About
    manifest: bytes
    card: bytes
    media: bytes

    @property
    def sha256(self) -> str:
        """Names it: of its `mmidd.json`, which lists all else."""
        return hashlib.sha256(self.manifest).hexdigest()


@dataclass
class Tally:
    """What became of all published rows: by dataset and status, and of each medium how many are left out and why."""

    rows: dict[str, Counter[Status]] = field(default_factory=dict)
    kept: int = 0
    left_out: Counter[Name] = field(default_factory=Counter)
    gone: set[str] = field(default_factory=set)
    """Ids of the rows that are not in the corpus."""

    def add(self, names: Sequence[tuple[str, str, str]], written: Written) -> None:
        """The rows of a shard, by (id, dataset, media)."""
        kept = set(written.kept)
        self.kept += len(kept)
        for number, ((name, dataset, media), each) in enumerate(zip(names, written.rows, strict=True)):
            self.rows.setdefault(dataset, Counter())[each.status] += 1
            if number not in kept:
                self.left_out[dataset, media] += 1
                self.gone.add(name)

    @property
    def statuses(self) -> Counter[Status]:
        """Rows by status."""
        return sum(self.rows.values(), Counter[Status]())


@dataclass(frozen=True)
class Told:
    """What a corpus that is not the original says of that: which publication, what was accepted and asked for, which
    libraries differ (name: there, here), whose captions were withheld."""

    publication: Mapping[str, Any]
    accept: str
    only: Sequence[str]
    libraries: Mapping[str, tuple[str, str]]
    captions_withheld: Sequence[str]


def notes(
    original: Original, written: Sequence[Written], tally: Tally, told: Told, skipped: Mapping[Name, int]
) -> dict[str, bytes]:
    """The files beside the shards, `mmidd.json` last. `skipped`: rows of media that were not asked for."""
    listed = original.about.files
    if not skipped and all(each.sha256 == listed[each.name].sha256 for each in written):
        return {MEDIA: original.media, README: original.card, MANIFEST: original.manifest}
    here = [each for each in written if each.bytes]
    files = {each.name: Listed(each.bytes, each.sha256, len(each.kept)) for each in here}
    media = _media(original.media, tally.left_out, skipped)
    card = partial(original.card.decode("utf-8", "replace"), original.about, files, _words(tally, told, skipped))
    beside = {MEDIA: media, README: card.encode()}
    files |= {name: Listed(len(data), hashlib.sha256(data).hexdigest()) for name, data in beside.items()}
    rows = {name: {status: found[status] for status in STATUSES if found[status]} for name, found in tally.rows.items()}
    about = {
        **original.about.content,
        "files": {name: each.document() for name, each in files.items()},
        REHYDRATED: {
            "publication": dict(told.publication), "original": original.sha256, "accept": told.accept,
            "only": list(told.only), "rows": rows, "not_selected": sum(skipped.values()), "written": tally.kept,
            "libraries": {name: list(each) for name, each in told.libraries.items()},
            "captions_withheld": list(told.captions_withheld),
        },
    }  # fmt: skip
    return {**beside, MANIFEST: manifest_bytes(about)}


def _words(tally: Tally, told: Told, skipped: Mapping[Name, int]) -> str:
    """What the card of such a corpus says first."""
    published = sum(tally.statuses.values()) + sum(skipped.values())
    said = [
        "This is a rehydrated copy of a publication, and not the original bit for bit: "
        f"{tally.kept:,} of {published:,} rows."
    ]
    if told.only:
        said.append(f"Only {', '.join(told.only)} was asked for.")
    counted = tally.statuses
    ends: dict[Status, str] = {"pixels": "have other bytes and equal pixels", "within_1": "differ by at most one grey level",
            "differs": "differ by more", "missing": "could not be made again"}  # fmt: skip
    said += [f"{counted[status]:,} rows {words}." for status, words in ends.items() if counted[status]]
    if told.captions_withheld:
        said.append(f"The captions of {', '.join(told.captions_withheld)} were not published.")
    said.append(
        "What stands below tells of the original; this copy is told of by media.parquet, and by mmidd.json under rehydrated."
    )
    return " ".join(said)


def _media(data: bytes, left_out: Mapping[Name, int], skipped: Mapping[Name, int]) -> bytes:
    """The media table, where rows are left out: the medium has fewer samples, and a reason for each that it lacks."""
    if not left_out and not skipped:
        return data
    schema = media_schema()
    table = pq.read_table(io.BytesIO(data))
    for name in (each for each in schema.names if each not in table.schema.names):
        table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
    rows = table.select(schema.names).to_pylist()
    for row in rows:
        name = (row["dataset"], row["media"])
        lost, why = (skipped[name], NOT_SELECTED) if name in skipped else (left_out.get(name, 0), NOT_REHYDRATED)
        if lost:
            samples = (row["samples"] or 0) - lost
            reasons = {each["reason"]: each["count"] for each in row["frame_reasons"] or ()}
            reasons[why] = reasons.get(why, 0) + lost
            row |= {
                "samples": max(0, samples),
                "frame_reasons": [{"reason": each, "count": reasons[each]} for each in sorted(reasons)],
            }
            row |= {} if samples > 0 else {"outcome": "dropped", "reason": why}
    out = io.BytesIO()
    pq.write_table(written_media(pa.Table.from_pylist(rows, schema)), out, compression="zstd")
    return out.getvalue()
