"""Caption: describe the face and its surroundings from pixels alone, knowing neither label nor name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmidd.captions.protocol import (
    Caption,
    Captioner,
    CaptionerConfig,
    CaptionRequest,
    captioner_identity,
    make_captioner,
)
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import BlobReader, read_sound, sound
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.faces.align import apply
from mmidd.faces.encode import decode
from mmidd.recipe import Recipe

STAGE_VERSION = 1
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("frame", pa.int32()),
        ("face", pa.int32()),
        ("face_caption", pa.string()),
        ("environment_caption", pa.string()),
        ("captioner", pa.string()),
        ("caption_status", pa.string()),
    ]
)
_READ = (
    "dataset", "media", "frame", "face", "box", "landmarks", "transform", "width", "height",
    "image_at", "image_bytes", "context_at", "context_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Payload:
    """Where a medium's committed crops lie."""

    rows: Path
    blobs: Path


@dataclass(frozen=True)
class Crops:
    """A committed unit of extraction, as captioning sees it: its files, its tasks' media, and their rows' digests."""

    unit: str
    rows: Path
    blobs: Path
    tasks: tuple[tuple[Outcome, ...], ...]


def config(recipe: Recipe) -> CaptionerConfig:
    """Take from the recipe what this stage reads."""
    return CaptionerConfig(**recipe.captioner.model_dump())


def ingredients(recipe: Recipe, device: str) -> dict[str, Any]:
    """What shapes the text of every caption, the crops aside."""
    part = recipe.model_dump(mode="json", include={"captioner"})
    return _ingredients(STAGE, part, libraries=captioner_identity(config(recipe)), device=device)


def plan(extracted: Iterable[Crops]) -> list[Unit]:
    """One unit for each unit of crops, with the same tasks; media without a sample have nothing to describe."""
    units = []
    for crops in extracted:
        payload = Payload(crops.rows, crops.blobs)
        items = [
            tuple(Item(done.dataset, done.media, (done.rows_digest,), payload) for done in task if done.ok)
            for task in crops.tasks
        ]
        tasks = tuple(Task(task) for task in items if task)
        if tasks:
            units.append(Unit(crops.unit, tasks))
    return units


def run(task: Task, config: CaptionerConfig, resources: Resources) -> Result:
    """Describe every sample of the task's media. Captions that do not come out are null with their status."""
    captioner = _captioner(config, resources.device)
    work = [(item, row) for item in task.items for row in _rows(item.payload.rows).get(item.name, ())]
    requests = [_request(row, _blobs(item.payload.blobs)) for item, row in work]
    captions = captioner.caption(requests)
    rows = [_caption_row(row, caption, captioner.name) for (_, row), caption in zip(work, captions, strict=True)]
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(_outcome(item, rows) for item in task.items))


@lru_cache(maxsize=1)
def _captioner(config: CaptionerConfig, device: str) -> Captioner:
    captioner = make_captioner(config, device)
    if captioner is None:
        raise ValueError("captioner 'none' has no work; its stage is not run")
    return captioner


@lru_cache(maxsize=4)
def _rows(path: Path) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in read_sound(path, list(_READ)).to_pylist():
        found.setdefault((row["dataset"], row["media"]), []).append(row)
    return found


@lru_cache(maxsize=4)
def _blobs(path: Path) -> BlobReader:
    return BlobReader(sound(path))


def _request(row: Mapping[str, Any], blobs: BlobReader) -> CaptionRequest:
    context = blobs.read(row["context_at"], row["context_bytes"])
    landmarks = None
    if row["landmarks"] is not None:
        transform = np.array(row["transform"], np.float32).reshape(2, 3)
        landmarks = apply(transform, row["landmarks"]).astype(np.float32)
    return CaptionRequest(
        decode(blobs.read(row["image_at"], row["image_bytes"]) or b""),
        decode(context) if context is not None else None,
        landmarks,
        np.array(row["box"], np.float32) if row["box"] is not None else None,
        (row["width"], row["height"]),
    )


def _caption_row(row: Mapping[str, Any], caption: Caption, name: str) -> dict[str, Any]:
    place = {key: row[key] for key in ("dataset", "media", "frame", "face")}
    return {
        **place,
        "face_caption": caption.face,
        "environment_caption": caption.environment,
        "captioner": name,
        "caption_status": caption.status,
    }


def _outcome(item: Item, rows: Iterable[Mapping[str, Any]]) -> Outcome:
    mine = [row for row in rows if (row["dataset"], row["media"]) == item.name]
    missed = tuple((row["frame"], "failed", row["caption_status"]) for row in mine if row["caption_status"] != "ok")
    return Outcome(
        item.dataset,
        item.media,
        "failed" if missed else "ok",
        item.inputs or (),
        error="CaptionFailed" if missed else None,
        message=f"{len(missed)} of {len(mine)} captions did not come out" if missed else None,
        planned=len(mine),
        ok=len(mine) - len(missed),
        failed=len(missed),
        reasons=missed,
    )


STAGE = Stage("caption", STAGE_VERSION, run, SCHEMA)
