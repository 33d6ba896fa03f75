"""Real pictures and frames for the parts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.gpu.context import Context, Skipped
from benchmarks.place import KINDS
from mmidd.video.choose import open_video
from mmidd.video.picture import Image
from mmidd.video.plan import frame_plan

ODD = "odd"
LARGEST = 1920
"""Pictures beyond this long side are reduced: photos of 20 megapixels would take the place of many frames."""


def clips(context: Context) -> list[Path]:
    """The videos of the media, the smallest file first. Raises Skipped where there are none."""
    found = _files(context, "videos")
    if not found:
        raise Skipped("no videos: give --media, a folder that holds some")
    return found


def with_faces(context: Context) -> list[Path]:
    """The videos but those of a folder `odd`, which holds strange codecs and no faces. Raises Skipped as `clips` does."""
    found = clips(context)
    return [clip for clip in found if clip.parent.name != ODD] or found


def _files(context: Context, kind: str) -> list[Path]:
    given = context.media.rglob("*") if context.media else ()
    of_kind = (path for path in given if KINDS.get(path.suffix.lower()) == kind)
    return sorted(of_kind, key=lambda path: (path.stat().st_size, path.name))


def pictures(context: Context, frames: int, images: int) -> list[Image]:
    """RGB pictures: `frames` of each clip with faces, evenly spaced, and so many of the images.

    Of toys only the first few clips. Raises Skipped where there are none.
    """
    given = with_faces(context) if _files(context, "videos") else []
    found = [frame for clip in given[: 3 if context.toy else None] for frame in taken(clip, frames)]
    for path in _files(context, "images")[:images]:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is not None:
            factor = min(1.0, LARGEST / max(pixels.shape[:2]))
            small = pixels if factor == 1 else cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            found.append(np.ascontiguousarray(small[..., ::-1]))
    if not found:
        raise Skipped("no pictures: give --media, a folder that holds videos or images")
    return found


def taken(clip: Path, count: int) -> list[Image]:
    """Evenly spaced frames of a clip; fewer where some are lost."""
    with open_video(clip) as reader:
        plan = frame_plan(reader.clip.frame_count, count, "even")
        return [frame.picture.whole() for frame in reader.frames(plan) if frame.picture is not None]
