"""Which face is which through a clip: faces of sampled frames linked into tracks, and those chosen that are kept.

The frames are sparse (say 32 over a clip), so a face may move by much of its own size between two of them and be
missed in some; only place and size are known here, not who somebody is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from mmidd.faces.detector import Faces

REACH = 1.0
"""How far, in face sizes, a face may be from where it was or was headed."""
MOST_ZOOM = 1.5
"""By what factor a face may grow or shrink between two sightings."""
MOST_GAP = 8
"""A track unseen for more frames than this is over: whoever stands there then may be somebody else."""
TRUST = 0.5
"""How much of the last motion is expected to go on: heads sway, walkers do not (measured: docs/detectors.md)."""


@dataclass(frozen=True)
class Track:
    """One face through the clip: (position of the frame in the list, index in that frame's `Faces`), ascending."""

    faces: tuple[tuple[int, int], ...]


@dataclass
class _Open:
    """A track in the making: its faces, where it was last (centre x, y and size), the motion expected per frame."""

    faces: list[tuple[int, int]]
    place: npt.NDArray[np.float64]
    motion: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def add(self, frame: int, face: int, place: npt.NDArray[np.float64]) -> None:
        gap = frame - self.faces[-1][0]
        self.motion = TRUST * (place[:2] - self.place[:2]) / gap
        self.place = place
        self.faces.append((frame, face))


def link(frames: Sequence[Faces], sizes: Sequence[tuple[int, int]] = ()) -> list[Track]:
    """Link the faces of sampled frames into tracks: every face in exactly one, at most one per frame.

    In each frame the nearest pairs of a track's expected place and a face are joined first. Tracks come in order of
    their first face. `sizes` are the frames' width and height: where a clip changes size on its way, places are those in
    frames of the first size. The result depends on nothing else.
    """
    tracks: list[_Open] = []
    for frame, faces in enumerate(frames):
        places = _places(faces, (sizes[0][0] / sizes[frame][0], sizes[0][1] / sizes[frame][1]) if sizes else (1.0, 1.0))
        live = [track for track in tracks if frame - track.faces[-1][0] <= MOST_GAP + 1]
        taken = _match(live, places, frame)
        for face, place in enumerate(places):
            if face in taken:
                live[taken[face]].add(frame, face, place)
            else:
                tracks.append(_Open([(frame, face)], place))
    return [Track(tuple(track.faces)) for track in tracks]


Policy = Literal["largest", "central", "all"]
AWAY = 0.5
"""The distance of a face from the centre, in diagonals, in frames without it: that of a corner."""


def choose(
    tracks: Sequence[Track], frames: Sequence[Faces], policy: Policy = "largest", sizes: Sequence[tuple[int, int]] = ()
) -> tuple[int, ...]:
    """The positions of the tracks that a policy keeps, the first of them as face 0; empty where there is no track.

    `largest`: the one with the largest summed box area, so that the clip shows one person throughout. `central`: the
    one whose box is nearest to the centre, on average over all frames with a face, in diagonals of the frame (`sizes`:
    width and height of each); where it is absent it counts as in a corner. `all`: every one, by area. Ties go to the
    larger track, then to the one that starts first, then to the one further left. ValueError for another policy.
    """
    by_area = sorted(range(len(tracks)), key=lambda position: _by_area(tracks[position], frames, position))
    if policy == "all":
        return tuple(by_area)
    if policy == "central":
        seen = sum(1 for faces in frames if len(faces))
        return tuple(sorted(by_area, key=lambda position: _off_centre(tracks[position], frames, sizes, seen))[:1])
    if policy == "largest":
        return tuple(by_area[:1])
    raise ValueError(f"no policy is called {policy!r}; there are 'largest', 'central' and 'all'")


def pointed_at(tracks: Sequence[Track], inside: Sequence[Sequence[float]]) -> int | None:
    """The position of the track with most of a mask inside its boxes; None where no box holds any of it.

    `inside[frame][face]` is the mask's mass in that face's box. Ties go to the track that comes first.
    """
    mass = [sum(inside[frame][face] for frame, face in track.faces) for track in tracks]
    best = max(range(len(tracks)), key=lambda position: (mass[position], -position), default=None)
    return best if best is not None and mass[best] > 0 else None


def long_side(track: Track, frames: Sequence[Faces]) -> float:
    """The median over the track of its box's longer side, pixels of the frame."""
    boxes = _boxes(track, frames)
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))


def _by_area(track: Track, frames: Sequence[Faces], position: int) -> tuple[float, int, float, int]:
    boxes = _boxes(track, frames)
    area = float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum())
    return (-area, track.faces[0][0], float(boxes[0, 0]), position)


def _off_centre(track: Track, frames: Sequence[Faces], sizes: Sequence[tuple[int, int]], seen: int) -> float:
    boxes = _boxes(track, frames)
    size = np.array([sizes[frame] for frame, _ in track.faces], np.float64)
    away = (boxes[:, :2] + boxes[:, 2:] - size) / 2
    distances = np.hypot(away[:, 0], away[:, 1]) / np.hypot(size[:, 0], size[:, 1])
    return float(distances.sum() + AWAY * (seen - len(track.faces))) / seen


def _boxes(track: Track, frames: Sequence[Faces]) -> npt.NDArray[np.float64]:
    """(n,4): the track's box in each of its frames."""
    return np.stack([frames[frame].boxes[face] for frame, face in track.faces]).astype(np.float64)


def _places(faces: Faces, scale: tuple[float, float]) -> npt.NDArray[np.float64]:
    """(n,3): centre x, centre y and size (root of the area) of each face."""
    low, high = faces.boxes[:, :2].astype(np.float64) * scale, faces.boxes[:, 2:].astype(np.float64) * scale
    size = np.sqrt(np.prod(high - low, axis=1, keepdims=True))
    return np.concatenate([(low + high) / 2, size], axis=1)


def _match(tracks: list[_Open], places: npt.NDArray[np.float64], frame: int) -> dict[int, int]:
    """Face -> track, greedily by distance from the expected place relative to the size; ties by track, then face."""
    pairs = sorted(
        (cost, t, f)
        for t, track in enumerate(tracks)
        for f, place in enumerate(places)
        if (cost := _cost(track, place, frame)) is not None
    )
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, t, f in pairs:
        if f not in taken and t not in used:
            taken[f] = t
            used.add(t)
    return taken


def _cost(track: _Open, place: npt.NDArray[np.float64], frame: int) -> float | None:
    gap = frame - track.faces[-1][0]
    size = float(track.place[2] + place[2]) / 2
    zoom = float(max(track.place[2] / place[2], place[2] / track.place[2]))
    was = float(np.hypot(*(place[:2] - track.place[:2]))) / size
    expected = float(np.hypot(*(place[:2] - track.place[:2] - track.motion * gap))) / size
    if zoom > MOST_ZOOM or min(was, expected) > REACH:
        return None
    return expected + abs(float(np.log(zoom)))
