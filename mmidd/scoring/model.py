"""What can be scored with: images as it wants them in, shares of one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmidd.training.images import Fit


@dataclass(frozen=True)
class Look:
    """What a model sees: square images of `side` pixels, brought there by `fit`; `frames` of them for clips; and `columns`
    of the corpus, beside the image."""

    side: int
    fit: Fit = "crop"
    frames: int = 1
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """`fake` (n,) in 0..1; `types` (n, 5) in the order of FORGERY_TYPES, None from a model that knows none."""

    fake: npt.NDArray[np.float64]
    types: npt.NDArray[np.float64] | None = None


class Model(Protocol):
    """A run's network, an ONNX file, a Python function."""

    look: Look
    about: Mapping[str, Any]
    """As `scores.file.About.model`."""

    def scores(self, batch: Mapping[str, Any]) -> Found:
        """Of a batch as a Loader gives it: `image` uint8 tensor (n, 3, side, side), or (n, frames, 3, side, side)."""
        ...
