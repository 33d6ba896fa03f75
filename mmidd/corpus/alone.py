"""What the numbers beside the pixels give away: a classifier of columns alone, fitted on some rows and asked of others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.corpus.read import Corpus
from mmidd.schema import BY_NAME

COLUMNS = (
    "sharpness", "brightness", "jpeg_quality", "padding", "width", "height", "fps", "face_size", "detection_score",
    "faces_found", "runner_up",
)  # fmt: skip
"""All numbers that are measured on a sample's pixels or file, but those that only say where in its clip it lies."""
MOST_ROWS = 20_000
"""Rows that it is fitted on, at most."""

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Told:
    """`scores` (n,): shares from 0 to 1, as a detector's are, so that a clip's is the mean of its rows. `columns`: those
    that differ between the rows fitted on; the others cannot tell anything."""

    scores: Floats
    columns: tuple[str, ...]
    trained_on: int


def columns_alone(corpus: Corpus, train: Numbers, asked: Numbers, tested: Corpus | None = None) -> Told | None:
    """Of a logistic regression on standardised columns, with one more for nulls, fitted on rows of these numbers (MOST_ROWS
    spread over them at most); `asked` are rows of the same corpus, or of `tested`. None where it cannot be: `train` has one
    class, or no column differs between its rows."""
    from sklearn.linear_model import LogisticRegression

    fitted = train[np.linspace(0, len(train) - 1, min(len(train), MOST_ROWS)).astype(np.int64)]
    label = corpus.take(fitted, ["label"])["label"].to_numpy()
    if len(np.unique(label)) < 2:
        return None
    given, wanted = _columns(corpus, fitted), _columns(tested or corpus, asked)
    middle = np.array([np.median(each[~np.isnan(each)]) if not np.isnan(each).all() else 0.0 for each in given.T])
    given, wanted = (np.hstack([np.where(np.isnan(each), middle, each), np.isnan(each)]) for each in (given, wanted))
    mean, spread = given.mean(0), given.std(0)
    useful = spread > 1e-9 * (1 + np.abs(mean))
    if not useful.any():
        return None
    given, wanted = (((each - mean) / np.where(useful, spread, 1))[:, useful] for each in (given, wanted))
    model = LogisticRegression(max_iter=1000).fit(given, label)
    of = useful[: len(COLUMNS)] | useful[len(COLUMNS) :]
    names = tuple(name for name, used in zip(COLUMNS, of, strict=True) if used)
    return Told(np.asarray(model.predict_proba(wanted)[:, 1], np.float64), names, len(label))


def _columns(corpus: Corpus, numbers: Numbers) -> Floats:
    table = corpus.take(numbers, COLUMNS)
    assert all(BY_NAME[name].origin == "pixels" for name in COLUMNS)
    return np.stack(
        [np.asarray(table[name].cast("float64").to_numpy(zero_copy_only=False), np.float64) for name in COLUMNS], 1
    )
