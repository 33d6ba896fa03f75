"""SCRFD (InsightFace's 500m model with key points) on onnxruntime; its weights are for non-commercial research only.

The head is anchor-free (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021): at
strides 8, 16 and 32 every cell has two anchor centres, each with a score, four distances to the sides of the box and
five offsets to the points, in units of the stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.errors import MmiddError
from mmidd.faces import weights
from mmidd.faces.detector import DetectorConfig, Device, Faces, Image, Kind, Reduced, gather, reduce

INPUT = 640
STRIDES = (8, 16, 32)
ANCHORS = 2
NMS_IOU = 0.4

Floats = npt.NDArray[np.float32]


class Scrfd:
    """One frame at a time; working frames are laid into the network's fixed 640x640 input."""

    kind: Kind = "scrfd"

    def __init__(self, config: DetectorConfig, device: Device) -> None:
        cv2.setNumThreads(1)
        self._config = config
        self._session = _load(device)
        self._input = self._session.get_inputs()[0].name

    def detect(self, frames: Sequence[Image]) -> list[Faces]:
        """See `Detector.detect`."""
        return [self._detect_one(reduce(frame, self._config.size)) for frame in frames]

    def _detect_one(self, frame: Reduced) -> Faces:
        outputs = self._session.run(None, {self._input: letterbox(frame.image)})
        boxes, points, scores = decode(outputs, self._config.threshold)
        keep = suppress(boxes, scores, NMS_IOU)
        return gather(boxes[keep], points[keep], scores[keep], self._config, frame)


def letterbox(image: Image) -> Floats:
    """(H,W,3) uint8 RGB, sides at most 640 -> (1,3,640,640) float32 of (x - 127.5) / 128, black below and right."""
    canvas = np.zeros((INPUT, INPUT, 3), np.float32)
    canvas[: image.shape[0], : image.shape[1]] = image
    return np.ascontiguousarray(((canvas - 127.5) / 128).transpose(2, 0, 1)[None], np.float32)


def decode(outputs: Sequence[Floats], threshold: float) -> tuple[Floats, Floats, Floats]:
    """Nine outputs (scores, boxes, points by stride) -> boxes (n,4), points (n,10), scores (n,) in input pixels."""
    boxes, points, scores = [], [], []
    for level, stride in enumerate(STRIDES):
        score = outputs[level].reshape(-1)
        picked = np.flatnonzero(score >= np.float32(threshold))
        centre = _centres(stride)[picked]
        sides = outputs[level + 3].reshape(-1, 4)[picked] * stride
        offsets = outputs[level + 6].reshape(-1, 10)[picked] * stride
        boxes.append(np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1))
        points.append(np.tile(centre, 5) + offsets)
        scores.append(score[picked])
    return np.concatenate(boxes), np.concatenate(points), np.concatenate(scores)


@cache
def _centres(stride: int) -> Floats:
    steps = np.arange(0, INPUT, stride, dtype=np.float32)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.repeat(np.stack([x, y], -1).reshape(-1, 2), ANCHORS, axis=0)


def suppress(boxes: Floats, scores: Floats, iou: float) -> list[int]:
    """Greedy non-maximum suppression: positions kept, best score first (ties: first position)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while len(left):
        best, rest = left[0], left[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        left = rest[common <= iou * (areas[best] + areas[rest] - common)]
    return keep


def _load(device: Device) -> Any:
    import onnxruntime

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise MmiddError(
            "device cuda was asked for, but this onnxruntime has no CUDA (pip install onnxruntime-gpu), or use --device cpu"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(weights.read(weights.SCRFD), options, providers=[provider])
