"""YuNet (OpenCV's face_detection_yunet_2023mar): the recommended detector on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmidd.errors import DetectorFault
from mmidd.faces import weights
from mmidd.faces.detector import DetectorConfig, Faces, Image, Kind, Reduced, gather, reduce

NMS_IOU = 0.3
TOP_K = 5000


class YuNet:
    """One frame at a time, one thread; the network's input takes the size of each working frame."""

    kind: Kind = "yunet"

    def __init__(self, config: DetectorConfig) -> None:
        cv2.setNumThreads(1)
        self._config = config
        self._model = _load(config.threshold)

    def detect(self, frames: Sequence[Image]) -> list[Faces]:
        """See `Detector.detect`."""
        return [self._detect_one(reduce(frame, self._config.size)) for frame in frames]

    def _detect_one(self, frame: Reduced) -> Faces:
        height, width = frame.image.shape[:2]
        try:
            self._model.setInputSize((width, height))
            _, rows = self._model.detect(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise DetectorFault(f"yunet failed on a frame of {width}x{height}") from error
        if rows is None:
            return Faces.empty()
        # a row: x, y, w, h, five points (subject's right eye first: the one on the image's left), score
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        return gather(corners, rows[:, 4:14], rows[:, 14], self._config, frame)


def _load(threshold: float) -> cv2.FaceDetectorYN:
    model = np.frombuffer(weights.read(weights.YUNET), np.uint8)
    level = cv2.utils.logging.getLogLevel()
    # OpenCV 5 warns at every load that its new engine takes no target; there is only the CPU to choose
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        return cv2.FaceDetectorYN.create("onnx", model, np.zeros(0, np.uint8), (320, 320), threshold, NMS_IOU, TOP_K)
    finally:
        cv2.utils.logging.setLogLevel(level)
