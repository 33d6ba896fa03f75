"""Which way up a medium is, where nobody says so: as a detector finds its faces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmidd.extraction.proof import Look
from mmidd.media import TURNS
from mmidd.video import Frame
from mmidd.video.turned import turned

LOOKED_AT = 5
"""Frames of a clip, evenly among the planned ones, in which faces are looked for."""


def turn_of(frames: Iterable[Frame], look: Look) -> tuple[int, dict[str, Any]]:
    """By how many degrees clockwise the frames are to be turned, and what was seen: `turn_frames`, how many were looked at,
    and `turn_faces`, in how many of them there is a face, by the turns of `TURNS`.

    It is the turn with most frames with a face; of several such, that in which the scores of the frames' surest faces add up
    to most; 0 where no single one is best.
    """
    faces, scores, count = dict.fromkeys(TURNS, 0), dict.fromkeys(TURNS, 0.0), 0
    for frame in frames:
        if frame.picture is None:
            continue
        count += 1
        for turn, found in zip(TURNS, look([turned(frame.picture, turn) for turn in TURNS]), strict=True):
            if len(found):
                faces[turn] += 1
                scores[turn] += float(found.scores[0])
    best = max((faces[turn], scores[turn]) for turn in TURNS)
    most = [turn for turn in TURNS if (faces[turn], scores[turn]) == best]
    return most[0] if len(most) == 1 else 0, {"turn_frames": count, "turn_faces": list(faces.values())}
