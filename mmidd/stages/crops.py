"""One medium to its samples: decode, detect, choose the person, align, encode, measure. No engine, no labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from mmidd.captions.protocol import context_of
from mmidd.curation.quality import Quality, measure
from mmidd.errors import EmptyMedia, MediaError, TooLargeMedia
from mmidd.faces import tracks
from mmidd.faces.align import similarity, warp
from mmidd.faces.detector import Detector, DetectorConfig, Faces
from mmidd.faces.encode import ImageConfig, encode
from mmidd.manifest import Faces as Mode
from mmidd.video import CountMismatch, Frame, Still, frame_plan, open_video, read_still

Image = npt.NDArray[np.uint8]

CHUNK = 8
"""Frames detected together; bounds the decoded pixels held at once."""

MOST_FACES = 16
"""Faces of one frame that can become samples, by size: a crowd is not cropped in full."""

PADDING = 0.5
"""Of a side: how wide the border is that a face is given which fills its picture, so that a detector can see it."""

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
    """The track record of a real: which frames were planned, and where the face is in those that gave a sample (None:
    the whole image was taken)."""

    planned: tuple[int, ...]
    fixes: dict[int, Fix | None]


@dataclass(frozen=True)
class Sample:
    """One crop with all that pixels give."""

    frame: int
    timestamp: float | None
    width: int
    height: int
    fix: Fix | None
    geometry: Literal["own", "shared", "whole"]
    score: float | None
    faces_found: int | None
    runner_up: float | None
    image: bytes
    quality: Quality
    context: bytes | None = None

    @property
    def face_size(self) -> float | None:
        """Geometric mean of the box's sides, pixels; None for whole images."""
        if self.fix is None:
            return None
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


@dataclass(frozen=True)
class Way:
    """How one medium's faces are had: where they are looked for, by whom, and whose track record is followed."""

    config: Config
    detector: Detector
    mode: Mode = "detect"
    track: Track | None = None

    @property
    def alone(self) -> Way:
        """The same without a track record."""
        return replace(self, track=None)

    def samples(self, frames: Iterable[Frame]) -> Found:
        """The samples of a clip's frames, and the frames that gave none. Raises GeometryDiffers."""
        if self.mode in ("keep", "whole"):
            return _whole(frames, self.track, self.config)
        if self.track:
            return _shared(frames, self.track, self.config)
        return _own(frames, self.config, self.detector, padded=self.mode == "padded")


def video_crops(path: Path | BinaryIO, count: int, way: Way) -> Crops:
    """The samples of a video. Raises MediaError where nothing of it can be used."""
    try:
        return _recounting(path, count, way)
    except GeometryDiffers as error:
        crops = _recounting(path, count, way.alone)
        return _with_facts(crops, geometry_note=str(error))


def _recounting(path: Path | BinaryIO, count: int, way: Way) -> Crops:
    try:
        return _video(path, count, way, recount=False)
    except CountMismatch:
        return _video(path, count, way, recount=True)


def _video(path: Path | BinaryIO, count: int, way: Way, *, recount: bool) -> Crops:
    config, track = way.config, way.track
    with open_video(path, config.decoder, recount=recount) as video:
        clip = video.clip
        if clip.frame_count == 0:
            raise EmptyMedia("the video has no frame")
        there = clip.frame_count + clip.cut_off
        planned = track.planned if track else frame_plan(there, count, config.spacing)
        frames = video.frames([index for index in planned if index < clip.frame_count])
        samples, reasons = way.samples(frames)
        reasons += [(index, "failed", "file_cut_off") for index in planned if clip.frame_count <= index < there]
        reasons += [(index, "dropped", "pair_short") for index in planned if index >= there]
        facts = {
            "frame_count": clip.frame_count,
            "recounted": clip.recounted,
            "rotation": clip.rotation,
            "sample_aspect_ratio": round(clip.sample_aspect_ratio, 6),
        }
        return Crops(planned, tuple(samples), tuple(sorted(reasons)), clip.fps, clip.codec, None, facts)


def planned_numbers(numbers: Sequence[int], count: int, config: Config, track: Track | None) -> tuple[int, ...]:
    """Which frames of a clip of numbered images are taken: its real's, or a plan over those that are there."""
    if track is not None:
        return track.planned
    return tuple(numbers[place] for place in frame_plan(len(numbers), count, config.spacing))


def frames_crops(numbers: Sequence[int], read: Callable[[int], bytes], count: int, way: Way) -> Crops:
    """The samples of a clip of numbered images, ascending; `read` gives an image's bytes. A frame is its number.

    Raises MediaError where nothing of it can be used.
    """
    try:
        return _frames(numbers, read, count, way)
    except GeometryDiffers as error:
        return _with_facts(_frames(numbers, read, count, way.alone), geometry_note=str(error))


def _frames(numbers: Sequence[int], read: Callable[[int], bytes], count: int, way: Way) -> Crops:
    planned = planned_numbers(numbers, count, way.config, way.track)
    there = frozenset(numbers)
    stills: list[Still] = []
    frames = (_numbered(number, read, stills) for number in planned if number in there)
    samples, reasons = way.samples(frames)
    reasons += [(number, "dropped", "pair_short") for number in planned if number not in there]
    codecs = sorted({still.codec for still in stills})
    qualities = {still.jpeg_quality for still in stills}
    return Crops(
        planned, tuple(samples), tuple(sorted(reasons)), None, "+".join(codecs) or None,
        qualities.pop() if len(qualities) == 1 else None, {"frame_count": len(numbers)},
    )  # fmt: skip


def _numbered(number: int, read: Callable[[int], bytes], stills: list[Still]) -> Frame:
    """One image as a frame; what is told of its file goes to `stills`, without the pixels."""
    try:
        still = read_still(read(number))
    except TooLargeMedia:
        return Frame(number, None, None, "too_large_frame")
    except MediaError:
        return Frame(number, None, None, "undecodable_frame")
    stills.append(replace(still, image=still.image[:0]))
    return Frame(number, None, still.image)


def still_crops(data: bytes, way: Way) -> Crops:
    """The sample of an image file's bytes. Raises MediaError where it cannot be decoded."""
    still = read_still(data)
    frame = Frame(0, None, still.image, None)
    note = None
    try:
        samples, reasons = way.samples([frame])
    except GeometryDiffers as error:
        samples, reasons = way.alone.samples([frame])
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


def _whole(frames: Iterable[Frame], track: Track | None, config: Config) -> Found:
    """Take every picture as it is, in its own size: nothing is detected, nothing is resampled."""
    samples: list[Sample] = []
    reasons = []
    for frame in frames:
        if frame.image is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif track is not None and frame.index not in track.fixes:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        else:
            height, width = frame.image.shape[:2]
            samples.append(
                Sample(
                    frame.index,
                    frame.timestamp,
                    width,
                    height,
                    None,
                    "whole",
                    None,
                    None,
                    None,
                    encode(frame.image, config.image),
                    measure(frame.image),
                )
            )
    return samples, reasons


def _found(detector: Detector, images: list[Image], padded: bool) -> list[Faces]:
    """The faces of each image; with `padded` they are looked for on a copy within a black border."""
    if not padded:
        return detector.detect(images)
    borders = [tuple(round(PADDING * side) for side in image.shape[:2]) for image in images]
    copies = [np.pad(image, ((y, y), (x, x), (0, 0))) for image, (y, x) in zip(images, borders, strict=True)]
    return [
        Faces.ordered(
            faces.boxes - np.array([x, y, x, y], np.float32), faces.landmarks - np.array([x, y], np.float32), faces.scores
        )
        for faces, (y, x) in zip(detector.detect(copies), borders, strict=True)
    ]


@dataclass
class _Seen:
    """What detection left of a clip: per frame its index, its faces, and each face's sample or why there is none."""

    frames: list[int] = field(default_factory=list)
    faces: list[Faces] = field(default_factory=list)
    cut: list[dict[int, Sample | str]] = field(default_factory=list)


def _own(frames: Iterable[Frame], config: Config, detector: Detector, *, padded: bool) -> Found:
    """Detect in every frame, follow the people through the clip, keep one: the largest over the whole of it."""
    seen = _Seen()
    reasons: list[tuple[int, str, str]] = []
    for chunk in _chunks(frames, CHUNK):
        usable = [(frame, frame.image) for frame in chunk if frame.image is not None]
        reasons += [(frame.index, "failed", str(frame.lost)) for frame in chunk if frame.image is None]
        found = _found(detector, [image for _, image in usable], padded) if usable else []
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
            samples.append(_on_track(sample, chosen or 0))
    return _one_context(samples), reasons


def _on_track(sample: Sample, track: int) -> Sample:
    return replace(sample, fix=replace(sample.fix, track=track) if sample.fix else None)


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
