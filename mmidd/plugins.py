"""Everything that can be chosen by name, of mmidd and of other installed packages (docs/plugins.md)."""

from __future__ import annotations

from typing import Any

from mmidd.captions.registry import CAPTIONERS
from mmidd.faces.registry import DETECTORS
from mmidd.manifest.folders import DATASETS
from mmidd.registry import Listing, Registry
from mmidd.video.registry import DECODERS

RESERVED: Registry[None] = Registry("detector", "mmidd.detectors", "DETECTOR")
"""Detectors of forgeries that other packages bring: listed, but nothing reads them yet."""
REGISTRIES: tuple[Registry[Any], ...] = (DETECTORS, CAPTIONERS, DECODERS, DATASETS, RESERVED)


def plugins() -> Listing:
    """Every row of every registry; none is imported."""
    return Listing(tuple(row for registry in REGISTRIES for row in registry.listed()))
