"""What can be scored with: images as it wants them in, shares of one out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmidd.errors import ScoreError
from mmidd.explanations.reply import Said
from mmidd.schema import FORGERY_TYPES
from mmidd.scores.columns import TYPES_OFF
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
    """`fake` (n,) in 0..1; `types` (n, 5) in the order of FORGERY_TYPES, None from a model that knows none; `said`: of each
    image, from a model that was asked to explain; one without an answer has the score NaN."""

    fake: npt.NDArray[np.float64]
    types: npt.NDArray[np.float64] | None = None
    said: tuple[Said, ...] | None = None


class Model(Protocol):
    """A run's network, an ONNX file, a Python function."""

    look: Look
    about: Mapping[str, Any]
    """As `scores.file.About.model`."""

    def scores(self, batch: Mapping[str, Any]) -> Found:
        """Of a batch as a Loader gives it: `image` uint8 tensor (n, 3, side, side), or (n, frames, 3, side, side)."""
        ...


def checked(fake: Any, types: Any, rows: int, whose: str) -> Found:
    """What a model gave of so many images, as `Found`; a score that is no finite number stays NaN: such a row has none.

    Raises ScoreError, which begins with `whose`, for another shape, for scores out of 0..1, and for types that do not add
    up to 1.
    """
    found = _floats(fake, (rows,), f"{whose}: scores")
    if wrong := _outside(found):
        raise ScoreError(f"{whose}: scores are shares of 0..1 (how likely an image is forged), it gave {wrong}")
    if types is None:
        return Found(found)
    kinds = _floats(types, (rows, len(FORGERY_TYPES)), f"{whose}: types")
    finite = np.isfinite(kinds).all(1)
    off = np.abs(kinds[finite].sum(1) - 1)
    if (wrong := _outside(kinds)) or (off > TYPES_OFF).any():
        told = wrong or f"a sum {off.max():g} away from 1"
        order = ", ".join(FORGERY_TYPES)
        raise ScoreError(f"{whose}: types are shares that add up to 1, in the order {order}; it gave {told}")
    return Found(np.where(finite, found, np.nan), kinds)


def _floats(given: Any, shape: tuple[int, ...], what: str) -> npt.NDArray[np.float64]:
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ScoreError(f"{what} are numbers of shape {shape}, not {type(given).__name__}") from error
    if found.shape != shape:
        raise ScoreError(f"{what} are of shape {found.shape}, not {shape}")
    return found


def _outside(found: npt.NDArray[np.float64]) -> str | None:
    there = found[np.isfinite(found)]
    if not len(there) or (there.min() >= 0 and there.max() <= 1):
        return None
    return f"{float(there.min())!r} to {float(there.max())!r}"
