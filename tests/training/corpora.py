"""A corpus to train on: persons with a real clip and fakes of it, all five types, a whole image, pairs within groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpus import made

from mmidd.schema import sample_id

PERSONS, FRAMES = 3, 4
TYPES = {"alpha": (1, 2), "beta": (3, None), "gamma": (1, 4)}
"""The forgery types of each dataset's fakes."""
ROWS = PERSONS * FRAMES * 3 + 1


def corpus(folder: Path) -> Path:
    """Write it: each shard has three persons, each with a real clip and two fakes of it, and a whole image."""
    return made.corpus(folder, _change)


def _change(shard: str, rows: list[dict[str, Any]]) -> None:
    slug, base, found = shard.split("-")[1], rows[0], list[dict[str, Any]]()
    for person in range(PERSONS):
        real = f"{shard}/{person}.mp4"
        for kind in (0, *TYPES[slug]):
            media = real if kind == 0 else f"{shard}/{person}-{kind}.mp4"
            for frame in range(FRAMES):
                found.append(_row(base, media, frame * 2, len(found), real if kind != 0 else None))
                found[-1] |= {"forgery_type": kind, "label": int(kind != 0), "group": f"{base['dataset']}/{real}"}
    found.append(_row(base, f"{shard}/whole.png", 0, len(found), None) | {"geometry": "whole", "group": None})
    order = sorted(range(len(found)), key=lambda place: found[place]["id"])  # as it is in a build: pairs lie apart
    rows[:] = [found[place] for place in order]


def _row(base: dict[str, Any], media: str, frame: int, number: int, real: str | None) -> dict[str, Any]:
    dataset = base["dataset"]
    return base | {
        "id": sample_id(dataset, media, frame, 0), "media": media, "frame": frame, "label": int(real is not None),
        "method": "Swap" if real else None, "forgery_type": 0, "image": made.picture(number, made.FORMATS[number % 3]),
        "pair": sample_id(dataset, real, frame, 0) if real else None, "group": None, "mask": None,
    }  # fmt: skip


def corpus_once(folder: Path) -> Path:
    """The corpus at this place, written if it is not there yet."""
    return folder if folder.exists() else corpus(folder)


def broken_once(folder: Path) -> Path:
    """The corpus, in which one real that two fakes were made from has no image that decodes."""
    return folder if folder.exists() else made.corpus(folder, _break)


def _break(shard: str, rows: list[dict[str, Any]]) -> None:
    _change(shard, rows)
    if shard == made.SHARDS[0]:
        next(row for row in rows if not row["label"] and row["geometry"] == "own")["image"] = b"no image at all"
