"""The region that mattered: where a model's score of a crop falls when a part of it is covered. Works for any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.explanations.covering import GREY
from mmidd.scoring.crops import scores_of
from mmidd.scoring.model import Model
from mmidd.training.images import Sizing

CELLS = 7
FAINT = 0.05
"""A part whose covering changes the score by less stands out in nothing."""
METHOD = f"occlusion {CELLS}x{CELLS}, grey"
CAVEAT = (
    "Where the score falls most when a grey square covers that part: what this network looked at in this one frame, and no "
    "proof of where a picture was forged; covering can mislead a network by itself."
)


@dataclass(frozen=True, eq=False)
class Region:
    """What covering each part of a crop does to its score: `falls` (CELLS, CELLS), negative where it rises. `image`: the
    crop as the network saw it, (side, side, 3)."""

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


def region(model: Model, crops: Sequence[bytes], track: int, frame: int) -> Region:
    """Of one crop, or of the frames that a model takes together: each part is covered in all of them, after they have the
    model's size. Costs CELLS² + 1 more items."""
    sizing = Sizing(model.look.side, model.look.fit)
    images = np.stack([sizing.image(crop, f"the crop of frame {frame}")[0] for crop in crops])
    edges = np.linspace(0, model.look.side, CELLS + 1).round().astype(int)
    covered = [images]
    for cell in range(CELLS * CELLS):
        row, column = divmod(cell, CELLS)
        copy = images.copy()
        copy[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = GREY
        covered.append(copy)
    several = len(images)
    clips = [place for place in range(len(covered)) for _ in range(several)]
    found = scores_of(model, [each for copy in covered for each in copy], clips, list(range(several)) * len(covered)).fake
    scores = found[::several]
    return Region(track, frame, float(scores[0]), (scores[0] - scores[1:]).reshape(CELLS, CELLS), images[several // 2])
