"""SCRFD (InsightFace's 500m model with key points) on onnxruntime; its weights are for non-commercial research only.

The head is anchor-free (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021): at
strides 8, 16 and 32 every cell has two anchor centres, each with a score, four distances to the sides of the box and
five offsets to the points, in units of the stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmidd.faces import weights
from mmidd.faces.detector import (
    DetectorConfig,
    DetectorIdentity,
    DetectorMaker,
    Device,
    Faces,
    Reduced,
    gather,
    pinned_identity,
    stepwise,
)
from mmidd.faces.onnx import Floats, cells, computed, laid, of_any_size, session, suppress, whole
from mmidd.video.picture import Picture

STRIDES = (8, 16, 32)
ANCHORS = 2
NMS_IOU = 0.4


class Scrfd:
    """A session on a network of nine outputs, whose input takes the size of each working frame: one at a time."""

    def __init__(self, config: DetectorConfig, network: Any) -> None:
        cv2.setNumThreads(1)
        self.kind = config.kind
        self._config = config
        self._session = network

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """See `Detector.detect`."""
        return stepwise(frames, self._config, lambda working: [self._look(frame) for frame in working])

    def _look(self, frame: Reduced) -> Faces:
        height, width = frame.image.shape[:2]
        data = (laid(frame.image, STRIDES[-1]) - np.float32(127.5)) / np.float32(128)
        outputs = computed(self._session, None, data, f"{self.kind} failed on a frame of {width}x{height}")
        boxes, points, scores = decode(outputs, (height, width), self._config.threshold)
        keep = suppress(boxes, scores, NMS_IOU)
        return gather(boxes[keep], points[keep], scores[keep], self._config, frame)


def decode(outputs: Sequence[Floats], shape: tuple[int, ...], threshold: float) -> tuple[Floats, Floats, Floats]:
    """Nine outputs (scores, boxes, points by stride) -> boxes (n,4), points (n,10), scores (n,).

    `shape`: height and width of the picture, whose pixels the coordinates are.
    """
    height, width = (whole(side, STRIDES[-1]) for side in shape)
    boxes, points, scores = [], [], []
    for level, stride in enumerate(STRIDES):
        score = outputs[level].reshape(-1)
        picked = np.flatnonzero(score >= np.float32(threshold))
        centre = np.repeat(cells(width, height, stride) * stride, ANCHORS, axis=0)[picked]
        sides = outputs[level + 3].reshape(-1, 4)[picked] * stride
        offsets = outputs[level + 6].reshape(-1, 10)[picked] * stride
        boxes.append(np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1))
        points.append(np.tile(centre, 5) + offsets)
        scores.append(score[picked])
    return np.concatenate(boxes), np.concatenate(points), np.concatenate(scores)


def _identity(config: DetectorConfig) -> DetectorIdentity:
    weights.locate(weights.SCRFD)  # there, and with the pinned digest
    return pinned_identity(config.kind, [weights.SCRFD])


def _make(config: DetectorConfig, device: Device) -> Scrfd:
    return Scrfd(config, session(of_any_size(weights.read(weights.SCRFD)), device))


DETECTOR = DetectorMaker(_identity, _make)
