"""`labels/`: every row of a corpus without its pixels, with what proves them made again; one file a shard, in workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.about import Listed, Shard
from mmidd.corpus.pictures import decoded
from mmidd.corpus.read import Corpus
from mmidd.engine.apart import each_of
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, sha256_file
from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.units import Crash, Item, Resources, Task
from mmidd.errors import CorpusError, ShareError
from mmidd.schema import COLUMNS
from mmidd.share.publication.format import PIXELS, PROOF_COLUMNS, labels_name, labels_schema
from mmidd.share.publication.proofs import proof
from mmidd.watch import Watch

_SCHEMA = labels_schema()
_KEPT = tuple(column.name for column in COLUMNS if column.name not in PIXELS)
_AT_ONCE = 64
_CDC = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
_HERE_BYTES = 32 << 20
"""Shards that together have no more are done in this process: others would take as long to start."""


@dataclass(frozen=True)
class Asked:
    """Which corpus, and in which folder its labels are written."""

    corpus: str
    folder: Path


def write_labels(
    corpus: Corpus, folder: Path, shards: Sequence[Shard], *, workers: int | None, watch: Watch
) -> dict[str, Listed]:
    """Write the labels of these shards into a folder, several at once; those that are there already stay: a file is there
    as a whole or not at all. Gives how each is listed. Raises CorpusError for images that are none."""
    missing = [shard for shard in shards if not (folder / labels_name(shard.name)).is_file()]
    engine = _engine(missing, workers)
    try:
        done = sum(each.rows for each in shards if each not in missing)
        watch.begin("labels", sum(each.rows for each in shards), done, "rows")
        tasks = [Task((Item("", each.name, None, each, each.bytes),)) for each in sorted(missing, key=lambda e: -e.bytes)]
        asked = Asked(str(corpus.place.path("")), folder)
        for task, found in each_of(engine, _labelled, tasks, asked, None):
            shard: Shard = task.items[0].payload
            if isinstance(found, Crash):
                raise ShareError(
                    f"{shard.name}: the process that made its labels ended ({found.error}: {found.message}); "
                    "run the same command to go on, with fewer --workers if memory is short"
                )
            done += shard.rows
            watch.at(done, shard.name)
    finally:
        engine.close()
        watch.end()
    return {labels_name(each.name): listed(folder / labels_name(each.name), each.rows) for each in shards}


def listed(path: Path, rows: int | None = None) -> Listed:
    """How a file is listed."""
    return Listed(path.stat().st_size, sha256_file(path), rows)


def _engine(missing: Sequence[Shard], workers: int | None) -> Local | Inline:
    small = sum(each.bytes for each in missing) <= _HERE_BYTES or len(missing) < 2
    several = min(usable_cores() if workers is None else workers, len(missing))
    return Inline() if several == 0 or (workers is None and small) else Local(several, Resources())


def _labelled(task: Task, asked: Asked, resources: Resources) -> str:
    """In a worker: the labels of one shard."""
    shard: Shard = task.items[0].payload
    write_one(Corpus(asked.corpus), shard, asked.folder / labels_name(shard.name))
    return shard.name


def write_one(corpus: Corpus, shard: Shard, target: Path) -> None:
    """The labels of one shard of a corpus, row group by row group as the shard's; put in place as a whole."""
    temporary = target.with_name(f"{target.name}.tmp")
    own = {name for name, _, _ in PROOF_COLUMNS}
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(
            temporary,
            _SCHEMA,
            compression="zstd",
            use_dictionary=[leaf for leaf in _leaves() if leaf.partition(".")[0] not in {*own, "id", "phash"}],
            write_page_index=True,
            use_content_defined_chunking=_CDC,
        )
        with writer:
            for group in labelled(corpus, shard):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        fault("labels_written", target, temporary)
        temporary.replace(target)
        fault("labels_renamed", target)


def labelled(corpus: Corpus, shard: Shard) -> Iterator[pa.Table]:
    """The labels of one shard, one table a row group of it. In memory are its columns, and some images."""
    one = copy(corpus)
    one.shards = (shard,)
    groups, held, rows = iter(one.row_groups(shard)), list[pa.RecordBatch](), 0
    left = next(groups, 0)
    for start, batch in one.batches([column.name for column in COLUMNS], _AT_ONCE):
        held.append(_row_labels(batch, f"{corpus.place.path(shard.name)}: row", start))
        rows += len(batch)
        if rows == left:
            yield pa.Table.from_batches(held, _SCHEMA)
            held, rows, left = [], 0, next((each for each in groups if each), 0)


def _row_labels(batch: pa.RecordBatch, told: str, start: int) -> pa.RecordBatch:
    names = batch["id"].to_pylist()
    images, masks = (pc.struct_field(batch[name], "bytes").to_pylist() for name in PIXELS)
    proofs = [
        _proof(name, image, mask, f"{told} {start + place}")
        for place, (name, image, mask) in enumerate(zip(names, images, masks, strict=True))
    ]
    columns: dict[str, Any] = {name: batch[name] for name in _KEPT}
    columns |= {name: pa.array([each[name] for each in proofs], kind) for name, kind, _ in PROOF_COLUMNS}
    return pa.record_batch([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _proof(sample: str, image: bytes | None, mask: bytes | None, told: str) -> Mapping[str, Any]:
    if not image:
        raise CorpusError(f"{told} has no image: `mmidd verify` says what is wrong with it")
    found = proof(sample, image, decoded(image, f"{told}: the image"))
    covered = None if mask is None else proof(sample, mask, decoded(mask, f"{told}: the mask"))
    return {
        "image_bytes": found.size, "image_sha256": found.sha256, "pixels_sha256": found.pixels, "probes": found.probes,
        "mask_sha256": covered and covered.sha256, "mask_pixels_sha256": covered and covered.pixels,
    }  # fmt: skip


def _leaves() -> list[str]:
    """The Parquet leaf columns, by dotted path."""
    found = []
    for field in _SCHEMA:
        depth, kind = 0, field.type
        while pa.types.is_fixed_size_list(kind):
            depth, kind = depth + 1, kind.value_type
        found.append(field.name + ".list.element" * depth)
    return found
