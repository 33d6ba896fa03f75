"""Whose faces a clip's samples show: faces are found in every frame, followed through the clip, and some are kept.

The policy chooses among the tracks, unless a mask, or the difference from its real, points at somebody. (A fake that
follows its real is cut where that was cut: `follow`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmidd.engine.faults import fault
from mmidd.extraction.masks import Mask, Masks
from mmidd.extraction.proof import CHUNK_PIXELS, VIEWS, Look, Search
from mmidd.extraction.sample import ClipSamples, ExtractConfig, Sample, cut, fix_of, view_of
from mmidd.faces import tracks
from mmidd.faces.detector import Detector, Faces
from mmidd.video import Frame, Picture, Pixels, frame_plan

CHUNK = 32
"""Frames detected together: a batch for a GPU."""

MOST_HELD = 100_000_000
"""Pixels of a clip (48 frames of 1080p) that are held until its people are known; beyond, every face is cut at once."""

MOST_FACES = 16
"""Faces of one frame that are then cut, by size: a crowd is not cropped in full."""

PADDING = 0.5
"""Of a side: how wide the border is that a face is given which fills its picture, so that a detector can see it."""

RIVALS = 3
"""So many further people of a real that fakes follow are kept, as long as"""
RIVAL_SIZE = 0.25
"""their boxes' longer sides are this share of the chosen one's, and"""
RIVAL_SEEN = 0.25
"""they are in this share of the frames: a fake may be about any of them, and its pixels say whom."""


@dataclass(eq=False)
class _Look:
    """One frame after detection: its faces, how much of the mask each holds, and all of the mask. The pixels are held until
    it is known who is kept, or (`made`, `view`) every face is cut already."""

    frame: Frame
    size: tuple[int, int]
    picture: Picture | None
    mask: Mask | None
    faces: Faces
    inside: list[float]
    mass: float
    made: dict[int, Sample | str] | None = None
    view: bytes | None = None

    @classmethod
    def at(cls, frame: Frame, picture: Picture, faces: Faces, mask: Mask | None) -> _Look:
        inside = mask.inside(faces.boxes)[0].tolist() if mask is not None else [0.0] * len(faces)
        size = picture.width, picture.height
        return cls(frame, size, picture, mask, faces, inside, mask.mass() if mask is not None else 0.0)

    def sample(self, face: int, config: ExtractConfig) -> Sample | str:
        """The sample of one of the faces, or why there is none."""
        if self.picture is None:
            return (self.made or {}).get(face, "crowd")
        try:
            fix = fix_of(self.picture, self.faces, face, config)
            return cut(self.frame, self.picture, fix, config, self.mask, "own")
        except ValueError:
            return "degenerate_face"

    def seen(self) -> bytes | None:
        """The view of the frame, if it can still be had."""
        return self.view if self.picture is None else view_of(self.picture)

    def let_go(self, config: ExtractConfig) -> None:
        """Cut the largest faces now, hold the pixels no longer, and a view of the frame in which somebody may be kept."""
        if self.picture is None:
            return
        largest = np.argsort(-_areas(self.faces), kind="stable")[:MOST_FACES].tolist()
        self.made = {face: self.sample(face, config) for face in largest}
        self.view = view_of(self.picture) if self.made else None
        self.picture = self.mask = None
        self.frame = replace(self.frame, picture=None)


def _areas(faces: Faces) -> np.ndarray[Any, np.dtype[np.float64]]:
    sides = faces.boxes[:, 2:].astype(np.float64) - faces.boxes[:, :2]
    areas: np.ndarray[Any, np.dtype[np.float64]] = sides[:, 0] * sides[:, 1]
    return areas


@dataclass(frozen=True)
class _Kept:
    """Which tracks are kept, the first as face 0, by what choice, how many were too small, and how many people could have
    been meant."""

    tracks: tuple[int, ...]
    choice: str
    too_small: int
    people: int


def own(
    frames: Iterable[Frame],
    config: ExtractConfig,
    look: Look,
    masks: Masks,
    *,
    led: bool = False,
    search: Search | None = None,
) -> ClipSamples:
    """Detect in every frame, follow the people through the clip, keep those that the mask or the policy chooses.

    A medium that fakes follow (`led`) also keeps the others whom they may be about, and leaves views of a few frames.
    """
    reasons: list[tuple[int, str, str]] = []
    looks = list(_looks(frames, config, look, masks, reasons, led=led, search=search))
    linked = tracks.link([look.faces for look in looks], [look.size for look in looks])
    kept = _choose(linked, looks, config, masks, led=led)
    people = {position: dict(linked[position].faces) for position in kept.tracks}
    shown = [place for place in range(len(looks)) if any(place in faces for faces in people.values())]
    viewed = {shown[place] for place in frame_plan(len(shown), VIEWS, "even")} if led and shown else set()
    samples: list[Sample] = []
    described: set[int] = set()
    lost: Counter[str] = Counter()
    for place, seen in enumerate(looks):
        taken = _samples_at(seen, place, people, config)
        told = [each for each in taken if isinstance(each, str)]
        made = [each for each in taken if isinstance(each, Sample)]
        if made:
            samples += _with_views(made, seen, described, viewed=place in viewed)
            lost.update(told)
        else:
            reasons.append((seen.frame.index, "dropped", told[0] if told else _absent(seen.faces, kept)))
        seen.picture = seen.mask = seen.view = None
    return ClipSamples(samples, reasons, _facts(kept, lost, looks, masks))


def _with_views(made: list[Sample], look: _Look, described: set[int], *, viewed: bool) -> list[Sample]:
    """The samples of a frame, the first of each face with its context, which is a view as well."""
    new = {sample.face for sample in made} - described
    view = look.seen() if new or viewed else None
    described |= new if view is not None else set()
    made = [replace(sample, context=view) if sample.face in new else sample for sample in made]
    if viewed and not new:
        made[0] = replace(made[0], view=view)
    return made


def _looks(
    frames: Iterable[Frame],
    config: ExtractConfig,
    look: Look,
    masks: Masks,
    reasons: list[tuple[int, str, str]],
    *,
    led: bool,
    search: Search | None,
) -> Iterator[_Look]:
    """Every frame that can be seen, with its faces; the others' reasons. Pixels beyond `MOST_HELD` are not held."""
    held: list[_Look] = []
    for chunk in _chunks(frames):
        usable = [(frame, frame.picture) for frame in chunk if frame.picture is not None]
        reasons += [(frame.index, "failed", str(frame.lost)) for frame in chunk if frame.picture is None]
        found = look([picture for _, picture in usable]) if usable else []
        for (frame, picture), faces in zip(usable, found, strict=True):
            if search is not None:
                search.see(frame.index, picture)
            held.append(_Look.at(frame, picture, faces, masks.at(frame.index, picture)))
            yield held[-1]
        if sum(width * height for width, height in (each.size for each in held)) > MOST_HELD:
            for each in held:
                each.let_go(config)
            held.clear()


def _choose(
    linked: Sequence[tracks.Track], looks: Sequence[_Look], config: ExtractConfig, masks: Masks, *, led: bool
) -> _Kept:
    """Whom the clip is about. A person that the mask points at is not replaced by another, even if too small."""
    faces = [look.faces for look in looks]
    sizes = [look.size for look in looks]
    large = [at for at, track in enumerate(linked) if tracks.long_side(track, faces) >= config.least_face]
    small = len(linked) - len(large)
    pointing = config.choice != "all" and masks.present
    pointed = tracks.pointed_at(linked, [look.inside for look in looks]) if pointing else None
    if pointed is not None:
        return _Kept((pointed,) if pointed in large else (), masks.how, small, 1)
    chosen = tuple(large[at] for at in tracks.choose([linked[at] for at in large], faces, config.choice, sizes))
    rivals = () if config.choice == "all" else _rivals(chosen, linked, large, faces)
    return _Kept(chosen + (rivals if led else ()), config.choice, small, len(chosen + rivals))


def _rivals(
    chosen: tuple[int, ...], linked: Sequence[tracks.Track], large: Sequence[int], faces: Sequence[Faces]
) -> tuple[int, ...]:
    """The largest further people who are there often, and about as large as the chosen one."""
    if not chosen:
        return ()
    least = RIVAL_SIZE * tracks.long_side(linked[chosen[0]], faces)
    by_area = [large[at] for at in tracks.choose([linked[at] for at in large], faces, "all")]
    found = [
        at
        for at in by_area
        if at not in chosen
        and len(linked[at].faces) >= RIVAL_SEEN * len(faces)
        and tracks.long_side(linked[at], faces) >= least
    ]
    return tuple(found[:RIVALS])


def _samples_at(look: _Look, place: int, people: dict[int, dict[int, int]], config: ExtractConfig) -> list[Sample | str]:
    """For each kept person who is in the frame, the sample or why there is none."""
    taken: list[Sample | str] = []
    for number, (position, faces) in enumerate(people.items()):
        if place in faces:
            made = look.sample(faces[place], config)
            taken.append(made if isinstance(made, str) else _on_track(made, position, number))
    return taken


def _on_track(sample: Sample, track: int, face: int) -> Sample:
    return replace(sample, fix=replace(sample.fix, track=track, face=face) if sample.fix else None)


def _absent(faces: Faces, kept: _Kept) -> str:
    """Why a frame shows nobody who is kept."""
    if not len(faces):
        return "no_face"
    return "track_absent" if kept.tracks and kept.choice != "all" else "small_face"


def _facts(kept: _Kept, lost: Counter[str], looks: Sequence[_Look], masks: Masks) -> dict[str, Any]:
    facts: dict[str, Any] = {"choice": kept.choice} if any(len(look.faces) for look in looks) else {}
    facts |= {"people": kept.people} if kept.people > 1 and kept.choice != "all" else {}
    facts |= {"small_tracks": kept.too_small} if kept.too_small else {}
    facts |= {"faces_lost": dict(sorted(lost.items()))} if lost else {}
    masked = any(look.mass > 0 for look in looks)
    if masks.counts["mask_frames"] and not masked:
        facts["mask_empty"] = True
    elif masked and not any(any(look.inside) for look in looks):
        facts["mask_on_nobody"] = True
    return facts


def _chunks(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    chunk: list[Frame] = []
    pixels = 0
    for frame in frames:
        chunk.append(frame)
        pixels += frame.picture.width * frame.picture.height if frame.picture else 0
        if len(chunk) == CHUNK or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def detected(detector: Detector, pictures: list[Picture], *, padded: bool) -> list[Faces]:
    """The faces of each picture; with `padded` they are looked for on a copy within a black border."""
    if not padded:
        fault("detect")
        return detector.detect(pictures)
    borders = [(round(PADDING * picture.width), round(PADDING * picture.height)) for picture in pictures]
    copies = [
        Pixels(np.pad(picture.whole(), ((y, y), (x, x), (0, 0)))) for picture, (x, y) in zip(pictures, borders, strict=True)
    ]
    return [
        Faces.ordered(
            faces.boxes - np.array([x, y, x, y], np.float32), faces.landmarks - np.array([x, y], np.float32), faces.scores
        )
        for faces, (x, y) in zip(detector.detect(copies), borders, strict=True)
    ]
