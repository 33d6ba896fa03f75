"""What the numbers beside the pixels give away: the AUROC of columns alone, under which that of a detector says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.runs.measures import Area, area, by_media, groups_of, media_of
from mmidd.runs.settings import Settings
from mmidd.runs.validation import scored_rows
from mmidd.schema import BY_NAME
from mmidd.training.rows import Numbers, Rows

COLUMNS = (
    "sharpness", "brightness", "jpeg_quality", "padding", "width", "height", "fps", "face_size", "detection_score",
    "faces_found", "runner_up",
)  # fmt: skip
"""All numbers that are measured on a sample's pixels or file, but those that only say where in its clip it lies."""
_MOST_ROWS = 20_000

Floats = npt.NDArray[np.float64]


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
    """Of a logistic regression on standardised columns, with one more for nulls, fitted on rows of train (20,000 spread over
    them at most), on the validation rows that a network is scored on. None where it cannot be: train has one class, or no
    column differs between its rows."""
    from sklearn.linear_model import LogisticRegression

    rows = scored_rows(validation, settings, frames)
    fitted = train.numbers[np.linspace(0, len(train) - 1, min(len(train), _MOST_ROWS)).astype(np.int64)]
    given, label = _columns(train, fitted)
    asked, right = _columns(validation, rows)
    if len(np.unique(label)) < 2:
        return None
    middle = np.array([np.median(each[~np.isnan(each)]) if not np.isnan(each).all() else 0.0 for each in given.T])
    given, asked = (np.hstack([np.where(np.isnan(each), middle, each), np.isnan(each)]) for each in (given, asked))
    mean, spread = given.mean(0), given.std(0)
    useful = spread > 1e-9 * (1 + np.abs(mean))
    if not useful.any():
        return None
    given, asked = (((each - mean) / np.where(useful, spread, 1))[:, useful] for each in (given, asked))
    model = LogisticRegression(max_iter=1000).fit(given, label)
    scores = np.asarray(model.decision_function(asked), np.float64)
    groups = groups_of(validation, rows)
    video = by_media(scores, right, media_of(validation, rows), groups)
    of = useful[: len(COLUMNS)] | useful[len(COLUMNS) :]
    names = tuple(name for name, used in zip(COLUMNS, of, strict=True) if used)
    return Alone(area(*video), area(scores, right, groups), names, len(label))


def _columns(rows: Rows, numbers: Numbers) -> tuple[Floats, npt.NDArray[np.int64]]:
    table = rows.corpus.take(numbers, [*COLUMNS, "label"])
    found = [table[name].cast("float64").to_numpy(zero_copy_only=False) for name in COLUMNS]
    assert all(BY_NAME[name].origin == "pixels" for name in COLUMNS)
    return np.stack([np.asarray(each, np.float64) for each in found], 1), table["label"].to_numpy().astype(np.int64)
