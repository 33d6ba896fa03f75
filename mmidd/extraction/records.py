"""How extraction is written down: samples as rows, a medium's end as an outcome, and rows read as track records."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from mmidd import schema
from mmidd.engine.files import digest
from mmidd.engine.tables import BlobReader, read_sound, sound
from mmidd.engine.units import Item, Outcome
from mmidd.errors import told
from mmidd.extraction.medium import MediumSamples
from mmidd.extraction.sample import Fix, Sample, TrackRecord

_PIXELS = [column for column in schema.of_origin("pixels") if column.name not in ("id", "image", "mask")]
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        *((column.name, column.type) for column in _PIXELS),
        ("image", pa.binary()),
        ("image_sha256", pa.string()),
        ("context", pa.binary()),
        ("view", pa.binary()),
        ("mask", pa.binary()),
        ("mask_sha256", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Real:
    """Where a fake finds the track record of its real."""

    rows: Path
    blobs: Path
    dataset: str
    media: str
    planned: tuple[int, ...]


def track_of(real: Real) -> TrackRecord:
    """The track record of a real, from the rows it was committed with."""
    fixes, places = _tracks(real.rows).get((real.dataset, real.media), ({}, {}))
    reader = BlobReader(sound(real.blobs)) if places else None
    views = {frame: reader.read(*place) or b"" for frame, place in places.items()} if reader else {}
    return TrackRecord(real.planned, fixes, views)


_TRACKED = (
    "dataset", "media", "frame", "width", "height", "box", "landmarks", "transform", "track", "face", "detection_score",
    "faces_found", "runner_up", "context_at", "context_bytes", "view_at", "view_bytes",
)  # fmt: skip
_Tracked = tuple[dict[int, tuple[Fix, ...]], dict[int, tuple[int, int]]]


@lru_cache(maxsize=8)
def _tracks(rows: Path) -> dict[tuple[str, str], _Tracked]:
    """The track records of a committed unit of reals, with the places of their views: a context is one too."""
    found: dict[tuple[str, str], _Tracked] = {}
    for row in read_sound(rows, list(_TRACKED)).to_pylist():
        fixes, views = found.setdefault((row["dataset"], row["media"]), ({}, {}))
        fixes.setdefault(row["frame"], ())
        if row["landmarks"] is None:
            continue
        landmarks = tuple(tuple(point) for point in row["landmarks"])
        fixes[row["frame"]] += (
            Fix(
                row["width"], row["height"], tuple(row["box"]), landmarks, tuple(row["transform"]), row["track"],
                row["face"], row["detection_score"], row["faces_found"], row["runner_up"],
            ),
        )  # fmt: skip
        for view in _VIEWS:
            if row[f"{view}_at"] is not None:
                views.setdefault(row["frame"], (row[f"{view}_at"], row[f"{view}_bytes"]))
    return found


def row_of(item: Item, sha256: str, sample: Sample, crops: MediumSamples) -> dict[str, Any]:
    """A sample as a row of `SCHEMA`."""
    fix = sample.fix
    return {
        "dataset": item.dataset,
        "media": item.media,
        "media_sha256": sha256,
        "frame": sample.frame,
        "timestamp": sample.timestamp,
        "face": sample.face,
        "box": fix.box if fix else None,
        "landmarks": fix.landmarks if fix else None,
        "transform": fix.transform if fix else None,
        "detection_score": fix.score if fix else None,
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
        "faces_found": fix.found if fix else None,
        "runner_up": fix.runner_up if fix else None,
        "geometry": sample.geometry,
        "padding": sample.padding,
        "image": sample.image,
        "image_sha256": hashlib.sha256(sample.image).hexdigest(),
        "context": sample.context,
        "view": sample.view,
        "mask": sample.mask,
        "mask_sha256": _sha256(sample.mask),
    }


_TOLD = (
    "frame", "face", "image_sha256", "landmarks", "transform", "box", "track", "detection_score", "faces_found", "runner_up",
)  # fmt: skip
"""What captions, and the fakes that follow a real, see of its rows, beside its views."""
_VIEWS = ("view", "context")


def outcome_of(
    item: Item, inputs: tuple[str, ...], crops: MediumSamples, rows: Sequence[dict[str, Any]], digests: Mapping[str, Any]
) -> Outcome:
    """The end of a medium that was read: a frame is ok if it gave at least one sample. `digests` are further facts."""
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
        ok=len({row["frame"] for row in rows}),
        dropped=statuses["dropped"],
        failed=statuses["failed"],
        reasons=crops.reasons,
        rows_digest=digest([[*(row[name] for name in _TOLD), *(_sha256(row[name]) for name in _VIEWS)] for row in rows]),
        facts={
            **crops.facts,
            **digests,
            "frames": list(crops.planned),
            "geometry": "+".join(geometry) or None,
            **({"pixels": _pixels(rows)} if rows else {}),
        },
    )


def _pixels(rows: Sequence[dict[str, Any]]) -> str:
    """Names what a medium shows, whoever follows it: the crops of the first of its people."""
    first = min(row["face"] for row in rows)
    return digest([[row["frame"], row["image_sha256"]] for row in rows if row["face"] == first])


def _sha256(data: bytes | None) -> str | None:
    return hashlib.sha256(data).hexdigest() if data is not None else None


def failure_of(item: Item, inputs: tuple[str, ...], digests: Mapping[str, Any], error: Exception) -> Outcome:
    """The end of a medium that could not be used: without paths, and with what was learned of its bytes."""
    return Outcome(
        item.dataset,
        item.media,
        "failed",
        inputs,
        error=type(error).__name__,
        message=told(error),
        facts=dict(digests),
    )
