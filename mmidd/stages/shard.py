"""Shard: join pixels, labels, captions and verdicts into the corpus's rows, and write them as Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.shards import Limits, Pictures, partition, write_shard
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, sha256_file
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import BlobReader, damaged, read_sound
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit, order_key
from mmidd.errors import WorkError
from mmidd.recipe import Recipe
from mmidd.schema import COLUMNS, FORGERY_TYPES, LABELS, SCHEMA_VERSION, SPLITS

STAGE_VERSION = 1
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("file", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("rows", pa.int64()),
    ]
)
"""A row for each file that was written; `media` is the file's name once more."""

_LABELS = ("label", "forgery_type", "method", "target_id", "source_id", "license")
_CAPTIONS = ("face_caption", "environment_caption", "captioner", "caption_status")
_VERDICTS = ("id", "group", "split_basis", "pair")
LABELLED_BY = ("dataset", "media", "pair_dataset", "pair_media", *_LABELS)
JUDGED_BY = ("dataset", "media", "frame", "face", "drop", "split", *_VERDICTS)

_SOURCE = "_source"

Name = tuple[str, str]
Place = tuple[str, str, int, int]


@dataclass(frozen=True)
class Source:
    """The committed crops of a unit, and its captions where a captioner ran."""

    rows: Path
    blobs: Path
    captions: Path | None


Blob = tuple[int, int, int, str]
"""Where an image lies: number of the blob file, place, length, sha256."""


@dataclass(frozen=True)
class Images:
    """Where the images and masks of a shard lie, row by row; no mask is None."""

    files: tuple[Path, ...]
    rows: tuple[tuple[Blob, Blob | None], ...]


@dataclass(frozen=True)
class Payload:
    """One shard to write: every column but the images, and where those are."""

    target: Path
    columns: pa.Table
    images: Images


def config(recipe: Recipe) -> Limits:
    """Take from the recipe what this stage reads."""
    return Limits(recipe.shards.max_bytes, recipe.shards.row_group_rows, recipe.shards.row_group_bytes)


def ingredients(recipe: Recipe) -> dict[str, Any]:
    """What shapes a shard's bytes, its rows aside."""
    part = recipe.model_dump(mode="json", include={"shards"})
    return _ingredients(STAGE, part, libraries={"pyarrow": pa.__version__}, schema=SCHEMA_VERSION)


def plan(
    dataset: str,
    slug: str,
    sources: Iterable[Source],
    labels: Mapping[Name, Mapping[str, Any]],
    verdicts: Mapping[Place, Mapping[str, Any]],
    limits: Limits,
    folder: Path,
) -> list[Unit]:
    """The shards of one dataset, one unit each. A sample that its verdict drops is not in the corpus.

    Of all samples only columns are held; they are rows one shard at a time.
    """
    sources = list(sources)
    kept, stored = _kept(sources, verdicts)
    captions = [_captions(source.captions) for source in sources]
    blobs = [source.blobs for source in sources]
    units = []
    for split in SPLITS:
        mine = sorted(sample for sample in kept if sample.split == split)
        parts = partition([sample.place for sample in mine], [sample.size for sample in mine], limits)
        for number, part in enumerate(parts):
            name = f"data/{split}-{slug}-{number:05d}-of-{len(parts):05d}.parquet"
            rows = _joined(stored.take([mine[row].row for row in part]), blobs, captions, labels, verdicts)
            units.append(_unit(dataset, name, rows, folder))
    return units


class _Kept(NamedTuple):
    """A sample of the corpus as its place in it is found; `row` is its place among all that were extracted."""

    place: str
    media: str
    frame: int
    face: int
    split: str
    size: int
    row: int


def _kept(sources: Sequence[Source], verdicts: Mapping[Place, Mapping[str, Any]]) -> tuple[list[_Kept], pa.Table]:
    """The samples that no verdict drops, and the columns of all, each with the number of its source."""
    kept: list[_Kept] = []
    tables: list[pa.Table] = []
    rows = 0
    for number, source in enumerate(sources):
        table = read_sound(source.rows)
        columns = (table[name].to_pylist() for name in ("dataset", "media", "frame", "face", "image_bytes", "mask_bytes"))
        for row, (dataset, media, frame, face, image, mask) in enumerate(zip(*columns, strict=True), rows):
            verdict = verdicts.get((dataset, media, frame, face))
            if verdict is not None and verdict["drop"] is None:
                anchor_dataset, _, anchor_media = verdict["group"].partition("/")
                place = order_key(anchor_dataset, anchor_media)
                kept.append(_Kept(place, media, frame, face, verdict["split"], image + (mask or 0), row))
        tables.append(table.append_column(_SOURCE, pa.repeat(number, table.num_rows)))
        rows += table.num_rows
    return kept, pa.concat_tables(tables, promote_options="default").combine_chunks() if tables else pa.table({})


def _joined(
    stored: pa.Table,
    blobs: Sequence[Path],
    captions: Sequence[Mapping[Place, Mapping[str, Any]]],
    labels: Mapping[Name, Mapping[str, Any]],
    verdicts: Mapping[Place, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = stored.to_pylist()
    for row in rows:
        place = (row["dataset"], row["media"], row["frame"], row["face"])
        about, verdict, source = labels[place[:2]], verdicts[place], row.pop(_SOURCE)
        row |= {name: about[name] for name in _LABELS}
        row |= captions[source].get(place, {})
        row |= {name: verdict[name] for name in _VERDICTS}
        row |= {
            "label": LABELS.index(about["label"]),
            "forgery_type": FORGERY_TYPES.index(about["forgery_type"]) if about["forgery_type"] else None,
            "pair_media": pair_name(about),
            "_file": blobs[source],
        }
    return rows


def _captions(path: Path | None) -> dict[Place, dict[str, Any]]:
    if path is None:
        return {}
    rows = read_sound(path).to_pylist()
    return {
        (row["dataset"], row["media"], row["frame"], row["face"]): {name: row[name] for name in _CAPTIONS} for row in rows
    }


def pair_name(about: Mapping[str, Any]) -> str | None:
    """The pair's path; with its dataset before it if that is another one."""
    if not about["pair_media"]:
        return None
    other = about["pair_dataset"] not in (None, about["dataset"])
    return f"{about['pair_dataset']}:{about['pair_media']}" if other else about["pair_media"]


def _unit(dataset: str, name: str, rows: Sequence[dict[str, Any]], folder: Path) -> Unit:
    light = [column for column in COLUMNS if column.name not in ("image", "mask")]
    columns = pa.table({c.name: pa.array([row.get(c.name) for row in rows], c.type) for c in light})
    files = sorted({row["_file"] for row in rows})
    number = {path: place for place, path in enumerate(files)}
    images = tuple(
        ((file, row["image_at"], row["image_bytes"], row["image_sha256"]), _mask_blob(file, row))
        for row, file in ((row, number[row["_file"]]) for row in rows)
    )
    content = hashlib.sha256()
    for row in columns.to_pylist():
        content.update(repr(sorted(row.items())).encode())
    masks = [mask[3] if mask else None for _, mask in images]
    inputs = (name, content.hexdigest(), digest([image[3] for image, _ in images], *([masks] if any(masks) else [])))
    item = Item(dataset, name, inputs, Payload(folder / name, columns, Images(tuple(files), images)))
    return Unit(name, (Task((item,)),))


def _mask_blob(file: int, row: Mapping[str, Any]) -> Blob | None:
    return (file, row["mask_at"], row["mask_bytes"], row["mask_sha256"]) if row["mask_at"] is not None else None


def run(task: Task, config: Limits, resources: Resources) -> Result:
    """Write the task's shards into the folder that is being built. Every image is checked against its digest."""
    rows, outcomes = [], []
    for item in task.items:
        payload: Payload = item.payload
        temporary = payload.target.with_name(f"{payload.target.name}.tmp")
        with disk_errors(payload.target):
            payload.target.parent.mkdir(parents=True, exist_ok=True)
            write_shard(temporary, _columns(payload.columns), _images(payload.images), config)
            fault("shard_written", payload.target, temporary)
        written = pq.read_metadata(temporary).num_rows
        if written != payload.columns.num_rows:
            raise WorkError(f"{payload.target} does not read back as it was written; is the disk sound?")
        facts = {"bytes": temporary.stat().st_size, "sha256": sha256_file(temporary), "rows": written}
        temporary.replace(payload.target)
        fault("shard_renamed", payload.target)
        rows.append({"dataset": item.dataset, "media": item.media, "file": item.media, **facts})
        outcomes.append(Outcome(item.dataset, item.media, "ok", item.inputs or (), facts=facts))
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(outcomes))


def _columns(table: pa.Table) -> dict[str, Any]:
    return {name: table[name].combine_chunks() for name in table.column_names}


def _images(images: Images) -> Iterator[Pictures]:
    for image, mask in images.rows:
        yield _read(images.files, image), _read(images.files, mask) if mask is not None else None


def _read(files: Sequence[Path], blob: Blob) -> bytes:
    number, at, size, sha256 = blob
    data = _reader(files[number]).read(at, size) or b""
    if hashlib.sha256(data).hexdigest() != sha256:
        _reader.cache_clear()  # or this process would go on with it when it is made again
        raise damaged(files[number], f"at byte {at}")
    return data


@lru_cache(maxsize=64)
def _reader(path: Path) -> BlobReader:
    return BlobReader(path)


STAGE = Stage("shard", STAGE_VERSION, run, SCHEMA, row_order=())
