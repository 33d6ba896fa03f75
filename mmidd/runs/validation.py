"""The validation rows scored by a network, each once; `measures` says what that comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmidd.errors import RunError
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.detector import Network, Scores
from mmidd.runs.measures import Scored, Validation, measured
from mmidd.runs.parts import features_of, flat, moved, ready
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.schema import FORGERY_TYPES
from mmidd.scores.columns import TYPES_OFF
from mmidd.training import ClipSampler, CorpusDataset, FrameSampler, Loader
from mmidd.training.epochs import EpochSampler
from mmidd.training.rows import Numbers, Rows

_MOST_ROWS = 128
"""Rows that are scored at once, at most."""


def order_of(rows: Rows, settings: Settings, frames: int, rank: int = 0, ranks: int = 1) -> EpochSampler:
    """Which rows are scored, in batches as by chance (for terms that compare rows), but the same ones each time. Clips are
    of frames in a row, as in training."""
    size = min(_MOST_ROWS, settings.micro or max(1, settings.batch // ranks))
    if frames > 1:
        return ClipSampler(rows, size, frames=frames, spread="even", shuffle=True, rank=rank, ranks=ranks)
    several = settings.validation_frames or max(1, len(rows))
    return FrameSampler(rows, size, frames=several, spread="even", shuffle=True, rank=rank, ranks=ranks)


def items_of(order: EpochSampler) -> Numbers:
    """The numbers (n, frames) of the rows of each item that it asks for, items in the order of the corpus."""
    found = order.order(0).rows
    found = found.reshape(len(found), -1)
    return found[np.argsort(found[:, 0], kind="stable")]


def scored_rows(rows: Rows, settings: Settings, frames: int) -> Numbers:
    """The numbers of the rows by which items are told (see `Scored`), in the order of the corpus."""
    return items_of(order_of(rows, settings, frames))[:, 0]


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
    return _found(every, items_of(order), data.rows, {why: count for why, count in left_out.items() if count})


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
    elif found.types is not None and bool(((found.types.double().sum(1) - 1).abs() > TYPES_OFF).any()):
        wrong = "types that do not add up to 1"
    if wrong:
        raise RunError(
            f"the detector's scores() gives {wrong} (mmidd.runs.detector.Scores says what it owes): mend its code"
        )


def _found(parts: Sequence[_Part], asked: Numbers, rows: Rows, left_out: Mapping[str, int]) -> Validation:
    scored = _together([part.scored for part in parts])
    totals, counts = Counter[str](), Counter[str]()
    for part in parts:
        for name, term in part.terms.items():
            totals[name] += term * len(part.scored.rows) / len(scored.rows)  # type: ignore[assignment]
        counts.update(part.counts)
    by_terms = {why: count for why, count in counts.items() if count}
    return measured(scored, asked, rows, dict(totals), left_out, by_terms)


def _together(parts: Sequence[Scored]) -> Scored:
    joined: Callable[[str], Any] = lambda name: np.concatenate([getattr(part, name) for part in parts])  # noqa: E731
    types = None if any(part.types is None for part in parts) else joined("types")
    return Scored(joined("rows"), joined("label"), joined("forgery_type"), joined("fake"), types).sorted()
