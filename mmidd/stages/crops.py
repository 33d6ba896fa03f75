"""One medium to its samples: decode, detect, choose the person, align, encode, measure. No engine, no labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmidd.captions.protocol import context_of
from mmidd.curation.quality import Quality, measure
from mmidd.errors import EmptyMedia, TooLargeMedia
from mmidd.faces import tracks
from mmidd.faces.align import similarity, warp
from mmidd.faces.detector import Detector, DetectorConfig, Faces
from mmidd.faces.encode import ImageConfig, encode
from mmidd.video import CountMismatch, Frame, frame_plan, open_video, read_still

Image = npt.NDArray[np.uint8]

CHUNK = 8
"""Frames detected together; bounds the decoded pixels held at once."""

MOST_FACES = 16
"""Faces of one frame that can become samples, by size: a crowd is not cropped in full."""

MOST_STILL_BYTES = 512 * 2**20
CONTEXT = ImageConfig("jpeg", 90, "420")


@dataclass(frozen=True)
class Config:
    """The part of a recipe that extraction reads."""

    spacing: Literal["even", "linspace", "consecutive"]
    size: int
    margin: float
    template: str
    border: Literal["black", "reflect"]
    image: ImageConfig
    detector: DetectorConfig
    decoder: Literal["pyav", "decord", "torchcodec"]


@dataclass(frozen=True)
class Fix:
    """A real's face in one frame, as its fakes re-use it: size of the frame, box, landmarks, transform, track."""

    width: int
    height: int
    box: tuple[float, ...]
    landmarks: tuple[tuple[float, ...], ...]
    transform: tuple[float, ...]
    track: int


@dataclass(frozen=True)
class Track:
    """The track record of a real: which frames were planned, and where the face is in those that gave a sample."""

    planned: tuple[int, ...]
    fixes: dict[int, Fix]


@dataclass(frozen=True)
class Sample:
    """One crop with all that pixels give."""

    frame: int
    timestamp: float | None
    width: int
    height: int
    fix: Fix
    geometry: Literal["own", "shared", "whole"]
    score: float | None
    faces_found: int | None
    runner_up: float | None
    image: bytes
    quality: Quality
    context: bytes | None = None

    @property
    def face_size(self) -> float:
        """Geometric mean of the box's sides, pixels."""
        x0, y0, x1, y1 = self.fix.box
        return float(np.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0)))


@dataclass(frozen=True)
class Crops:
    """What a medium gave. Every planned frame is a sample or has a reason: (frame, dropped or failed, reason)."""

    planned: tuple[int, ...]
    samples: tuple[Sample, ...]
    reasons: tuple[tuple[int, str, str], ...]
    fps: float | None = None
    codec: str | None = None
    jpeg_quality: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class GeometryDiffers(Exception):
    """The fake's frames are not of its real's size: its geometry cannot be taken over."""


def video_crops(path: Path, count: int, config: Config, detector: Detector, track: Track | None) -> Crops:
    """The samples of a video. Raises MediaError where nothing of it can be used."""
    try:
        return _recounting(path, count, config, detector, track)
    except GeometryDiffers as error:
        crops = _recounting(path, count, config, detector, None)
        return _with_facts(crops, geometry_note=str(error))


def _recounting(path: Path, count: int, config: Config, detector: Detector, track: Track | None) -> Crops:
    try:
        return _video(path, count, config, detector, track, recount=False)
    except CountMismatch:
        return _video(path, count, config, detector, track, recount=True)


def _video(path: Path, count: int, config: Config, detector: Detector, track: Track | None, *, recount: bool) -> Crops:
    with open_video(path, config.decoder, recount=recount) as video:
        clip = video.clip
        if clip.frame_count == 0:
            raise EmptyMedia("the video has no frame")
        there = clip.frame_count + clip.cut_off
        planned = track.planned if track else frame_plan(there, count, config.spacing)
        frames = video.frames([index for index in planned if index < clip.frame_count])
        samples, reasons = _shared(frames, track, config) if track else _own(frames, config, detector)
        reasons += [(index, "failed", "file_cut_off") for index in planned if clip.frame_count <= index < there]
        reasons += [(index, "dropped", "pair_short") for index in planned if index >= there]
        facts = {
            "frame_count": clip.frame_count,
            "recounted": clip.recounted,
            "rotation": clip.rotation,
            "sample_aspect_ratio": round(clip.sample_aspect_ratio, 6),
        }
        return Crops(planned, tuple(samples), tuple(sorted(reasons)), clip.fps, clip.codec, None, facts)


def still_crops(path: Path, config: Config, detector: Detector, track: Track | None) -> Crops:
    """The sample of an image. Raises MediaError where it cannot be decoded."""
    if path.stat().st_size > MOST_STILL_BYTES:
        raise TooLargeMedia(f"an image file of more than {MOST_STILL_BYTES} bytes")
    still = read_still(path.read_bytes())
    frame = Frame(0, None, still.image, None)
    note = None
    try:
        samples, reasons = _shared([frame], track, config) if track else _own([frame], config, detector)
    except GeometryDiffers as error:
        samples, reasons = _own([frame], config, detector)
        note = str(error)
    crops = Crops((0,), tuple(samples), tuple(reasons), None, still.codec, still.jpeg_quality, {"frame_count": 1})
    if still.frames > 1:
        crops = _with_facts(crops, animated_frames=still.frames)
    return _with_facts(crops, geometry_note=note) if note else crops


def _with_facts(crops: Crops, **facts: Any) -> Crops:
    return replace(crops, facts={**crops.facts, **facts})


Found = tuple[list[Sample], list[tuple[int, str, str]]]


def _shared(frames: Iterable[Frame], track: Track, config: Config) -> Found:
    """Cut a fake where its real was cut. No detector is asked: what it would have missed cannot show."""
    samples: list[Sample] = []
    reasons = []
    for frame in frames:
        fix = track.fixes.get(frame.index)
        if frame.image is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif fix is None:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        elif (frame.image.shape[1], frame.image.shape[0]) != (fix.width, fix.height):
            height, width = frame.image.shape[:2]
            raise GeometryDiffers(f"frames of {width}x{height}, its real has {fix.width}x{fix.height}")
        else:
            context = None if samples else _context(frame.image)
            samples.append(_cut(frame, frame.image, fix, config, "shared", context=context))
    return samples, reasons


@dataclass
class _Seen:
    """What detection left of a clip: per frame its index, its faces, and each face's sample or why there is none."""

    frames: list[int] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)
    cut: list[dict[int, Sample | str]] = field(default_factory=list)


def _own(frames: Iterable[Frame], config: Config, detector: Detector) -> Found:
    """Detect in every frame, follow the people through the clip, keep one: the largest over the whole of it."""
    seen = _Seen()
    reasons: list[tuple[int, str, str]] = []
    for chunk in _chunks(frames, CHUNK):
        usable = [(frame, frame.image) for frame in chunk if frame.image is not None]
        reasons += [(frame.index, "failed", str(frame.lost)) for frame in chunk if frame.image is None]
        found = detector.detect([image for _, image in usable]) if usable else []
        context = None
        for (frame, image), faces in zip(usable, found, strict=True):
            fresh = _context(image) if len(faces) and context is None else None
            context = context or fresh
            seen.frames.append(frame.index)
            seen.faces.append(faces)
            seen.cut.append(_cut_all(frame, image, faces, config, fresh))
    linked = tracks.link(seen.faces)
    chosen = tracks.choose(linked, seen.faces)
    person = dict(linked[chosen].faces) if chosen is not None else {}
    samples: list[Sample] = []
    for place, index in enumerate(seen.frames):
        sample = _of_person(seen, place, person)
        if isinstance(sample, str):
            reasons.append((index, "dropped", sample))
        else:
            samples.append(replace(sample, fix=replace(sample.fix, track=chosen or 0)))
    return _one_context(samples), reasons


def _chunks(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    rest = iter(frames)
    while chunk := list(islice(rest, size)):
        yield chunk


def _one_context(samples: list[Sample]) -> list[Sample]:
    """Keep the first context of the clip alone."""
    first = next((place for place, sample in enumerate(samples) if sample.context is not None), None)
    return [sample if place == first else replace(sample, context=None) for place, sample in enumerate(samples)]


def _of_person(seen: _Seen, place: int, person: dict[int, int]) -> Sample | str:
    if not len(seen.faces[place]):
        return "no_face"
    if place not in person:
        return "track_absent"
    return seen.cut[place].get(person[place], "crowd")


def _cut_all(frame: Frame, image: Image, faces: Faces, config: Config, context: bytes | None) -> dict[int, Sample | str]:
    """Cut each face now, while the frame is at hand; who is chosen is known only at the end of the clip."""
    sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
    areas = (sides[:, 0] * sides[:, 1]).astype(np.float64)
    largest = np.argsort(-areas, kind="stable")[:MOST_FACES].tolist()
    cut: dict[int, Sample | str] = {}
    for face in largest:
        others = np.delete(areas, face)
        runner_up = float(others.max() / areas[face]) if len(others) else None
        try:
            fix = _fix(image, faces, face, config)
            score = float(faces.scores[face])
            cut[face] = _cut(frame, image, fix, config, "own", score, len(faces), runner_up, context)
        except ValueError:
            cut[face] = "degenerate_face"
    return cut


def _fix(image: Image, faces: Faces, face: int, config: Config) -> Fix:
    landmarks = faces.landmarks[face]
    transform = similarity(landmarks, size=config.size, margin=config.margin, template=config.template)
    return Fix(
        image.shape[1],
        image.shape[0],
        tuple(faces.boxes[face].tolist()),
        tuple(tuple(point) for point in landmarks.tolist()),
        tuple(transform.ravel().tolist()),
        0,
    )


def _cut(
    frame: Frame,
    image: Image,
    fix: Fix,
    config: Config,
    geometry: Literal["own", "shared"],
    score: float | None = None,
    found: int | None = None,
    runner_up: float | None = None,
    context: bytes | None = None,
) -> Sample:
    transform = np.array(fix.transform, np.float32).reshape(2, 3)
    crop = warp(image, transform, size=config.size, border=config.border)
    height, width = image.shape[:2]
    return Sample(
        frame.index, frame.timestamp, width, height, fix, geometry, score, found, runner_up,
        encode(crop, config.image), measure(crop), context,
    )  # fmt: skip


def _context(image: Image) -> bytes:
    """The whole frame, small, for who describes the surroundings; never part of a corpus."""
    return encode(context_of(image), CONTEXT)
