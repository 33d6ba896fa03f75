"""Which reference detectors there are: a new one is one file with a `DETECTOR`, and one row here. Imports no torch."""

from __future__ import annotations

from typing import Any

from mmidd.registry import Registry, Row

REFERENCE_DETECTORS: Registry[Any] = Registry(
    "reference detector",
    "mmidd.detectors",
    "DETECTOR",
    (
        Row(
            "gend",
            "mmidd.detectors.gend",
            "layer norms of CLIP, DINOv3 or the Perception Encoder (GenD, WACV 2026)",
            "train",
        ),
    ),
)
