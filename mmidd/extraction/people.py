"""Whose faces a clip's samples show: faces are found in every frame, followed through the clip, and some are kept.

A fake that follows its real is cut where that was cut. Elsewhere the policy chooses among the tracks, unless a mask
points at somebody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mmidd.engine.faults import fault
from mmidd.extraction.masks import Mask, Masks
from mmidd.extraction.sample import ExtractConfig, Fix, Sample, TrackRecord, context_of, cut, fix_of, whole
from mmidd.faces import tracks
from mmidd.faces.detector import Detector, Faces
from mmidd.video import Frame, Picture, Pixels

CHUNK = 32
"""Frames detected together: a batch for a GPU."""

CHUNK_PIXELS = 33_000_000
"""What they may hold together (four frames of 4K), so that large frames come in smaller chunks."""

MOST_HELD = 100_000_000
"""Pixels of a clip (48 frames of 1080p) that are held until its people are known; beyond, every face is cut at once."""

MOST_FACES = 16
"""Faces of one frame that are then cut, by size: a crowd is not cropped in full."""

PADDING = 0.5
"""Of a side: how wide the border is that a face is given which fills its picture, so that a detector can see it."""

AROUND = 1.5
"""A box is grown by this factor before a mask is said to lie outside: masks may hold hair and chin, boxes do not."""


class GeometryDiffers(Exception):
    """The real's geometry cannot be taken over: its fake's frames have another size, or the mask lies elsewhere."""


class ClipSamples(NamedTuple):
    """The samples of a clip's frames, why the other frames gave none, and what was learned of its people."""

    samples: list[Sample]
    reasons: list[tuple[int, str, str]]
    facts: dict[str, Any]


def taken_whole(frames: Iterable[Frame], track: TrackRecord | None, config: ExtractConfig, masks: Masks) -> ClipSamples:
    """Take every picture as it is: nothing is detected."""
    samples: list[Sample] = []
    reasons = []
    for frame in frames:
        picture = frame.picture
        if picture is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif track is not None and frame.index not in track.fixes:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        else:
            samples.append(whole(frame, picture, config, masks.at(frame.index, picture)))
    return ClipSamples(samples, reasons, {})


def shared(frames: Iterable[Frame], track: TrackRecord, config: ExtractConfig, masks: Masks) -> ClipSamples:
    """Cut a fake where its real was cut. No detector is asked: what it would have missed cannot show.

    Raises GeometryDiffers for frames of another size, and where most of the fake's mask lies outside the faces.
    """
    samples: list[Sample] = []
    reasons = []
    inside = total = 0.0
    for frame in frames:
        fixes = track.fixes.get(frame.index)
        picture = frame.picture
        if picture is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif not fixes:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        elif (picture.width, picture.height) != (fixes[0].width, fixes[0].height):
            size = f"{fixes[0].width}x{fixes[0].height}"
            raise GeometryDiffers(f"frames of {picture.width}x{picture.height}, its real has {size}")
        else:
            mask = masks.at(frame.index, picture)
            if mask is not None:
                inside += mask.inside(_grown(fixes))[1]
                total += mask.mass()
            for fix in fixes:
                context = None if samples else context_of(picture)
                samples.append(cut(frame, picture, fix, config, mask, context=context))
    if inside < total / 2:
        raise GeometryDiffers(f"{1 - inside / total:.0%} of its mask lie outside its real's faces")
    return ClipSamples(samples, reasons, {"mask_empty": True} if masks.counts["mask_frames"] and not total else {})


def _grown(fixes: Sequence[Fix]) -> np.ndarray[Any, np.dtype[np.float64]]:
    boxes = np.array([fix.box for fix in fixes], np.float64)
    more = (boxes[:, 2:] - boxes[:, :2]) * (AROUND - 1) / 2
    return np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)


@dataclass(eq=False)
class _Look:
    """One frame after detection: its faces, how much of the mask each holds, and all of the mask. The pixels are held until
    it is known who is kept, or (`made`) every face is cut already."""

    frame: Frame
    size: tuple[int, int]
    picture: Picture | None
    mask: Mask | None
    faces: Faces
    inside: list[float]
    mass: float
    made: dict[int, Sample | str] | None = None

    @classmethod
    def at(cls, frame: Frame, picture: Picture, faces: Faces, mask: Mask | None) -> _Look:
        inside = mask.inside(faces.boxes)[0].tolist() if mask is not None else [0.0] * len(faces)
        size = picture.width, picture.height
        return cls(frame, size, picture, mask, faces, inside, mask.mass() if mask is not None else 0.0)

    def sample(self, face: int, config: ExtractConfig) -> Sample | str:
        """The sample of one of the faces, or why there is none."""
        if self.picture is None:
            return (self.made or {}).get(face, "crowd")
        areas = _areas(self.faces)
        others = np.delete(areas, face)
        runner_up = float(others.max() / areas[face]) if len(others) else None
        try:
            return cut(
                self.frame, self.picture, fix_of(self.picture, self.faces, face, config), config, self.mask,
                geometry="own", score=float(self.faces.scores[face]), found=len(self.faces), runner_up=runner_up,
            )  # fmt: skip
        except ValueError:
            return "degenerate_face"

    def let_go(self, config: ExtractConfig) -> None:
        """Cut the largest faces now, each with the frame it is in, and hold the pixels no longer."""
        if self.picture is None:
            return
        largest = np.argsort(-_areas(self.faces), kind="stable")[:MOST_FACES].tolist()
        self.made = {face: self.sample(face, config) for face in largest}
        small = context_of(self.picture) if self.made else None
        self.made = {
            face: made if isinstance(made, str) else replace(made, context=small) for face, made in self.made.items()
        }
        self.picture = self.mask = None
        self.frame = replace(self.frame, picture=None)


def _areas(faces: Faces) -> np.ndarray[Any, np.dtype[np.float64]]:
    sides = faces.boxes[:, 2:].astype(np.float64) - faces.boxes[:, :2]
    areas: np.ndarray[Any, np.dtype[np.float64]] = sides[:, 0] * sides[:, 1]
    return areas


@dataclass(frozen=True)
class _Kept:
    """Which tracks are kept, the first as face 0, by what choice, and how many were too small."""

    tracks: tuple[int, ...]
    choice: str
    too_small: int


def own(frames: Iterable[Frame], config: ExtractConfig, detector: Detector, masks: Masks, *, padded: bool) -> ClipSamples:
    """Detect in every frame, follow the people through the clip, keep those that the mask or the policy chooses."""
    reasons: list[tuple[int, str, str]] = []
    looks = list(_looks(frames, config, detector, masks, reasons, padded=padded))
    linked = tracks.link([look.faces for look in looks], [look.size for look in looks])
    kept = _choose(linked, looks, config, masks)
    people = {position: dict(linked[position].faces) for position in kept.tracks}
    samples: list[Sample] = []
    lost: Counter[str] = Counter()
    for place, look in enumerate(looks):
        taken = _samples_at(look, place, people, config)
        told = [each for each in taken if isinstance(each, str)]
        made = [each for each in taken if isinstance(each, Sample)]
        if made and not samples and look.picture is not None:
            made[0] = replace(made[0], context=context_of(look.picture))
        samples += made
        look.picture = look.mask = None
        if made:
            lost.update(told)
        else:
            reasons.append((look.frame.index, "dropped", told[0] if told else _absent(look.faces, kept)))
    return ClipSamples(_one_context(samples), reasons, _facts(kept, lost, looks, masks))


def _looks(
    frames: Iterable[Frame],
    config: ExtractConfig,
    detector: Detector,
    masks: Masks,
    reasons: list[tuple[int, str, str]],
    *,
    padded: bool,
) -> Iterator[_Look]:
    """Every frame that can be seen, with its faces; the others' reasons. Pixels beyond `MOST_HELD` are not held."""
    held: list[_Look] = []
    for chunk in _chunks(frames):
        usable = [(frame, frame.picture) for frame in chunk if frame.picture is not None]
        reasons += [(frame.index, "failed", str(frame.lost)) for frame in chunk if frame.picture is None]
        found = _detected(detector, [picture for _, picture in usable], padded) if usable else []
        for (frame, picture), faces in zip(usable, found, strict=True):
            held.append(_Look.at(frame, picture, faces, masks.at(frame.index, picture)))
            yield held[-1]
        if sum(width * height for width, height in (look.size for look in held)) > MOST_HELD:
            for look in held:
                look.let_go(config)
            held.clear()


def _choose(linked: Sequence[tracks.Track], looks: Sequence[_Look], config: ExtractConfig, masks: Masks) -> _Kept:
    """Whom the clip is about. A person that the mask points at is not replaced by another, even if too small."""
    faces = [look.faces for look in looks]
    sizes = [look.size for look in looks]
    large = [at for at, track in enumerate(linked) if tracks.long_side(track, faces) >= config.least_face]
    pointing = config.choice != "all" and masks.present
    pointed = tracks.pointed_at(linked, [look.inside for look in looks]) if pointing else None
    if pointed is not None:
        return _Kept((pointed,) if pointed in large else (), "mask", len(linked) - len(large))
    chosen = tracks.choose([linked[at] for at in large], faces, config.choice, sizes)
    return _Kept(tuple(large[place] for place in chosen), config.choice, len(linked) - len(large))


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


def _one_context(samples: list[Sample]) -> list[Sample]:
    """Keep the first context of the clip alone."""
    first = next((place for place, sample in enumerate(samples) if sample.context is not None), None)
    return [sample if place == first else replace(sample, context=None) for place, sample in enumerate(samples)]


def _detected(detector: Detector, pictures: list[Picture], padded: bool) -> list[Faces]:
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
