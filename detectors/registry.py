"""Which reference detectors there are: a new one is one file with a `DETECTOR`, and one row here. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mmidd.errors import MissingExtra, UsageError
from mmidd.registry import Registry, Row

if TYPE_CHECKING:
    from mmidd.runs.detector import Detector


@dataclass(frozen=True)
class Facts:
    """What is known of a detector without importing it: parts of what its `DETECTOR` says, and what its network with the
    defaults of its options has (`parameters` in all, `trained` of them), which is what its preset `paper` trains."""

    paper: str
    code_licence: str
    backbone: str
    backbone_licence: str
    parameters: int
    trained: int
    needs: tuple[str, ...] = ("label",)
    presets: tuple[str, ...] = ("paper", "small", "tiny")


CLIP = ("CLIP ViT-L/14", "MIT")
REFERENCE_DETECTORS: Registry[Facts] = Registry(
    "reference detector",
    "mmidd.detectors",
    "DETECTOR",
    (
        Row(
            "gend", "mmidd.detectors.gend", "layer norms of CLIP, DINOv3 or the Perception Encoder, and a linear head",
            Facts("arXiv 2508.06248 (WACV 2026)", "MIT", *CLIP, 303_968_258, 104_450),
            "train", ("torch", "transformers"),
        ),
    ),
)  # fmt: skip


def reference_detector(name: str) -> Detector:
    """The reference detector of that name, its module imported now.

    Raises UsageError for none, MissingExtra where torch or what it needs is not installed, PluginError for another package's
    that does not work."""
    if name not in REFERENCE_DETECTORS:
        known = sorted(REFERENCE_DETECTORS.names())
        near = get_close_matches(name, known, 1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)} (mmidd plugins lists face detectors)"
        )
        raise UsageError(f"there is no reference detector {name!r}; {hint}")
    try:
        from mmidd.runs.detector import Detector
    except ModuleNotFoundError as error:
        raise MissingExtra("train", f"the reference detector {name}") from error
    return REFERENCE_DETECTORS.load(name, Detector)
