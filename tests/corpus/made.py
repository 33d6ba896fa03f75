"""A small corpus made on the spot: three datasets, all splits, JPEG, PNG and WebP, masks, nulls of every kind."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmidd.corpus.about import MANIFEST, SEAL
from mmidd.corpus.shards import ShardLimits, write_shard
from mmidd.corpus.target import manifest_bytes
from mmidd.engine.files import sha256_file
from mmidd.schema import ADDED, IF_ANY, IMAGE, SCHEMA_VERSION, arrow_schema, media_schema, sample_id

SHARDS = ("train-alpha", "train-beta", "validation-beta", "test-gamma")
ROWS = 7
"""Of each shard, in row groups of 3."""
FORMATS = ("JPEG", "PNG", "WEBP")


def picture(seed: int, kind: str, mode: str = "RGB") -> bytes:
    """A small image of random pixels."""
    shape = (8, 10, 3) if mode == "RGB" else (8, 10)
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode).save(out, kind)
    return out.getvalue()


def row(shard: str, number: int) -> dict[str, Any]:
    """One row's columns; `image` and `mask` are bytes."""
    slug, fake = shard.split("-")[1], number % 2
    dataset, media = slug.capitalize(), f"{shard}/{number}.mp4"
    return {
        "id": sample_id(dataset, media, number, 0), "image": picture(number, FORMATS[number % 3]),
        "mask": picture(number, "PNG", "L") if fake and slug == "beta" else None,
        "label": fake, "forgery_type": None if number == 5 else fake, "method": "Swap" if fake else None,
        "dataset": dataset, "media": media, "media_sha256": "0" * 64, "frame": number, "face": 0,
        "timestamp": None if slug == "alpha" and number < 4 else number / 2, "box": [0.5, 1.0, 2.0, 3.0],
        "landmarks": [[1.0, 2.0]] * 5, "runner_up": 0.5 if slug == "alpha" else None, "group": f"{dataset}/{number // 2}",
        "sharpness": float("nan") if number == 1 else 1.5, "width": 10, "height": 8,
        "face_caption": f"Grüße <b>{number}</b>" if number % 3 else None, "geometry": "own", "split_basis": "hash",
    }  # fmt: skip


Change = Callable[[str, list[dict[str, Any]]], None]


def corpus(folder: Path, change: Change | None = None, shards: Sequence[str] = SHARDS, group: int = 3) -> Path:
    """Write the corpus; `change` may alter the rows of a shard before they are written; `group`: rows of a row group."""
    (folder / "data").mkdir(parents=True)
    files: dict[str, Any] = {}
    for shard in shards:
        rows = [row(shard, number) for number in range(ROWS)]
        if change is not None:
            change(shard, rows)
        name = f"data/{shard}-00000-of-00001.parquet"
        schema = pa.schema([field for field in arrow_schema() if field.type != IMAGE])
        write_shard(
            folder / name,
            pa.Table.from_pylist([{key: each.get(key) for key in schema.names} for each in rows], schema),
            ((each["image"], each["mask"]) for each in rows),
            ShardLimits(1 << 30, group, 1 << 30),
        )
        files[name] = listed(folder / name) | {"rows": len(rows)}
    pq.write_table(media_schema().empty_table(), folder / "media.parquet")
    files["media.parquet"] = listed(folder / "media.parquet")
    slugs = {shard.split("-")[1] for shard in shards}
    index = {slug.capitalize(): {"slug": slug, "media": 0, "refused": 0} for slug in sorted(slugs)}
    sign(folder, {"schema_version": SCHEMA_VERSION, "recipe": {"name": "made"}, "index": index, "files": files})
    return folder


def listed(path: Path) -> dict[str, Any]:
    """How `mmidd.json` lists a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}


def sign(folder: Path, about: Mapping[str, Any]) -> None:
    """Write `mmidd.json`."""
    (folder / MANIFEST).write_bytes(manifest_bytes({key: value for key, value in about.items() if key != SEAL}))


def about(folder: Path) -> dict[str, Any]:
    """What `mmidd.json` says."""
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return found


def older(folder: Path) -> Path:
    """The corpus as it was written before columns were added to the schema."""
    corpus(folder)
    content = about(folder)
    for name in sorted(content["files"]):
        if name.startswith("data/"):
            columns = arrow_schema(without=ADDED)
            table = pq.read_table(folder / name).select(columns.names).cast(columns)
            pq.write_table(table, folder / name, row_group_size=3)
            content["files"][name] |= listed(folder / name)
    media = media_schema().empty_table().drop_columns(["pair_check", *IF_ANY])
    pq.write_table(media, folder / "media.parquet")
    content["files"]["media.parquet"] |= listed(folder / "media.parquet")
    sign(folder, content)
    return folder
