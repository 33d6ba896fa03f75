"""YuNet (OpenCV model zoo's face_detection_yunet_2023mar) : the recommended detector.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023. The head is anchor-free: at strides 8, 16 and 32
every cell has a class and an objectness score, a box (centre offset and log size) and five points, in units of the
stride. The order of the points is the subject's right eye (the one on the image's left), left eye, nose, mouth corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

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
from mmidd.networks.network import Floats, Model, Pixels
from mmidd.networks.onnx_graph import of_any_size
from mmidd.video.picture import Picture

STRIDES = (8, 16, 32)
HEADS = ("cls", "obj", "bbox", "kps")
OUTPUTS = tuple(f"{head}_{stride}" for head in HEADS for stride in STRIDES)
NMS_IOU = 0.3
MOST_FINDS = 5000


class YuNet:
    """The network's input takes the size of each working frame."""

    kind = "yunet"

    def __init__(self, config: DetectorConfig, device: Device) -> None:
        cv2.setNumThreads(1)
        self._config = config
        model = Model("yunet", of_any_size(weights.read(weights.YUNET)), OUTPUTS, Pixels(bgr=True))  # BGR of 0..255
        self._network = open_for(config, model, device)

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """See `Detector.detect`."""
        return stepwise(frames, self._config, self._look)

    def _look(self, frames: list[Reduced]) -> list[Faces]:
        found = [Faces.empty()] * len(frames)
        for members in batches(frames, self._network.most):
            outputs = self._run([frames[place] for place in members])
            for at, place in enumerate(members):
                found[place] = self._faces([output[at] for output in outputs], frames[place])
        return found

    def _run(self, frames: list[Reduced]) -> list[Floats]:
        height, width = frames[0].image.shape[:2]
        pictures = laid([frame.image for frame in frames], STRIDES[-1])
        return computed(self._network, pictures, f"yunet failed on a frame of {width}x{height}")

    def _faces(self, outputs: list[Floats], frame: Reduced) -> Faces:
        boxes, points, scores = decode(outputs, frame.image.shape[:2], self._config.threshold)
        keep = suppress(boxes, scores, NMS_IOU)
        return gather(boxes[keep], points[keep], scores[keep], self._config, frame)


def decode(outputs: Sequence[Floats], shape: tuple[int, ...], threshold: float) -> tuple[Floats, Floats, Floats]:
    """One picture's outputs (in the order of `OUTPUTS`) -> boxes (n,4), points (n,10), scores (n,), best ones only.

    `shape`: height and width of the picture, whose pixels the coordinates are.
    """
    height, width = (whole(side, STRIDES[-1]) for side in shape)
    levels = len(STRIDES)
    cls, obj, box, point = (np.concatenate(outputs[at : at + levels]) for at in range(0, levels * len(HEADS), levels))
    product = cls[:, 0] * obj[:, 0]
    picked = np.flatnonzero(product >= np.float32(threshold) ** 2)
    cell, stride = (array[picked] for array in _cells(width, height))
    centre = (cell + box[picked, :2]) * stride
    half = np.exp(box[picked, 2:]) * (stride / 2)
    points = (np.tile(cell, 5) + point[picked]) * stride
    scores = np.sqrt(product[picked])
    best = np.argsort(-scores, kind="stable")[:MOST_FINDS]
    return np.concatenate([centre - half, centre + half], axis=1)[best], points[best], scores[best]


@lru_cache(maxsize=64)
def _cells(width: int, height: int) -> tuple[Floats, Floats]:
    """(n,2) column and row of the cells of all strides, and (n,1) their strides."""
    places = [cells(width, height, stride) for stride in STRIDES]
    strides = [np.full((len(level), 1), stride, np.float32) for level, stride in zip(places, STRIDES, strict=True)]
    return np.concatenate(places), np.concatenate(strides)


def _identity(config: DetectorConfig) -> DetectorIdentity:
    weights.locate(weights.YUNET)  # there, and with the pinned digest
    return pinned_identity(config.kind, [weights.YUNET])


DETECTOR = DetectorMaker(_identity, YuNet)
