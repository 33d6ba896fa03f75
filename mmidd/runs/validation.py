"""How good a network is on the validation rows: each is scored once, media by the mean of their frames; intervals are over
groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from mmidd.errors import RunError
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.detector import Network, Scores
from mmidd.runs.parts import features_of, flat, moved, ready
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.schema import FORGERY_TYPES
from mmidd.statistics import auroc, auroc_interval, average_precision, equal_error_rate
from mmidd.training import ClipSampler, CorpusDataset, FrameSampler, Loader
from mmidd.training.epochs import EpochSampler
from mmidd.training.rows import Numbers, Rows

Interval = tuple[float, float] | None
_MOST_ROWS = 128
"""Rows that are scored at once, at most."""


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
    """`video`: of media, the mean over what is scored of each; `frame`: of the rows, or of the clips where the network takes
    clips. `loss` is the mean over batches of `terms`' sum. `type_accuracy`: over the rows of known type. `left_out`: rows of
    the validation split that were not scored, by reason."""

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


def order_of(rows: Rows, settings: Settings, frames: int, rank: int = 0, ranks: int = 1) -> EpochSampler:
    """Which rows are scored, in batches as by chance (for terms that compare rows), but the same ones each time. Clips are
    of frames in a row, as in training."""
    size = min(_MOST_ROWS, settings.micro or max(1, settings.batch // ranks))
    if frames > 1:
        return ClipSampler(rows, size, frames=frames, spread="even", shuffle=True, rank=rank, ranks=ranks)
    several = settings.validation_frames or max(1, len(rows))
    return FrameSampler(rows, size, frames=several, spread="even", shuffle=True, rank=rank, ranks=ranks)


def scored_rows(rows: Rows, settings: Settings, frames: int) -> Numbers:
    """The numbers of the rows by which items are told (see `Scored`), in the order of the corpus."""
    found = order_of(rows, settings, frames).order(0).rows
    return np.sort(found.reshape(len(found), -1)[:, 0])


def validate(network: Network, data: CorpusDataset, settings: Settings, at: Here, *, workers: int = 0) -> Validation:
    """Score the rows of `data`, shared among all processes: each calls it and gets the same. `data` has the columns `label`,
    `forgery_type`, `row` and those of the network's input, and skips rows that cannot be read.

    The network is in eval mode meanwhile; the chance of torch is not touched. Raises RunError for scores that are no
    numbers, and where no row or one class is left.
    """
    training = network.training
    network.eval()
    order = order_of(data.rows, settings, network.input.frames, at.rank, at.ranks)
    load = Loader(data, order, workers=workers, pin_memory=at.device.type == "cuda")
    devices = [at.device] if at.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            parts = [_part(network, batch, number, settings, at) for number, batch in enumerate(load)]
    finally:
        load.close()
        network.train(training)
    every = [part for held in at.gathered(parts) for part in held]
    skipped = sum(at.gathered(load.skipped.count))
    left_out = dict(order.left_out) | {
        "further frames of their clips": len(data.rows) - order.slots * network.input.frames - sum(order.left_out.values()),
        "cannot be read": skipped,
    }
    if not every:
        raise RunError(f"none of the {len(data.rows):,} validation rows can be read: mmidd verify tells what is damaged")
    return _found(every, data.rows, {why: count for why, count in left_out.items() if count})


@dataclass(frozen=True)
class _Part:
    """One batch: its scores, its terms by rows, and what these left out."""

    scored: Scored
    terms: Mapping[str, float]
    counts: Mapping[str, int]


def _part(network: Network, batch: Mapping[str, Any], number: int, settings: Settings, at: Here) -> _Part:
    given = flat(batch, network.input.frames)
    over = network.rows(given)
    part = ready(moved(given, at.device), network.input)
    seed_torch(0, For.features, step=number, part=at.rank)
    features = features_of(network, part, settings, at.device)
    with torch.autocast(at.device.type, enabled=False):
        found, loss = network.scores(features), network.losses(features, part, over)
    check_scores(found, len(part["label"]))
    rows, label, kind = (part[name].cpu().numpy().astype(np.int64) for name in ("row", "label", "forgery_type"))
    types = None if found.types is None else found.types.double().cpu().numpy()
    scored = Scored(rows, label, kind, found.fake.double().cpu().numpy(), types)
    return _Part(scored, {name: float(term) for name, term in loss.terms.items()}, dict(loss.counts))


def check_scores(found: Any, rows: int) -> None:
    """Raises RunError for what are no scores of so many rows: a fault of the detector's code."""
    wrong = None
    if not isinstance(found, Scores) or not isinstance(found.fake, torch.Tensor):
        wrong = f"a {type(found).__name__} of a {type(getattr(found, 'fake', None)).__name__}"
    elif found.fake.shape != (rows,):
        wrong = f"fake of shape {tuple(found.fake.shape)}, not {(rows,)}"
    elif bool(((found.fake < 0) | (found.fake > 1)).any()):
        wrong = f"fake from {float(found.fake.min()):g} to {float(found.fake.max()):g}, not shares of one"
    elif found.types is not None and found.types.shape != (rows, len(FORGERY_TYPES)):
        wrong = f"types of shape {tuple(found.types.shape)}, not {(rows, len(FORGERY_TYPES))}"
    if wrong:
        raise RunError(
            f"the detector's scores() gives {wrong} (mmidd.runs.detector.Scores says what it owes): mend its code"
        )


def _found(parts: Sequence[_Part], rows: Rows, left_out: Mapping[str, int]) -> Validation:
    scored = _together([part.scored for part in parts])
    if not np.isfinite(scored.fake).all() or (scored.types is not None and not np.isfinite(scored.types).all()):
        wrong = int((~np.isfinite(scored.fake)).sum())
        raise RunError(
            f"{wrong:,} of {len(scored.fake):,} validation scores are no finite number: the network has diverged. Train it "
            "again with a lower --set lr=, or --set clip_norm=1"
        )
    media, groups = media_of(rows, scored.rows), groups_of(rows, scored.rows)
    totals, counts, size = Counter[str](), Counter[str](), len(scored.rows)
    for part in parts:
        for name, term in part.terms.items():
            totals[name] += term * len(part.scored.rows) / size  # type: ignore[assignment]
        counts.update(part.counts)
    known = scored.forgery_type >= 0
    right = None
    if scored.types is not None and known.any():
        right = float((scored.types[known].argmax(1) == scored.forgery_type[known]).mean())
    return Validation(
        video=area(*by_media(scored.fake, scored.label, media, groups)),
        frame=area(scored.fake, scored.label, groups),
        loss=float(sum(totals.values())),
        terms=dict(totals),
        type_accuracy=right,
        rows=size,
        media=int(media.max()) + 1,
        groups=len(np.unique(groups)),
        left_out=left_out,
        left_out_by_terms={why: count for why, count in counts.items() if count},
        scored=scored,
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


def write_scores(path: Path, scored: Scored, rows: Rows) -> None:
    """One row an item: `id` (a clip's is that of its first frame), `row`, `dataset`, `media`, `group`, `label`,
    `forgery_type` (null where unknown), `fake`, and `types` in the order of the schema (null from a detector that knows
    none)."""
    import pyarrow.parquet as pq

    told = rows.corpus.take(scored.rows, ["id", "dataset", "media", "group"])
    kinds = pa.array(scored.forgery_type, pa.int64(), mask=scored.forgery_type < 0)
    types = pa.list_(pa.float64(), len(FORGERY_TYPES))
    flat_types = None if scored.types is None else pa.array(scored.types.ravel(), pa.float64())
    held = (
        pa.nulls(len(scored.rows), types)
        if flat_types is None
        else pa.FixedSizeListArray.from_arrays(flat_types, len(FORGERY_TYPES))
    )
    columns = {"row": pa.array(scored.rows), "label": pa.array(scored.label), "forgery_type": kinds}
    columns |= {"fake": pa.array(scored.fake), "types": held}
    for name, column in columns.items():
        told = told.append_column(name, column)
    about = {"mmidd.corpus": rows.corpus_digest, "mmidd.selection": rows.digest, "mmidd.types": " ".join(FORGERY_TYPES)}
    with path.open("xb") as file:  # not by its name: pyarrow takes none that is no Unicode
        pq.write_table(told.replace_schema_metadata(about), file, write_page_checksum=True)


def _together(parts: Sequence[Scored]) -> Scored:
    joined: Callable[[str], Any] = lambda name: np.concatenate([getattr(part, name) for part in parts])  # noqa: E731
    types = None if any(part.types is None for part in parts) else joined("types")
    return Scored(joined("rows"), joined("label"), joined("forgery_type"), joined("fake"), types).sorted()


def _places(rows: Rows, numbers: Numbers) -> Numbers:
    found: Numbers = np.searchsorted(rows.numbers, numbers)
    return found


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
