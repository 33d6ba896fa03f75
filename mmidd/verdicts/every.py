"""Every face of a picture, and among them the one that a corpus would have kept, cut as the corpus would have cut it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmidd.faces.choose import make_detector
from mmidd.faces.detector import Detector, DetectorConfig, Faces
from mmidd.video import Picture

SAME = 0.5
"""Two finds are one face where their boxes share so much of the smaller one."""


class EveryFace:
    """A detector that finds what the corpus's would, in its own steps, and then every other face at the full working size.

    The corpus's may stop at the largest face (`enough`): its box is then that of a smaller working frame, and is kept, so
    that the face which the corpus would have kept is cut as the corpus would have cut it.
    """

    def __init__(self, first: Detector, full: Detector | None) -> None:
        self._first, self._full = first, full

    @property
    def kind(self) -> str:
        return self._first.kind

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        found = self._first.detect(frames)
        if self._full is None:
            return found
        return [both(a, b) for a, b in zip(found, self._full.detect(frames), strict=True)]

    @classmethod
    def of(cls, config: DetectorConfig) -> EveryFace:
        """On the CPU, one thread. Raises as `make_detector`."""
        full = make_detector(replace(config, enough=0)) if config.enough else None
        return cls(make_detector(config), full)


def both(first: Faces, full: Faces) -> Faces:
    """The first ones, and those of the others that are none of them."""
    if not len(first) or not len(full):
        return first if len(first) else full
    new = _shared(full.boxes, first.boxes).max(1) < SAME
    if not new.any():
        return first
    pairs = ((first.boxes, full.boxes), (first.landmarks, full.landmarks), (first.scores, full.scores))
    boxes, landmarks, scores = (np.concatenate([a, b[new]]) for a, b in pairs)
    return Faces.ordered(boxes, landmarks, scores)


def _shared(a: Any, b: Any) -> Any:
    """(n, m): what boxes share, of the smaller one's area."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (a, b))
    return inner / np.minimum(area_a[:, None], area_b[None, :])
