"""What a captioner is given, what it gives back, how one is configured, and how it says what it is.

A request holds pixels and geometry only: no label, path, dataset or method, so that no captioner can leak them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mmidd.captions import prompts

CONTEXT_SIDE = 336

# What `caption_status` can say.
OK = "ok"
SHARED = "shared"
NOT_JSON, CUT_OFF, REFUSAL, EMPTY = "not_json", "cut_off", "refusal", "empty"
MARKUP, WRONG_LANGUAGE, LEAK, CROSS_TALK = "markup", "wrong_language", "leak", "cross_talk"
LOOPING, TOO_LONG = "looping", "too_long"
REJECTED, NO_ANSWER = "rejected", "no_answer"
LINT = (NOT_JSON, CUT_OFF, REFUSAL, EMPTY, MARKUP, WRONG_LANGUAGE, LEAK, CROSS_TALK, LOOPING, TOO_LONG)


@dataclass(frozen=True, eq=False)
class CaptionRequest:
    """One sample to describe.

    `crop`: (h, w, 3) uint8 RGB, the face crop or the whole image. `context`: (h, w, 3) uint8 RGB, the upright frame
    reduced to at most 336 pixels on its long side, or null. `landmarks`: (5, 2) float32 in pixels of the crop (eyes,
    nose, mouth corners, image left first); null for whole images. `face_box`: (4,) float32 xyxy in pixels of the
    upright frame, or null. `frame_size`: width and height of the upright frame. Of a clip there is one context, from one of
    its frames: `context_box`, (4,) float32 xyxy in pixels of the context, is the face there; null where that is `face_box`,
    scaled. `padding`: (h, w) bool, where the crop shows no frame; null: nowhere. It is no part of the scene, whatever
    colour it has. Raises ValueError for anything else.
    """

    crop: npt.NDArray[np.uint8]
    context: npt.NDArray[np.uint8] | None
    landmarks: npt.NDArray[np.float32] | None
    face_box: npt.NDArray[np.float32] | None
    frame_size: tuple[int, int]
    context_box: npt.NDArray[np.float32] | None = None
    padding: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _check_image("crop", self.crop)
        if self.context is not None:
            _check_image("context", self.context)
            if max(self.context.shape[:2]) > CONTEXT_SIDE:
                raise ValueError(f"the context is {self.context.shape}, more than {CONTEXT_SIDE} pixels on a side")
        _check_points("landmarks", self.landmarks, (5, 2))
        _check_points("face_box", self.face_box, (4,))
        _check_points("context_box", self.context_box, (4,))
        if self.padding is not None and (self.padding.dtype != np.bool_ or self.padding.shape != self.crop.shape[:2]):
            raise ValueError(
                f"the padding must be {self.crop.shape[:2]} bool, not {self.padding.shape} {self.padding.dtype}"
            )
        if min(self.frame_size) < 1:
            raise ValueError(f"the frame size {self.frame_size} is not positive")


@dataclass(frozen=True)
class Asked:
    """What a caption took: replies of a model, their tokens as far as they were told, and why replies were of no use."""

    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caption:
    """Two descriptions, or the reason why there are none: both are null unless `status` is "ok"."""

    face: str | None
    environment: str | None
    status: str
    asked: Asked = Asked()

    def __post_init__(self) -> None:
        if (self.status == OK) != (self.face is not None and self.environment is not None):
            raise ValueError(f"a caption has both texts exactly when it is ok, not {self}")
        if self.status != OK and (self.face, self.environment) != (None, None):
            raise ValueError(f"a caption that is not ok has no text, not {self}")


class Captioner(Protocol):
    """Describes samples. `name` goes into the corpus's `captioner` column; `batch` requests at a time suit it best."""

    @property
    def name(self) -> str:
        """Who describes, with its version."""
        ...

    @property
    def batch(self) -> int: ...

    def caption(self, requests: Sequence[CaptionRequest]) -> list[Caption]:
        """One caption per request, in their order. A caption never depends on the other requests."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


@dataclass(frozen=True)
class CaptionerConfig:
    """Which captioner describes, and how. docs/captions.md tells what each option means and which kinds read it.

    `journal`: the folder that keeps models' replies; None keeps none. `again`: ask anew where replies were of no use.
    `pinned`: what files hold, as keys name it (part of the identity, digest); a captioner is made of these or not at all.
    """

    kind: str = "attributes"
    every: int = 1
    model: str | None = None
    revision: str | None = None
    prompt: str = prompts.DEFAULT
    max_tokens: int = 200
    base_url: str | None = None
    concurrency: int = 32
    timeout: float = 120.0
    temperature: float = 0.0
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch: int = 8
    journal: Path | None = None
    again: bool = False
    pinned: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CaptionerMaker:
    """What the file of a captioner says of it, as its `CAPTIONER`.

    `identity`: everything that shapes its texts, for cache keys, without loading a model. `make` loads it; None describes
    nothing. Both raise UsageError, RecipeError, MissingExtra, MissingWeights or WrongWeights for what is not at hand.
    `reads`: the options of the recipe's `captioner` that mean something to it; others are refused.
    """

    identity: Callable[[CaptionerConfig], dict[str, str]]
    make: Callable[[CaptionerConfig], Captioner | None]
    reads: frozenset[str] = frozenset()


def _check_image(name: str, image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"the {name} must be (h, w, 3) uint8 with h, w >= 1, not {image.shape} {image.dtype}")


def _check_points(name: str, points: npt.NDArray[np.float32] | None, shape: tuple[int, ...]) -> None:
    if points is not None and (points.shape != shape or not np.isfinite(points).all()):
        raise ValueError(f"{name} must be {shape} and finite, not {points.shape} {points.tolist()}")
