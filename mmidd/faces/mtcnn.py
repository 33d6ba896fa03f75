"""MTCNN (facenet-pytorch 2.5.3): the embedded detector, whose weights come inside its wheel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from mmidd.errors import DetectorFault, MmiddError
from mmidd.faces.detector import DetectorConfig, Device, Faces, Image, Kind, Reduced, gather, reduce

GPU_BATCH = 32


class Mtcnn:
    """Frames go singly on a CPU (a batch gains nothing there and moves last bits), in batches of one size on a GPU."""

    kind: Kind = "mtcnn"

    def __init__(self, config: DetectorConfig, device: Device) -> None:
        self._config = config
        self._batch = 1 if device == "cpu" else GPU_BATCH
        self._model = _load(config, device)

    def detect(self, frames: Sequence[Image]) -> list[Faces]:
        """See `Detector.detect`."""
        working = [reduce(frame, self._config.size) for frame in frames]
        results = [Faces.empty()] * len(working)
        for members in _batches(working, self._config.min_face, self._batch):
            for index, faces in zip(members, self._detect_equal([working[i] for i in members]), strict=True):
                results[index] = faces
        return results

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


def _batches(frames: list[Reduced], min_face: int, most: int) -> Iterator[list[int]]:
    """Positions of frames of one size, at most `most` together; frames too small to hold a face are left out."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        if min(frame.image.shape[:2]) >= min_face:
            by_size.setdefault(frame.image.shape, []).append(index)
    for members in by_size.values():
        for start in range(0, len(members), most):
            yield members[start : start + most]


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
