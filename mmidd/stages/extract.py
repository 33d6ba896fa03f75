"""Extract: decode, choose frames, detect, choose the face, align, encode. Frames never touch the disk.

Reals come first and leave a track record: their rows. A fake whose paired real has one takes its frames and its
geometry, so neither the detector nor its failures can tell real from fake. This stage never sees a label.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa

from mmidd import schema
from mmidd.archives import is_sequential
from mmidd.engine.digests import DigestCache
from mmidd.engine.files import digest
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import read_sound
from mmidd.engine.units import TASK_ITEMS, Item, Outcome, Resources, Result, Task, Unit, bucket, order_key
from mmidd.errors import EmptyMedia, MediaError, MmiddError, sanitised
from mmidd.faces.detector import Detector, DetectorConfig, detector_identity, make_detector
from mmidd.faces.encode import ImageConfig
from mmidd.manifest import Faces, Kind
from mmidd.recipe import Recipe
from mmidd.stages.crops import (
    Config,
    Crops,
    Fix,
    Sample,
    Track,
    Way,
    frames_crops,
    planned_numbers,
    still_crops,
    video_crops,
)
from mmidd.stages.selection import Selected
from mmidd.stages.sources import Archive, Medium, Part, Source, open_all
from mmidd.video import backend_identity, still_identity

STAGE_VERSION = 1
UNREAD = "unread"
WHOLE = ("keep", "whole")
SEQUENTIAL_CLIPS = 16
"""Clips of one compressed tar that a task takes: they share one pass over it."""

_PIXELS = [column for column in schema.of_origin("pixels") if column.name not in ("id", "image", "mask")]
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        *((column.name, column.type) for column in _PIXELS),
        ("image", pa.binary()),
        ("image_sha256", pa.string()),
        ("context", pa.binary()),
    ]
)


def config(recipe: Recipe) -> Config:
    """Take from the recipe what this stage reads, and nothing else."""
    return Config(
        recipe.frames.spacing,
        recipe.crop.size,
        recipe.crop.margin,
        recipe.crop.template,
        recipe.crop.border,
        ImageConfig(**recipe.image.model_dump()),
        recipe.detector.config(),
        recipe.decoder,
    )


def ingredients(recipe: Recipe, device: str) -> dict[str, Any]:
    """What shapes the bytes of every crop, the media aside."""
    part = recipe.model_dump(mode="json", include={"crop", "image", "detector", "decoder", "frames"})
    part["frames"].pop("count")  # how many is an input of each medium: a dataset may set its own
    part["crop"].pop("pairs")  # likewise: whose geometry a medium takes is among its inputs
    chosen = config(recipe)
    identity = detector_identity(chosen.detector)
    libraries = {
        **identity.libraries,
        **backend_identity(recipe.decoder),
        **still_identity(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
    return _ingredients(STAGE, part, libraries=libraries, models=dict(identity.weights), device=device)


@dataclass(frozen=True)
class Real:
    """Where a fake finds the track record of its real."""

    rows: Path
    dataset: str
    media: str
    planned: tuple[int, ...]


@dataclass(frozen=True)
class Payload:
    """What extracting one medium needs. `basis` names whose geometry it takes: its own, or a track record's digest."""

    path: Path
    kind: Kind
    bytes: int
    mtime_ns: int
    frames: int
    real: Real | None
    basis: str
    faces: Faces = "detect"
    archive: Archive | None = None
    parts: tuple[Part, ...] = ()

    def inputs(self, sha256: str) -> tuple[str, ...]:
        mode = () if self.faces == "detect" else (f"faces: {self.faces}",)
        return sha256, f"{self.frames} frames", self.basis, *mode


Name = tuple[str, str]


def follows(medium: Selected, selected: Mapping[Name, Selected], recipe: Recipe) -> Name | None:
    """The real whose geometry a medium takes: its pair, if they are aligned and the pair is extracted too."""
    pair = medium.pair_name
    if recipe.crop.pairs == "independent" or medium.label == "real" or not medium.aligned or pair not in selected:
        return None
    real = selected[pair]
    alike = real.kind == medium.kind and (real.faces in WHOLE) == (medium.faces in WHOLE)
    return pair if real.label == "real" and alike else None


def plan(
    media: Iterable[Selected],
    recipe: Recipe,
    digests: DigestCache,
    reals: Mapping[Name, tuple[Path, Outcome]],
    pairs: Mapping[Name, Name],
) -> list[Unit]:
    """The units of one level. `pairs` names the real that a medium follows; `reals` says where its rows lie."""
    own = {entry.name: entry.frames for entry in recipe.datasets}
    groups: dict[tuple[str, str, str, str], list[Item]] = {}
    for medium in media:
        frames = (own.get(medium.dataset) or recipe.frames.count) if medium.kind != "image" else 1
        level = "paired" if medium.name in pairs else "first"
        item = _item(medium, frames, digests, reals.get(pairs.get(medium.name, medium.name)))
        tar = medium.archive.name if medium.archive and is_sequential(medium.archive.name) else ""
        groups.setdefault((medium.dataset, level, medium.kind, tar), []).append(item)
    units = []
    for (dataset, level, kind, tar), items in sorted(groups.items()):
        place = f"-{order_key(dataset, tar)}" if tar else ""
        per_task = TASK_ITEMS if kind == "image" else SEQUENTIAL_CLIPS if tar else 1
        units += bucket(f"{dataset}/{level}-{kind}{place}", items, per_task=per_task)
    return units


def _item(medium: Selected, frames: int, digests: DigestCache, real: tuple[Path, Outcome] | None) -> Item:
    followed, basis = None, "own"
    if real is not None and real[1].ok:
        rows, outcome = real
        followed = Real(rows, outcome.dataset, outcome.media, tuple(outcome.facts["frames"]))
        basis = outcome.rows_digest
    payload = Payload(
        medium.path, medium.kind, medium.bytes, medium.mtime_ns, frames, followed, basis,
        medium.faces, medium.archive, medium.parts,
    )  # fmt: skip
    sha256 = digests.fresh(medium.dataset, medium.media, medium.bytes, medium.mtime_ns)
    return Item(medium.dataset, medium.media, payload.inputs(sha256) if sha256 else None, payload)


def identify(item: Item) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Inputs and facts of a medium that nobody could process: its digest, taken here."""
    try:
        ((_, source),) = open_all([(item, item.payload)], lambda medium: frozenset())
        sha256 = source.sha256()
    except (OSError, MediaError):
        return item.payload.inputs(UNREAD), {}
    return item.payload.inputs(sha256), {"sha256": sha256}


def run(task: Task, config: Config, resources: Resources) -> Result:
    """Turn each medium of the task into crops. A medium that cannot be used is a failed outcome with its reason."""
    detector = _detector(config.detector, resources.device)
    made: dict[Name, tuple[list[dict[str, Any]], Outcome]] = {}
    media = [(item, item.payload) for item in task.items]
    for item, source in open_all(media, lambda medium: _needed(medium, config)):
        made[item.name] = _extract(item, source, config, detector)
    rows = [row for item in task.items for row in made[item.name][0]]
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(made[item.name][1] for item in task.items))


def _needed(payload: Medium, config: Config) -> frozenset[int] | None:
    """The frames of a clip that will be asked for."""
    if payload.kind != "frames" or not isinstance(payload, Payload):
        return None
    return frozenset(planned_numbers(_numbers(payload), payload.frames, config, _followed(payload)))


def _numbers(payload: Payload) -> list[int]:
    return [part.number for part in payload.parts]


def _followed(payload: Payload) -> Track | None:
    return _track(payload.real) if payload.real else None


@lru_cache(maxsize=1)
def _detector(config: DetectorConfig, device: Literal["cpu", "cuda"]) -> Detector:
    return make_detector(config, device)


def _extract(item: Item, source: Source, config: Config, detector: Detector) -> tuple[list[dict[str, Any]], Outcome]:
    payload: Payload = item.payload
    sha256 = UNREAD
    try:
        sha256 = source.sha256()
        if payload.bytes == 0:
            raise EmptyMedia("the file has no bytes")
        crops = _crops(payload, source, Way(config, detector, payload.faces, _followed(payload)))
    except (MmiddError, MemoryError):
        raise
    except Exception as error:  # recorded: one medium's fault must not take its neighbours along
        _check_root(payload.path)
        return [], _failure(item, sha256, error)
    rows = [_row(item, sha256, sample, crops) for sample in crops.samples]
    return rows, _outcome(item, payload.inputs(sha256), crops, rows)


def _failure(item: Item, sha256: str, error: Exception) -> Outcome:
    message = sanitised(str(error) if isinstance(error, MediaError) else f"unexpected: {error}")
    return Outcome(
        item.dataset,
        item.media,
        "failed",
        item.payload.inputs(sha256),
        error=type(error).__name__,
        message=message,
        facts={} if sha256 == UNREAD else {"sha256": sha256},
    )


def _check_root(path: Path) -> None:
    """A disk that went away is nobody's medium's fault."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent and not os.access(path.parent, os.F_OK):
        raise MmiddError(f"{path.parent} is gone; is the disk still mounted? Run the same command to go on.")


def _crops(payload: Payload, source: Source, way: Way) -> Crops:
    if payload.kind == "image":
        return still_crops(source.still(), way)
    if payload.kind == "frames":
        return frames_crops(_numbers(payload), source.frame, payload.frames, way)
    video = source.video()
    if isinstance(video, Path):
        return video_crops(video, payload.frames, way)
    with video:
        return video_crops(video, payload.frames, way)


def _track(real: Real) -> Track:
    fixes = _tracks(real.rows).get((real.dataset, real.media), {})
    return Track(real.planned, fixes)


@lru_cache(maxsize=8)
def _tracks(rows: Path) -> dict[tuple[str, str], dict[int, Fix | None]]:
    """The track records of a committed unit of reals."""
    names = ["dataset", "media", "frame", "width", "height", "box", "landmarks", "transform", "track"]
    found: dict[tuple[str, str], dict[int, Fix | None]] = {}
    for row in read_sound(rows, names).to_pylist():
        fix = None
        if row["landmarks"] is not None:
            landmarks = tuple(tuple(point) for point in row["landmarks"])
            fix = Fix(row["width"], row["height"], tuple(row["box"]), landmarks, tuple(row["transform"]), row["track"])
        found.setdefault((row["dataset"], row["media"]), {})[row["frame"]] = fix
    return found


def _row(item: Item, sha256: str, sample: Sample, crops: Crops) -> dict[str, Any]:
    fix = sample.fix
    return {
        "dataset": item.dataset,
        "media": item.media,
        "media_sha256": sha256,
        "frame": sample.frame,
        "timestamp": sample.timestamp,
        "face": 0,
        "box": fix.box if fix else None,
        "landmarks": fix.landmarks if fix else None,
        "transform": fix.transform if fix else None,
        "detection_score": sample.score,
        "width": sample.width,
        "height": sample.height,
        "fps": crops.fps,
        "codec": crops.codec,
        "sharpness": sample.quality.sharpness,
        "brightness": sample.quality.brightness,
        "face_size": sample.face_size,
        "jpeg_quality": crops.jpeg_quality,
        "phash": sample.quality.phash,
        "track": fix.track if fix else None,
        "faces_found": sample.faces_found,
        "runner_up": sample.runner_up,
        "geometry": sample.geometry,
        "image": sample.image,
        "image_sha256": hashlib.sha256(sample.image).hexdigest(),
        "context": sample.context,
    }


def _outcome(item: Item, inputs: tuple[str, ...], crops: Crops, rows: Sequence[dict[str, Any]]) -> Outcome:
    statuses = Counter(status for _, status, _ in crops.reasons)
    reasons = Counter(reason for _, _, reason in crops.reasons)
    most = max(sorted(reasons), key=reasons.__getitem__) if reasons else None
    status: Literal["ok", "dropped", "failed"] = "ok" if rows else "dropped" if statuses["dropped"] else "failed"
    geometry = sorted({sample.geometry for sample in crops.samples})
    return Outcome(
        item.dataset,
        item.media,
        status,
        inputs,
        reason=most if status != "ok" else None,
        error="LostFrames" if status == "failed" else None,
        message="no planned frame could be decoded" if status == "failed" else None,
        planned=len(crops.planned),
        ok=len(rows),
        dropped=statuses["dropped"],
        failed=statuses["failed"],
        reasons=crops.reasons,
        rows_digest=digest([[row["frame"], row["image_sha256"], row["landmarks"], row["transform"]] for row in rows]),
        facts={
            **crops.facts,
            "sha256": inputs[0],
            "frames": list(crops.planned),
            "geometry": "+".join(geometry) or None,
        },
    )


STAGE = Stage("extract", STAGE_VERSION, run, SCHEMA, blobs=("image", "context"), identify=identify)
