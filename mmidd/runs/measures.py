"""What validation scores come to: figures of media and of frames, with intervals over groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import RunError
from mmidd.statistics import auroc, auroc_interval, average_precision, equal_error_rate
from mmidd.training.rows import Numbers, Rows

Interval = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Scored:
    """Items (n) by the number of their row, a clip by its first: how likely each is forged, and its types (n, 5) where the
    detector knows any."""

    rows: Numbers
    label: npt.NDArray[np.int64]
    forgery_type: npt.NDArray[np.int64]
    fake: npt.NDArray[np.float64]
    types: npt.NDArray[np.float64] | None

    def sorted(self) -> Scored:
        """In the order of the corpus, whoever scored which."""
        order = np.argsort(self.rows, kind="stable")
        types = None if self.types is None else self.types[order]
        return Scored(self.rows[order], self.label[order], self.forgery_type[order], self.fake[order], types)


@dataclass(frozen=True)
class Area:
    """AUROC with its 95% interval over groups (None where that would say nothing), average precision, equal error rate."""

    auroc: float
    interval: Interval
    average_precision: float
    equal_error_rate: float

    def document(self) -> dict[str, Any]:
        return {**vars(self), "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class Validation:
    """`asked`: row numbers (n, frames) of the items that were to be scored. `video`: of media, the mean over what is scored
    of each; `frame`: of the rows, or of the clips where the network takes clips. `loss` is the mean over batches of `terms`'
    sum. `type_accuracy`: over the rows of known type. `left_out`: rows of the validation split that were not scored, by
    reason."""

    video: Area
    frame: Area
    loss: float
    terms: Mapping[str, float]
    type_accuracy: float | None
    rows: int
    media: int
    groups: int
    left_out: Mapping[str, int]
    left_out_by_terms: Mapping[str, int]
    scored: Scored
    asked: Numbers

    @property
    def video_auroc(self) -> float:
        return self.video.auroc

    @property
    def frame_auroc(self) -> float:
        return self.frame.auroc

    def document(self) -> dict[str, Any]:
        """JSON: all but the scores."""
        return {
            "video_auroc": self.video.auroc,
            "frame_auroc": self.frame.auroc,
            "loss": _number(self.loss),
            "video": self.video.document(),
            "frame": self.frame.document(),
            "terms": {name: _number(value) for name, value in self.terms.items()},
            "type_accuracy": self.type_accuracy,
            "rows": self.rows,
            "media": self.media,
            "groups": self.groups,
            "left_out": dict(self.left_out),
            "left_out_by_terms": dict(self.left_out_by_terms),
        }


def measured(
    scored: Scored,
    asked: Numbers,
    rows: Rows,
    terms: Mapping[str, float],
    left_out: Mapping[str, int],
    left_out_by_terms: Mapping[str, int],
) -> Validation:
    """What scores come to. Raises RunError for scores that are no numbers, and of one class."""
    if not np.isfinite(scored.fake).all() or (scored.types is not None and not np.isfinite(scored.types).all()):
        wrong = int((~np.isfinite(scored.fake)).sum())
        raise RunError(
            f"{wrong:,} of {len(scored.fake):,} validation scores are no finite number: the network has diverged. Train it "
            "again with a lower --set lr=, or --set clip_norm=1"
        )
    media, groups = media_of(rows, scored.rows), groups_of(rows, scored.rows)
    known, right = scored.forgery_type >= 0, None
    if scored.types is not None and known.any():
        right = float((scored.types[known].argmax(1) == scored.forgery_type[known]).mean())
    return Validation(
        video=area(*by_media(scored.fake, scored.label, media, groups)),
        frame=area(scored.fake, scored.label, groups),
        loss=float(sum(terms.values())),
        terms=terms,
        type_accuracy=right,
        rows=len(scored.rows),
        media=int(media.max()) + 1,
        groups=len(np.unique(groups)),
        left_out=left_out,
        left_out_by_terms=left_out_by_terms,
        scored=scored,
        asked=asked,
    )


def area(scores: npt.NDArray[np.float64], label: npt.NDArray[np.int64], groups: Numbers) -> Area:
    """How well scores rank fakes above reals. Raises RunError of one class."""
    whole, precision, rate = (each(scores, label) for each in (auroc, average_precision, equal_error_rate))
    if whole is None or precision is None or rate is None:
        what = "fake" if label.all() else "real"
        raise RunError(f"all validation rows that can be scored are {what}: an AUROC needs both classes")
    return Area(whole, auroc_interval(scores, label, groups), precision, rate)


def by_media(
    scores: npt.NDArray[np.float64], label: npt.NDArray[np.int64], media: Numbers, groups: Numbers
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], Numbers]:
    """The mean score of each medium, its label and its group."""
    first = np.unique(media, return_index=True)[1]
    return np.bincount(media, weights=scores) / np.bincount(media), label[first], groups[first]


def media_of(rows: Rows, numbers: Numbers) -> Numbers:
    """A number from 0 for the medium of each of these rows."""
    rows.load("dataset", "media", "group")
    dataset, media = rows.codes("dataset"), rows.codes("media")
    key = dataset.codes.astype(np.int64) * max(1, len(media.values)) + media.codes
    found: Numbers = np.unique(key[_places(rows, numbers)], return_inverse=True)[1].astype(np.int64)
    return found


def groups_of(rows: Rows, numbers: Numbers) -> Numbers:
    """A number for the group of each of these rows; a medium without one is its own."""
    group, places = rows.codes("group"), _places(rows, numbers)
    found = group.codes[places].astype(np.int64)
    if None in group.values:
        alone = found == len(group.values) - 1
        found[alone] = len(group.values) + media_of(rows, numbers)[alone]
    return found


def _places(rows: Rows, numbers: Numbers) -> Numbers:
    found: Numbers = np.searchsorted(rows.numbers, numbers)
    return found


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
