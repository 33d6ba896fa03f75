"""Face crops that are in no corpus, scored as if they were: the same decoding, fitting, windows and batches."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmidd.errors import CorpusError, UsageError
from mmidd.explanations.reply import Said
from mmidd.schema import BY_NAME
from mmidd.scoring.data import BATCH, windows
from mmidd.scoring.model import Found, Look, Model
from mmidd.scoring.parts import Items
from mmidd.scoring.score import rows_of
from mmidd.training.batch import collate
from mmidd.training.dataset import clip_of
from mmidd.training.images import Sizing, tensor

_UNREAD = Said("", "", None, "no image that can be read", 0, False)
"""Of a crop that no model was shown."""


def scores_of(
    model: Model,
    crops: Sequence[npt.NDArray[np.uint8] | bytes],
    clips: Sequence[Hashable] | None = None,
    frames: Sequence[int] | None = None,
) -> Found:
    """A score for each crop, and what a model said that was opened to explain; NaN where there is none: bytes that are no
    image, no finite number from the model, a stretch of fewer frames than a model of clips takes.

    `crops`: RGB uint8 (height, width, 3), or the encoded bytes, which are what a corpus stores: with these the scores are
    those that scoring a corpus of them gives, in its order to the last bit. `clips`: of each crop the face track that it is
    of, the crops of one lying together in order (None: each is by itself); `frames`: their numbers in the video (None: they
    follow each other).
    """
    look, count = model.look, len(crops)
    clip = _codes(list(range(count)) if clips is None else list(clips), count)
    frame = np.arange(count) if frames is None else np.asarray(frames, np.int64)
    if len(frame) != count:
        raise UsageError(f"{len(frame)} frame numbers of {count} crops: one each")
    given = np.arange(count)[:, None] if look.frames == 1 else windows(clip, frame, look.frames)
    found, sizing, size = Items(len(given)), Sizing(look.side, look.fit), max(1, BATCH // look.frames)
    for start in range(0, len(given), size):
        read = [_item(crops, places, sizing, look) for places in given[start : start + size].tolist()]
        there = [each for each in read if each is not None]
        if not there:
            continue
        at = np.array([start + place for place, each in enumerate(read) if each is not None], np.int64)
        batch = model.scores(collate(there))
        found.put(at, batch.fake, batch.types)
        found.said |= dict(zip(at.tolist(), batch.said or (), strict=False))
    fake, types, _ = rows_of(given, found, np.arange(count), look.frames)
    said = tuple(found.said.get(place, _UNREAD) for place in range(count)) if found.said else None
    return Found(fake, types, said)


def _codes(clips: Sequence[Hashable], count: int) -> npt.NDArray[np.int64]:
    if len(clips) != count:
        raise UsageError(f"{len(clips)} clips of {count} crops: one each")
    numbers: dict[Hashable, int] = {}
    found = np.array([numbers.setdefault(each, len(numbers)) for each in clips], np.int64)
    if len(found) and int((np.diff(found) != 0).sum()) + 1 != len(numbers):
        raise UsageError("the crops of one clip lie together, in the order of frames")
    return found


def _item(crops: Sequence[Any], places: Sequence[int], sizing: Sizing, look: Look) -> Any:
    """The sample of one item; None where a crop of it is no image."""
    frames = []
    for place in places:
        crop = crops[place]
        try:
            pixels = sizing.image(crop, f"crop {place}")[0] if isinstance(crop, bytes) else sizing.fitted(_rgb(crop))
        except CorpusError:
            return None
        frames.append({"image": tensor(pixels), "id": "", "row": place, **{name: _null(name) for name in look.columns}})
    return frames[0] if look.frames == 1 else clip_of(frames)  # type: ignore[arg-type]


def _rgb(crop: Any) -> npt.NDArray[np.uint8]:
    if not isinstance(crop, np.ndarray) or crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
        told = f"{crop.dtype} {crop.shape}" if isinstance(crop, np.ndarray) else type(crop).__name__
        raise UsageError(f"a crop is bytes of an encoded image, or RGB uint8 (height, width, 3), not {told}")
    return np.require(crop, np.uint8, ["C", "W"])


def _null(name: str) -> Any:
    """What a corpus of crops would say that knows nothing of them."""
    kind = BY_NAME[name].type
    if pa.types.is_integer(kind):
        return -1
    return float("nan") if pa.types.is_floating(kind) else ""
