"""A face of a picture to a sample: where it lies, its crop, its mask, its measures. Nothing is detected here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from mmidd.captions.protocol import CONTEXT_SIDE
from mmidd.curation.quality import Quality, measure
from mmidd.extraction.crop import crop_of
from mmidd.extraction.masks import Mask
from mmidd.faces.align import Border, padded, similarity
from mmidd.faces.detector import DetectorConfig, Faces
from mmidd.faces.encode import ImageConfig, encode
from mmidd.faces.tracks import Policy
from mmidd.video import Frame, Picture

CONTEXT = ImageConfig("jpeg", 90, "420")


@dataclass(frozen=True)
class ExtractConfig:
    """The part of a recipe that extraction reads."""

    spacing: Literal["even", "linspace", "consecutive"]
    size: int
    margin: float
    template: str
    border: Border
    choice: Policy
    least_face: int
    image: ImageConfig
    detector: DetectorConfig
    decoder: str


@dataclass(frozen=True)
class Fix:
    """A face in one frame, as a fake re-uses its real's: size of the frame, box, landmarks, transform, which track of the
    clip it is on, which of the kept faces that is; and of the detection that found it the score, how many faces it found in
    the frame, and the area of the largest other one over this one's."""

    width: int
    height: int
    box: tuple[float, ...]
    landmarks: tuple[tuple[float, ...], ...]
    transform: tuple[float, ...]
    track: int
    face: int = 0
    score: float | None = None
    found: int | None = None
    runner_up: float | None = None


@dataclass(frozen=True)
class TrackRecord:
    """The track record of a real: which frames were planned, where its kept faces are in those that gave a sample (none:
    the whole image was taken), and views (`view_of`) of some of these frames, by which its fakes are checked."""

    planned: tuple[int, ...]
    fixes: Mapping[int, tuple[Fix, ...]]
    views: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def people(self) -> frozenset[int]:
        """The numbers of its kept faces."""
        return frozenset(fix.face for fixes in self.fixes.values() for fix in fixes)


@dataclass(frozen=True)
class Sample:
    """One crop with all that pixels give. `context` and `view` are of its whole frame: one for who describes the
    surroundings, one for who checks the fakes of it."""

    frame: int
    timestamp: float | None
    width: int
    height: int
    fix: Fix | None
    geometry: Literal["own", "shared", "whole"]
    image: bytes
    quality: Quality
    padding: float = 0.0
    context: bytes | None = None
    mask: bytes | None = None
    view: bytes | None = None

    @property
    def face(self) -> int:
        """Which of the medium's kept faces it shows."""
        return self.fix.face if self.fix else 0

    @property
    def face_size(self) -> float | None:
        """Geometric mean of the box's sides, pixels; None for whole images."""
        if self.fix is None:
            return None
        x0, y0, x1, y1 = self.fix.box
        return float(np.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0)))


class ClipSamples(NamedTuple):
    """The samples of a clip's frames, why the other frames gave none, and what was learned of its people."""

    samples: list[Sample]
    reasons: list[tuple[int, str, str]]
    facts: dict[str, Any]


def fix_of(picture: Picture, faces: Faces, face: int, config: ExtractConfig) -> Fix:
    """Where a detected face lies, as the first track and face. Raises ValueError where its landmarks fit no crop."""
    landmarks = faces.landmarks[face]
    areas = np.prod(faces.boxes[:, 2:].astype(np.float64) - faces.boxes[:, :2], axis=1)
    others = np.delete(areas, face)
    transform = similarity(landmarks, size=config.size, margin=config.margin, template=config.template)
    return Fix(
        picture.width,
        picture.height,
        tuple(faces.boxes[face].tolist()),
        tuple(tuple(point) for point in landmarks.tolist()),
        tuple(transform.ravel().tolist()),
        0,
        score=float(faces.scores[face]),
        found=len(faces),
        runner_up=float(others.max() / areas[face]) if len(others) else None,
    )


def cut(
    frame: Frame,
    picture: Picture,
    fix: Fix,
    config: ExtractConfig,
    mask: Mask | None,
    geometry: Literal["own", "shared"],
) -> Sample:
    """The sample of one face. Raises ValueError for a transform that cuts nothing of the picture."""
    plan, crop, marked = crop_of(picture, fix.transform, config.size, config.border, mask)
    transform = np.array(fix.transform, np.float32).reshape(2, 3)
    beyond = padded(transform, picture.width, picture.height, size=config.size) if plan.padding else None
    return Sample(
        frame.index, frame.timestamp, picture.width, picture.height, fix, geometry, encode(crop, config.image),
        measure(crop, beyond), plan.padding, mask=marked,
    )  # fmt: skip


def whole(frame: Frame, picture: Picture, config: ExtractConfig, mask: Mask | None) -> Sample:
    """The sample of a picture as it is, in its own size: nothing is resampled."""
    image = picture.whole()
    return Sample(
        frame.index, frame.timestamp, picture.width, picture.height, None, "whole", encode(image, config.image),
        measure(image), mask=mask.whole() if mask is not None and mask.own else None,
    )  # fmt: skip


def view_of(picture: Picture) -> bytes:
    """The whole frame, small: for who describes the surroundings or checks a fake of it; never part of a corpus."""
    return encode(picture.small(CONTEXT_SIDE), CONTEXT)
