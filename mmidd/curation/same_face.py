"""Which face of its real a fake's face is: by number where the real's geometry was taken, else by place.

A fake that was cut on its own may show another person of the clip than its real does.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

LEAST_OVERLAP = 0.25
"""Two boxes show one face if their intersection is at least so much of their union."""

Box = tuple[float, float, float, float]
Boxes = Mapping[str, Mapping[int, Mapping[int, Box]]]
"""By medium, frame and face: the box as shares of the frame's width and height."""


def real_faces(samples: pa.Table) -> pa.Array:
    """Of each sample the number of its real's face that shows the same person; null where none does.

    `samples` has medium, real (the medium it was made from, or null), aligned, frame, face, geometry, width, height and box.
    """
    mine = pc.and_(pc.equal(samples["geometry"], "own"), pc.and_(pc.is_valid(samples["real"]), samples["aligned"]))
    fakes = samples.filter(mine)
    if not fakes.num_rows:
        return samples["face"].combine_chunks()
    theirs = pc.is_in(samples["medium"], value_set=pc.unique(fakes["real"]))
    theirs = pc.and_(theirs, pc.equal(samples["geometry"], "own"))
    boxes = _boxes(samples.filter(pc.or_(pc.fill_null(mine, False), pc.fill_null(theirs, False))))
    columns = (fakes[name].to_pylist() for name in ("medium", "real", "frame", "face"))
    faces = pa.array([_same_face(place, boxes) for place in zip(*columns, strict=True)], pa.int32())
    return pc.replace_with_mask(samples["face"].combine_chunks(), pc.fill_null(mine, False).combine_chunks(), faces)


def _boxes(samples: pa.Table) -> Boxes:
    found: dict[str, dict[int, dict[int, Box]]] = {}
    for batch in samples.select(["medium", "frame", "face", "width", "height", "box"]).to_batches(max_chunksize=1 << 14):
        for row in batch.to_pylist():
            x0, y0, x1, y1 = row["box"]
            width, height = row["width"], row["height"]
            box = (x0 / width, y0 / height, x1 / width, y1 / height)
            found.setdefault(row["medium"], {}).setdefault(row["frame"], {})[row["face"]] = box
    return found


def _same_face(place: tuple[str, str, int, int], boxes: Boxes) -> int | None:
    fake, real, frame, face = place
    mine = boxes[fake][frame][face]
    theirs = boxes.get(real, {}).get(frame)
    if not theirs:
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
