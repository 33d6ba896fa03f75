"""A model's scores of crops, decoded and sized as a corpus's rows are; and where they fall when parts are covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import ScoreError
from mmidd.scoring.model import Found, Model
from mmidd.training.images import Sizing
from mmidd.verdicts.faces import Crop

CELLS, GREY = 7, 127
METHOD = f"occlusion {CELLS}x{CELLS}, grey"
CAVEAT = (
    "Where the score falls most when a grey square covers that part: what this network looked at in this one frame, and no proof "
    "of where a picture was forged; covering can mislead a network by itself."
)


@dataclass(frozen=True, eq=False)
class Region:
    """What covering each part of a crop does to its score: `falls` (CELLS, CELLS), negative where it rises. `image`: the crop
    as the network saw it, (side, side, 3)."""

    track: int
    frame: int
    score: float
    falls: npt.NDArray[np.float64]
    image: npt.NDArray[np.uint8]

    def document(self) -> dict[str, Any]:
        """JSON: without pixels."""
        row, column = np.unravel_index(int(self.falls.argmax()), self.falls.shape)
        return {
            "method": METHOD, "caveat": CAVEAT, "track": self.track, "frame": self.frame, "score": self.score,
            "most": {"row": int(row), "column": int(column), "fall": float(self.falls.max())},
            "falls": [[round(float(each), 6) for each in line] for line in self.falls],
        }  # fmt: skip


def sized(model: Model, crops: Sequence[Crop]) -> npt.NDArray[np.uint8]:
    """The crops as the model sees them: (n, side, side, 3), exactly as `training.CorpusDataset` gives a row's image."""
    sizing = Sizing(model.look.side, model.look.fit)
    return np.stack([sizing.image(crop.image, f"the crop of frame {crop.frame}")[0] for crop in crops])


def scores_of(
    model: Model, images: npt.NDArray[np.uint8], clips: Sequence[tuple[int, int]], frames: Sequence[int]
) -> Found:
    """Of n images, in the order in which they came: NaN where there is none. `clips` says which track of which medium each is
    of, `frames` which frame; of a model that takes clips an image has the mean of the windows that hold it."""
    items = _items(model.look.frames, clips, frames)
    fake, types, times = np.zeros(len(images)), np.zeros((len(images), 5)), np.zeros(len(images))
    known = False
    size = max(1, batch_size() // model.look.frames)
    for start in range(0, len(items), size):
        places = items[start : start + size]
        found = model.scores(batch(model, images[places if model.look.frames > 1 else places[:, 0]]))
        for column in range(places.shape[1]):
            np.add.at(fake, places[:, column], found.fake)
            np.add.at(times, places[:, column], 1)
            if found.types is not None:
                known = True
                np.add.at(types, places[:, column], found.types)
    with np.errstate(invalid="ignore"):
        return Found(fake / times, types / times[:, None] if known else None)


def batch_size() -> int:
    """Images that `mmidd score` gives at once: the same ones here, for another number changes scores in their last bits."""
    from mmidd.scoring.data import BATCH

    return BATCH


def _items(size: int, clips: Sequence[tuple[int, int]], frames: Sequence[int]) -> npt.NDArray[np.int64]:
    """Places of the images (items, size), by clip and frame."""
    from mmidd.scoring.data import windows

    number = np.unique(np.asarray(clips, np.int64).reshape(-1, 2), axis=0, return_inverse=True)[1].reshape(-1)
    frame = np.asarray(frames, np.int64)
    if size == 1:
        return np.arange(len(frame), dtype=np.int64)[:, None]
    order = np.lexsort((frame, number))
    return order[windows(number[order], frame[order], size)]


def batch(model: Model, images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """As a Loader gives it: uint8 (..., 3, side, side). Of columns nothing is known of a medium from outside."""
    import torch

    found: dict[str, Any] = {"image": torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, -3)}
    for name in model.look.columns:
        if not name.endswith("caption"):
            raise ScoreError(f"this model wants the corpus's column {name!r} beside the image: no medium from outside has it")
        found[name] = [""] * len(images)
    return found


def region(model: Model, images: npt.NDArray[np.uint8], track: int, frame: int) -> Region:
    """Of one item, (side, side, 3) or (frames, side, side, 3): each part is covered in all of its frames. Costs CELLS² + 1
    items."""
    edges = np.linspace(0, images.shape[-2], CELLS + 1).round().astype(int)
    falls = np.zeros(CELLS * CELLS)
    base = np.nan
    size = max(1, batch_size() // model.look.frames)
    for start in range(0, CELLS * CELLS, size):
        cells = range(start, min(start + size, CELLS * CELLS))
        covered = np.repeat(images[None], len(cells) + 1, axis=0)
        for place, cell in enumerate(cells):
            row, column = divmod(cell, CELLS)
            covered[place, ..., edges[row] : edges[row + 1], edges[column] : edges[column + 1], :] = GREY
        found = model.scores(batch(model, covered)).fake
        base = float(found[-1])
        falls[list(cells)] = base - found[:-1]
    return Region(track, frame, base, falls.reshape(CELLS, CELLS), images[0] if images.ndim == 4 else images)
