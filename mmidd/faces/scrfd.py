"""SCRFD (InsightFace's 500m model with key points); its weights are for non-commercial research only.

The head is anchor-free (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021): at
strides 8, 16 and 32 every cell has two anchor centres, each with a score, four distances to the sides of the box and
five offsets to the points, in units of the stride.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmidd.faces import weights
from mmidd.faces.dense import batches, cells, computed, laid, suppress, whole
from mmidd.faces.detector import (
    DetectorConfig,
    DetectorIdentity,
    DetectorMaker,
    Device,
    Faces,
    Reduced,
    gather,
    open_for,
    pinned_identity,
    stepwise,
)
from mmidd.networks.network import Floats, Model, Network, Pixels
from mmidd.networks.onnx_graph import of_any_size, outputs_of
from mmidd.video.picture import Picture

STRIDES = (8, 16, 32)
ANCHORS = 2
NMS_IOU = 0.4


class Scrfd:
    """A network of nine outputs, whose input takes the size of each working frame."""

    def __init__(self, config: DetectorConfig, network: Network) -> None:
        cv2.setNumThreads(1)
        self.kind = config.kind
        self._config = config
        self._network = network

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """See `Detector.detect`."""
        return stepwise(frames, self._config, self._look)

    def _look(self, frames: list[Reduced]) -> list[Faces]:
        found = [Faces.empty()] * len(frames)
        for members in batches(frames, self._network.most):
            height, width = frames[members[0]].image.shape[:2]
            pictures = laid([frames[place].image for place in members], STRIDES[-1])
            outputs = computed(self._network, pictures, f"{self.kind} failed on a frame of {width}x{height}")
            for at, place in enumerate(members):
                found[place] = self._faces([output[at] for output in outputs], frames[place])
        return found

    def _faces(self, outputs: list[Floats], frame: Reduced) -> Faces:
        boxes, points, scores = decode(outputs, frame.image.shape[:2], self._config.threshold)
        keep = suppress(boxes, scores, NMS_IOU)
        return gather(boxes[keep], points[keep], scores[keep], self._config, frame)


def decode(outputs: Sequence[Floats], shape: tuple[int, ...], threshold: float) -> tuple[Floats, Floats, Floats]:
    """One picture's nine outputs (scores, boxes, points by stride) -> boxes (n,4), points (n,10), scores (n,).

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


def model_of(name: str, network: bytes) -> Model:
    """An SCRFD network that takes any number of pictures of any size, and how it is fed."""
    return Model(name, network, outputs_of(network), Pixels(mean=127.5, spread=128))


def _make(config: DetectorConfig, device: Device) -> Scrfd:
    model = model_of("scrfd", of_any_size(weights.read(weights.SCRFD)))
    return Scrfd(config, open_for(config, model, device))


DETECTOR = DetectorMaker(_identity, _make)
