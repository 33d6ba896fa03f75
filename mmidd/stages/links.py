"""Which face of its real a fake's face is: by number where the real's geometry was taken, else by place.

A fake that was cut on its own may show another person of the clip than its real does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

LEAST_OVERLAP = 0.25
"""Two boxes show one face if their intersection is at least so much of their union."""

Name = tuple[str, str]
Box = tuple[float, float, float, float]
Boxes = Mapping[Name, Mapping[int, Mapping[int, Box]]]
"""By medium, frame and face: the box as shares of the frame's width and height."""


def face_boxes(samples: pa.Table, media: Mapping[Name, Mapping[str, Any]]) -> Boxes:
    """The boxes of the fakes that were cut on their own though aligned with their reals, and of these reals.

    `samples` has dataset, media, frame, face, geometry, width, height, box; `media` the index's rows.
    """
    own = samples.filter(pc.equal(samples["geometry"], "own"))
    fakes = {name for name in _names(own) if media[name]["pair_media"] and media[name]["aligned"]}
    reals = {(media[name]["pair_dataset"] or name[0], media[name]["pair_media"]) for name in fakes}
    wanted = pa.array([name in fakes or name in reals for name in _names(own)], pa.bool_())
    found: dict[Name, dict[int, dict[int, Box]]] = {}
    for row in own.filter(wanted).to_pylist():
        x0, y0, x1, y1 = row["box"]
        width, height = row["width"], row["height"]
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
        found.setdefault((row["dataset"], row["media"]), {}).setdefault(row["frame"], {})[row["face"]] = box
    return found


def same_face(fake: Name, real: Name, frame: int, face: int, boxes: Boxes) -> int | None:
    """The number of the real's face that shows the person of this face of the fake; None where none does."""
    mine = boxes.get(fake, {}).get(frame, {}).get(face)
    theirs = boxes.get(real, {}).get(frame)
    if mine is None or not theirs:
        return face
    best = max(sorted(theirs), key=lambda number: overlap(mine, theirs[number]))
    return best if overlap(mine, theirs[best]) >= LEAST_OVERLAP else None


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _names(table: pa.Table) -> list[Name]:
    return list(zip(table["dataset"].to_pylist(), table["media"].to_pylist(), strict=True))
