"""MTCNN (facenet-pytorch 2.5.3): the embedded detector, whose weights come inside its wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmidd.errors import DetectorFault, MmiddError
from mmidd.faces.detector import DetectorConfig, Device, Faces, Kind, Reduced, gather, stepwise
from mmidd.faces.onnx import GPU_BATCH, batches
from mmidd.video.picture import Picture


class Mtcnn:
    """Frames go singly on a CPU (a batch gains nothing there and moves last bits), in batches of one size on a GPU."""

    kind: Kind = "mtcnn"

    def __init__(self, config: DetectorConfig, device: Device) -> None:
        self._config = config
        self._batch = 1 if device == "cpu" else GPU_BATCH
        self._model = _load(config, device)

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """See `Detector.detect`."""
        return stepwise(frames, self._config, self._look)

    def _look(self, frames: list[Reduced]) -> list[Faces]:
        found = [Faces.empty()] * len(frames)
        for members in batches(frames, self._batch):
            if min(frames[members[0]].image.shape[:2]) < self._config.min_face:
                continue  # too small to hold a face
            for place, faces in zip(members, self._detect_equal([frames[i] for i in members]), strict=True):
                found[place] = faces
        return found

    def _detect_equal(self, frames: list[Reduced]) -> list[Faces]:
        try:
            boxes, scores, points = self._model.detect(np.stack([f.image for f in frames]), landmarks=True)
        except IndexError as error:
            # facenet-pytorch loses count when a candidate box lies wholly outside the frame
            raise DetectorFault("mtcnn lost a candidate box outside the frame") from error
        return [
            Faces.empty() if box is None else gather(box.tolist(), point.tolist(), score.tolist(), self._config, frame)
            for box, score, point, frame in zip(boxes, scores, points, frames, strict=True)
        ]


def _load(config: DetectorConfig, device: Device) -> Any:
    import torch
    from facenet_pytorch import MTCNN

    if device == "cuda":
        if not torch.cuda.is_available():
            raise MmiddError("device cuda was asked for, but torch sees no CUDA device; use --device cpu")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    else:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    model = MTCNN(min_face_size=config.min_face, keep_all=True, select_largest=False, device=torch.device(device))
    return model.eval()
