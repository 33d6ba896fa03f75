"""A corpus that can be learnt from: fakes are brighter. In each shard so many persons with a real clip and a fake of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from corpus import made
from PIL import Image

from mmidd.schema import sample_id

PERSONS, FRAMES = 8, 4
ROWS = PERSONS * FRAMES * 2
"""Of each shard."""


def corpus(folder: Path) -> Path:
    """Write it."""
    return made.corpus(folder, _change)


def broken(folder: Path) -> Path:
    """The same, but a frame of the first validation clip has no image that decodes."""
    return made.corpus(folder, _break)


def attacked(folder: Path) -> Path:
    """The same, but the fakes are presentation attacks."""
    return made.corpus(folder, _attack)


def _attack(shard: str, rows: list[dict[str, Any]]) -> None:
    _change(shard, rows)
    for row in rows:
        row |= {"forgery_type": None, "attack": "print"} if row["label"] else {}


def _change(shard: str, rows: list[dict[str, Any]]) -> None:
    base, found = rows[0], list[dict[str, Any]]()
    for person in range(PERSONS):
        real = f"{shard}/{person}.mp4"
        for fake in (0, 1):
            media = f"{shard}/{person}-fake.mp4" if fake else real
            for frame in range(FRAMES):
                kind = None if fake and person == 0 else 2 * fake
                found.append(base | _row(base["dataset"], media, frame * 2, fake, len(found)))
                found[-1] |= {"forgery_type": kind, "group": f"{base['dataset']}/{real}"}
    rows[:] = sorted(found, key=lambda row: row["id"])


def _row(dataset: str, media: str, frame: int, fake: int, number: int) -> dict[str, Any]:
    return {
        "id": sample_id(dataset, media, frame, 0), "media": media, "frame": frame, "label": fake, "mask": None,
        "image": _picture(number, fake), "sharpness": 10.0 + number % 5 + 2 * fake, "width": 480, "height": 320,
        "method": "Swap" if fake else None, "jpeg_quality": None, "runner_up": None,
    }  # fmt: skip


def _picture(number: int, fake: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 150, (16, 16, 3)) + 90 * fake
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def _break(shard: str, rows: list[dict[str, Any]]) -> None:
    _change(shard, rows)
    if shard == "validation-beta":
        next(row for row in rows if row["media"].endswith("/0.mp4"))["image"] = b"no image at all"
