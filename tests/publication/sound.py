"""Small corpora that `mmidd verify` finds no fault with, and manifests of their datasets: one free, one not, one silent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.manifest import Manifest, load_manifest
from mmidd.schema import FORGERY_TYPES, LABELS, media_schema, sample_id

LICENCE = "Made Licence"
FREE, CLOSED, SILENT = "Alpha", "Beta", "Gamma"
Rows = list[dict[str, Any]]


def corpus(
    folder: Path,
    change: Callable[[str, Rows], None] = lambda shard, rows: None,
    shards: Sequence[str] = made.SHARDS,
    lost: Sequence[Mapping[str, Any]] = (),
) -> Corpus:
    """Each shard has reals and fakes of them, one frame each; with a media table that fits. `change` alters rows before they
    are written, `lost` are more media, without rows: columns of the media table."""
    said: Rows = []

    def both(shard: str, rows: Rows) -> None:
        _sound(shard, rows)
        change(shard, rows)
        said.extend({**row, "shard": shard} for row in rows)

    made.corpus(folder, both, shards)
    media = pa.Table.from_pylist(sorted([*map(_medium, said), *lost], key=_name), media_schema())
    pq.write_table(media, folder / "media.parquet")
    (folder / "README.md").write_text(
        "---\nlicense: other\n---\n\n# made\n\n## Label files\n\nlists/secret.csv\n\n## Columns\n"
    )
    about = made.about(folder)
    for name in ("media.parquet", "README.md"):
        about["files"][name] = made.listed(folder / name)
    counted = media["dataset"].to_pylist()
    for dataset, found in about["index"].items():
        found |= {"media": counted.count(dataset), "lists": [{"path": "lists/secret.csv", "rows": 3, "notes": []}]}
    made.sign(folder, about)
    return Corpus(folder)


def _sound(shard: str, rows: Rows) -> None:
    for number, row in enumerate(rows):
        media, real = (f"{shard}/person{place}.mp4" for place in (number, number - number % 2))
        row |= {
            "media": media, "frame": 0, "media_sha256": digest(media), "license": LICENCE, "forgery_type": number % 2,
            "id": sample_id(row["dataset"], media, 0, 0), "group": f"{row['dataset']}/{real}",
            "pair": sample_id(row["dataset"], real, 0, 0) if number % 2 else None,
            "pair_media": real if number % 2 else None, "target_id": f"who{number}", "source_id": None,
            "caption_status": "ok", "captioner": "words-1", "box": [0.5, 1.0, 2.0, 3.0],
        }  # fmt: skip


def digest(media: str) -> str:
    return hashlib.sha256(media.encode()).hexdigest()


def _name(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["dataset"], row["media"]


def _medium(row: Mapping[str, Any]) -> dict[str, Any]:
    same = ("dataset", "media", "media_sha256", "method", "target_id", "source_id", "pair_media", "group", "split_basis")
    return {
        **{name: row[name] for name in same}, "license": row["license"], "kind": "video", "bytes": 5, "outcome": "ok",
        "label": LABELS[row["label"]], "forgery_type": FORGERY_TYPES[row["forgery_type"]],
        "split": row["shard"].split("-")[0], "geometry": "own", "frames_planned": 1, "frames_ok": 1,
        "frames_dropped": 0, "frames_failed": 0, "samples": 1, "frame_reasons": [],
    }  # fmt: skip


def lost(dataset: str, media: str, reason: str) -> dict[str, Any]:
    """A medium that gave no row."""
    return {"dataset": dataset, "media": media, "outcome": "dropped", "reason": reason, "samples": 0, "frame_reasons": []}


def manifest(dataset: str, *, redistributable: bool, derivatives: bool | None = None, licence: str = LICENCE) -> str:
    """A dataset's manifest."""
    more = "" if derivatives is None else f"\n  derivatives: {str(derivatives).lower()}"
    return f"""\
name: {dataset}
slug: {dataset.lower()}
year: 2024
folders: [{dataset}]
summary: made for tests
access: nowhere
citation: nobody
licence:
  id: other
  name: {licence}
  url: https://example.org/{dataset}
  redistributable: {str(redistributable).lower()}{more}
verified: true
type_basis: stated
rules:
  - id: all
    path: "{{any}}.mp4"
    label: real
fields:
  any: {{pattern: ".+", path: true}}
"""


def manifests() -> dict[str, Manifest]:
    """Of the three datasets: free, closed, and closed for derivatives too."""
    texts = (
        manifest(FREE, redistributable=True),
        manifest(CLOSED, redistributable=False),
        manifest(SILENT, redistributable=False, derivatives=False),
    )
    return {found.name: found for found in (load_manifest(text, "made") for text in texts)}


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
