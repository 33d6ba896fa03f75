"""Shard: join pixels, labels, captions and verdicts into the corpus's rows, and write them as Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.media import pair_names
from mmidd.corpus.shards import Pictures, ShardLimits, partition, write_shard
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, sha256_file
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import BlobReader, content_digest, damaged, find, read_sound
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit, order_key
from mmidd.errors import WorkError
from mmidd.recipe import Recipe
from mmidd.schema import BY_NAME, COLUMNS, FORGERY_TYPES, LABELS, SCHEMA_VERSION, SPLITS

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

_LABELS = ("label", "forgery_type", "attack", "method", "target_id", "source_id", "license")
_CAPTIONS = ("face_caption", "environment_caption", "captioner", "caption_status")
_VERDICTS = ("id", "group", "split_basis", "pair")
LABELLED_BY = ("dataset", "media", "pair_dataset", "pair_media", *_LABELS)
JUDGED_BY = ("dataset", "media", "frame", "face", "drop", "split", *_VERDICTS)

_AT_ONCE = 1 << 10

_BLOBS = tuple(f"{what}_{part}" for what in ("image", "mask") for part in ("at", "bytes", "sha256"))
_SAMPLE = ("media", "frame", "face")
"""What names a sample within its dataset."""
_SOURCE, _ROW, _LABEL, _WORDS, _PLACE, _SIZE = "_source", "_row", "_label", "_words", "_place", "_size"


@dataclass(frozen=True)
class UnitFiles:
    """The committed crops of a unit, and its captions where a captioner ran."""

    rows: Path
    blobs: Path
    captions: Path | None


@dataclass(frozen=True)
class Images:
    """Where the images and masks of a shard lie, row by row.

    `rows` says of both: place and length in the blob file of that number, and sha256; null where there is no mask.
    """

    files: tuple[Path, ...]
    rows: pa.Table


@dataclass(frozen=True)
class ShardPayload:
    """One shard to write: every column but the images, and where those are."""

    target: Path
    columns: pa.Table
    images: Images


def config(recipe: Recipe) -> ShardLimits:
    """Take from the recipe what this stage reads."""
    return ShardLimits(recipe.shards.max_bytes, recipe.shards.row_group_rows, recipe.shards.row_group_bytes)


def ingredients(recipe: Recipe) -> dict[str, Any]:
    """What shapes a shard's bytes, its rows aside."""
    part = recipe.model_dump(mode="json", include={"shards"})
    return _ingredients(STAGE, part, libraries={"pyarrow": pa.__version__}, schema=SCHEMA_VERSION)


def plan(
    dataset: str,
    slug: str,
    sources: Sequence[UnitFiles],
    labels: pa.Table,
    verdicts: pa.Table,
    limits: ShardLimits,
    folder: Path,
) -> list[Unit]:
    """The shards of one dataset, one unit each. A sample that its verdict drops is not in the corpus.

    `labels` are the dataset's media (LABELLED_BY), `verdicts` those of its samples (JUDGED_BY), in any order. Nothing
    of them is ever a row of Python's: a million would take gigabytes.
    """
    stored, captions, labels = _stored(sources), _captions(sources), labels.combine_chunks()
    kept = _kept(verdicts, stored, labels, captions)
    units = []
    for split in SPLITS:
        mine = kept.filter(pc.equal(kept["split"], split))
        parts = partition(mine[_PLACE].to_numpy(), mine[_SIZE].to_numpy(), limits)
        for number, part in enumerate(parts):
            name = f"data/{split}-{slug}-{number:05d}-of-{len(parts):05d}.parquet"
            judged = mine.take(part)
            rows = stored.take(judged[_ROW])
            columns = _columns(rows, judged, labels.take(judged[_LABEL]), captions.take(judged[_WORDS]))
            units.append(_unit(dataset, name, columns, _images_of(rows, sources), folder))
    return units


def _stored(sources: Sequence[UnitFiles]) -> pa.Table:
    """The columns of everything that was extracted, each row with the number of its source."""
    tables = [read_sound(source.rows) for source in sources]
    tables = [table.append_column(_SOURCE, pa.repeat(number, table.num_rows)) for number, table in enumerate(tables)]
    return pa.concat_tables(tables, promote_options="default").combine_chunks() if tables else pa.table({})


def _kept(verdicts: pa.Table, stored: pa.Table, labels: pa.Table, captions: pa.Table) -> pa.Table:
    """The verdicts of the samples that are in the corpus, in its order: each with its rows in the other tables (null among
    the captions where there is none), its size, and its group's place."""
    kept = verdicts.filter(pc.is_null(verdicts["drop"]))
    if not kept.num_rows:
        return kept.append_column(_PLACE, pa.array([], pa.uint64())).append_column(_SIZE, pa.array([], pa.int64()))
    rows, described = (find(kept, table, _SAMPLE) for table in (stored, captions))
    labelled = find(kept, labels, ["media"])
    if rows.null_count or labelled.null_count:
        lost = max(rows.null_count, labelled.null_count)
        raise WorkError(f"curation judged {lost} samples that extraction or the index has not; run the same command again")
    sizes = stored.select(["image_bytes", "mask_bytes"]).take(rows)
    total = pc.add(sizes["image_bytes"], pc.coalesce(sizes["mask_bytes"], 0))
    found = {_ROW: rows, _LABEL: labelled, _WORDS: described, _SIZE: total, _PLACE: _places(kept["group"])}
    for name, column in found.items():
        kept = kept.append_column(name, column)
    return kept.sort_by([(name, "ascending") for name in (_PLACE, *_SAMPLE)]).combine_chunks()


def _places(groups: pa.ChunkedArray) -> pa.Array:
    """Where the groups lie in a corpus: by the hash of the anchor."""
    coded = groups.combine_chunks().dictionary_encode()
    anchors = (group.partition("/") for group in coded.dictionary.to_pylist())
    places = pa.array([int(order_key(dataset, media), 16) for dataset, _, media in anchors], pa.uint64())
    return places.take(coded.indices)


def _captions(sources: Sequence[UnitFiles]) -> pa.Table:
    """The captions of all samples that have any."""
    columns = [*_SAMPLE, *_CAPTIONS]
    tables = [read_sound(source.captions, columns) for source in sources if source.captions is not None]
    empty = pa.schema([(name, BY_NAME[name].type) for name in columns]).empty_table()
    return pa.concat_tables([empty, *tables]).combine_chunks()


def _columns(rows: pa.Table, judged: pa.Table, labels: pa.Table, captions: pa.Table) -> pa.Table:
    """Every column of the corpus but the images."""
    found = {name: rows[name] for name in rows.column_names}
    found |= {name: labels[name] for name in _LABELS} | {name: captions[name] for name in _CAPTIONS}
    found |= {name: judged[name] for name in _VERDICTS} | {"pair_media": pair_names(labels)}
    for name, words in (("label", LABELS), ("forgery_type", FORGERY_TYPES)):
        found[name] = pc.index_in(labels[name], value_set=pa.array(words), skip_nulls=True)
    light = pa.schema([(column.name, column.type) for column in COLUMNS if column.name not in ("image", "mask")])
    nothing = pa.nulls(rows.num_rows)
    return pa.table([pc.cast(found.get(name, nothing), light.field(name).type) for name in light.names], light)


def _images_of(rows: pa.Table, sources: Sequence[UnitFiles]) -> Images:
    numbers = rows[_SOURCE].to_numpy()
    used = sorted(set(numbers.tolist()), key=lambda number: sources[number].blobs)
    place = np.zeros(max(used, default=-1) + 1, np.int32)
    place[used] = np.arange(len(used))
    places = rows.select(_BLOBS).append_column("file", pa.array(place[numbers]))
    return Images(tuple(sources[number].blobs for number in used), places.combine_chunks())


def _unit(dataset: str, name: str, columns: pa.Table, images: Images, folder: Path) -> Unit:
    inputs = (name, content_digest(columns), content_digest(images.rows.select(["image_sha256", "mask_sha256"])))
    item = Item(dataset, name, inputs, ShardPayload(folder / name, columns, images))
    return Unit(name, (Task((item,)),))


def run(task: Task, config: ShardLimits, resources: Resources) -> Result:
    """Write the task's shards into the folder that is being built. Every image is checked against its digest."""
    rows, outcomes = [], []
    for item in task.items:
        payload: ShardPayload = item.payload
        temporary = payload.target.with_name(f"{payload.target.name}.tmp")
        with disk_errors(payload.target):
            payload.target.parent.mkdir(parents=True, exist_ok=True)
            write_shard(temporary, payload.columns, _pictures(payload.images), config)
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


def _pictures(images: Images) -> Iterator[Pictures]:
    for batch in images.rows.to_batches(max_chunksize=_AT_ONCE):
        for row in batch.to_pylist():
            file = images.files[row["file"]]
            yield _blob(file, row, "image") or b"", _blob(file, row, "mask")


def _blob(file: Path, row: Mapping[str, Any], what: str) -> bytes | None:
    if row[f"{what}_at"] is None:
        return None
    data = _reader(file).read(row[f"{what}_at"], row[f"{what}_bytes"]) or b""
    if hashlib.sha256(data).hexdigest() != row[f"{what}_sha256"]:
        _reader.cache_clear()  # or this process would go on with it when it is made again
        raise damaged(file, f"at byte {row[f'{what}_at']}")
    return data


@lru_cache(maxsize=64)
def _reader(path: Path) -> BlobReader:
    return BlobReader(path)


STAGE = Stage("shard", STAGE_VERSION, run, SCHEMA, row_order=())
