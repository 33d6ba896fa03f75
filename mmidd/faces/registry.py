"""The face detectors: a row each. What a recipe and a plan have to know of one is here; its code is in its own file."""

from __future__ import annotations

from dataclasses import dataclass

from mmidd.registry import Registry, Row


@dataclass(frozen=True)
class Scores:
    """What a detector's scores mean: `least` is the default threshold of a face; from `sure` on a face that was found in a
    small working frame is believed (docs/detectors.md)."""

    least: float
    sure: float


@dataclass(frozen=True)
class DetectorFacts:
    """`seconds`: CPU time for a frame, assumed until a build has measured; `options`: of the recipe's `detector`, those that
    not every detector has; it needs them all; `wants_gpu`: is a GPU worth its while, where nobody says?"""

    scores: Scores
    seconds: float
    options: tuple[str, ...] = ()
    wants_gpu: bool = True


DETECTORS: Registry[DetectorFacts] = Registry(
    "face detector",
    "mmidd.face_detectors",
    "DETECTOR",
    (
        Row(
            "mtcnn", "mmidd.faces.mtcnn", "MTCNN with facenet-pytorch's weights (MIT): the embedded one",
            DetectorFacts(Scores(0.9, 0.99), 0.05), "faces", ("facenet_pytorch",),
        ),
        Row(
            "yunet", "mmidd.faces.yunet", "YuNet of OpenCV's model zoo (MIT): the recommended one",
            DetectorFacts(Scores(0.7, 0.85), 0.012, wants_gpu=False),
        ),
        Row(
            "scrfd", "mmidd.faces.scrfd", "SCRFD 500m, an InsightFace model: non-commercial research only",
            DetectorFacts(Scores(0.5, 0.7), 0.015),
        ),
        Row(
            "insightface", "mmidd.faces.insightface", "the SCRFD of an InsightFace model pack: non-commercial research only",
            DetectorFacts(Scores(0.5, 0.7), 0.03, ("pack",)),
        ),
    ),
)  # fmt: skip
