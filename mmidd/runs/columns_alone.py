"""What the numbers beside the pixels give away: the AUROC of columns alone, under which that of a detector says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmidd.corpus.alone import columns_alone
from mmidd.runs.measures import Area, area, by_media, groups_of, media_of
from mmidd.runs.settings import Settings
from mmidd.runs.validation import scored_rows
from mmidd.training.rows import Rows


@dataclass(frozen=True)
class Alone:
    """`columns`: those that differ between rows of train; the others cannot tell anything."""

    video: Area
    frame: Area
    columns: tuple[str, ...]
    trained_on: int

    def document(self) -> dict[str, Any]:
        return {
            "video_auroc": self.video.auroc,
            "frame_auroc": self.frame.auroc,
            "video": self.video.document(),
            "frame": self.frame.document(),
            "columns": list(self.columns),
            "trained_on": self.trained_on,
        }


def alone(train: Rows, validation: Rows, settings: Settings, frames: int) -> Alone | None:
    """Of `mmidd.corpus.alone`, fitted on rows of train, on the validation rows that a network is scored on. None where it
    cannot be."""
    rows = scored_rows(validation, settings, frames)
    told = columns_alone(train.corpus, train.numbers, rows)
    if told is None:
        return None
    right = validation.corpus.take(rows, ["label"])["label"].to_numpy().astype(np.int64)
    groups = groups_of(validation, rows)
    video = by_media(told.scores, right, media_of(validation, rows), groups)
    return Alone(area(*video), area(told.scores, right, groups), told.columns, told.trained_on)
