"""What a run sees of a corpus: the rows it is trained on and those it is validated on, and its loader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, PluginError, RunError, UsageError
from mmidd.runs.detector import Input
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.schema import BY_NAME
from mmidd.training import (
    BalancedSampler,
    BlendSampler,
    ClipSampler,
    CorpusDataset,
    FrameSampler,
    Loader,
    PairSampler,
    ShuffleSampler,
)
from mmidd.training.augment import PRESETS, preset
from mmidd.training.dataset import COLUMNS
from mmidd.training.epochs import EpochSampler
from mmidd.training.rows import Rows
from mmidd.training.select import first_groups, select

HOLDOUT_SEED, HALVES_SEED, FRACTION_SEED = 1, 2, 0
"""The rows are the same for every seed of a run: seeds tell how much chance in training matters, not which rows."""


@dataclass(frozen=True)
class Selection:
    """Which rows. `only`: datasets, by name or slug; `where`: values of other columns; both of train and validation. Of
    train alone: `fraction`, of whole groups; `paired` True: fakes whose real is there too, and those reals; False: of the
    same rows the reals of one half of the groups and the fakes of the other, so that no fake meets its real. `holdout`: the
    share of train's groups that is validated on instead of the validation split."""

    only: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    fraction: float = 1.0
    paired: bool | None = None
    holdout: float | None = None

    def __post_init__(self) -> None:
        if "split" in self.where:
            raise UsageError(
                f"where: split={self.where['split']!r}: train is trained on and validation validated on; test rows are "
                "never read in training, nor for choosing between checkpoints"
            )
        for name, value in (("fraction", self.fraction), ("holdout", self.holdout)):
            if value is not None and not 0 < value <= (1 if name == "fraction" else 0.9):
                raise UsageError(
                    f"{name} {value}: a share of the rows, over 0 and at most {1 if name == 'fraction' else 0.9}"
                )

    def document(self) -> dict[str, Any]:
        """JSON-able, as `run.json` keeps it."""
        return {
            "only": list(self.only),
            "where": dict(self.where),
            "fraction": self.fraction,
            "paired": self.paired,
            "holdout": self.holdout,
        }


@dataclass(frozen=True)
class Seen:
    """The rows of a run; `left_out`: rows of the splits that are in neither, by reason."""

    train: Rows
    validation: Rows
    left_out: Mapping[str, int]

    def data(self) -> dict[str, str]:
        """Digests of the corpus and of the rows, by which a run knows them."""
        return {"corpus": self.train.corpus_digest, "train": self.train.digest, "validation": self.validation.digest}

    def document(self) -> dict[str, Any]:
        return {
            name: {
                "rows": len(rows),
                "digest": rows.digest,
                **_classes(rows),
            }
            for name, rows in (("train", self.train), ("validation", self.validation))
        } | {"left_out": dict(self.left_out)}


def seen(corpus: Corpus, asked: Selection, settings: Settings) -> Seen:
    """The rows, from columns alone. Raises CorpusError, UsageError and RunError for a split that is missing or has one
    class."""
    where = dict(asked.where) | ({"dataset": list(asked.only)} if asked.only else {})
    there, out = corpus.splits, dict[str, int]()
    if "train" not in there:
        raise RunError(f"{corpus.place.path('')} has no rows of split train, to train on: {_told(there)}")
    train = select(corpus, split="train", where=where)
    if asked.holdout is not None:
        held = first_groups(train, asked.holdout, HOLDOUT_SEED)
        train, validation = _of(train, ~held), _of(train, held)
        if there.get("validation"):
            out["validation split, since rows of train are held out"] = there["validation"]
    elif "validation" in there:
        validation = select(corpus, split="validation", where=where)
    else:
        raise RunError(
            f"{corpus.place.path('')} has no rows of split validation, to choose the best checkpoint on: {_told(there)}; "
            "--holdout 0.1 holds out whole groups of train instead (test is never used for it)"
        )
    train = _reduced(train, asked, settings, out)
    one_class(train, "train", blended=settings.order == "self-blended")
    one_class(validation, "validation")
    return Seen(train, validation, {why: count for why, count in out.items() if count})


def _reduced(train: Rows, asked: Selection, settings: Settings, out: dict[str, int]) -> Rows:
    steps: list[tuple[str, Any]] = []
    if asked.fraction < 1:
        steps.append(("not in the fraction", lambda rows: first_groups(rows, asked.fraction, FRACTION_SEED)))
    if asked.paired is not None:
        steps.append(("of no pair", _in_pairs))
    if asked.paired is False:
        steps.append(("whose real or fake is taken instead", _halves))
    if settings.frames is not None and settings.order != "shuffle":
        spread = _spread_pairs if settings.order == "pairs" else _spread
        steps.append((f"more than {settings.frames} frames of a clip", lambda rows: spread(rows, settings.frames)))
    for why, keep in steps:
        kept = keep(train)
        out[why] = int((~kept).sum())
        if not kept.any():
            raise RunError(f"no row of train is left: all {len(train):,} are {why}")
        train = _of(train, kept)
    return train


def _of(rows: Rows, kept: npt.NDArray[np.bool_]) -> Rows:
    return Rows(rows.numbers[kept], rows.corpus)


def _fake(rows: Rows) -> npt.NDArray[np.bool_]:
    label = rows.codes("label")
    return np.array([each == "fake" for each in label.values], np.bool_)[label.codes]


def _in_pairs(rows: Rows) -> npt.NDArray[np.bool_]:
    kept = rows.pair >= 0
    kept[rows.pair[kept]] = True
    return kept


def _halves(rows: Rows) -> npt.NDArray[np.bool_]:
    """The reals of one half of the groups, the fakes of the other."""
    first = first_groups(rows, 0.5, HALVES_SEED)
    found: npt.NDArray[np.bool_] = np.where(_fake(rows), first, ~first)
    return found


def _spread(rows: Rows, frames: int | None) -> npt.NDArray[np.bool_]:
    """So many frames of each clip, evenly spread: the same in every epoch."""
    taken = FrameSampler(rows, 1, frames=frames or 1, spread="even", rank=0, ranks=1).order(0).rows.ravel()
    return np.isin(rows.numbers, taken)


def _spread_pairs(rows: Rows, frames: int | None) -> npt.NDArray[np.bool_]:
    """So many frames of each fake's clip, and the reals of these very frames: spread by itself, a real's clip of another
    length would lose them. Rows of no pair are left as they are."""
    fakes, pair = rows.pair >= 0, rows.pair
    kept = fakes.copy()
    kept[fakes] = _spread(_of(rows, fakes), frames)
    reals = np.zeros(len(rows), np.bool_)
    reals[pair[fakes]] = True
    taken = np.zeros(len(rows), np.bool_)
    taken[pair[kept]] = True
    return np.where(reals, taken, kept | ~fakes)


def one_class(rows: Rows, split: str, *, blended: bool = False) -> None:
    """Raises RunError where reals or fakes are missing; for self-blended training reals are enough."""
    counts = rows.codes("label").counts
    if missing := [name for name in ("real", "fake") if not counts.get(name) and not (blended and name == "fake")]:
        has = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "no row is left of them"
        raise RunError(
            f"the rows of {split} have no {' and no '.join(missing)} ({has}): a detector needs both; choose other datasets, "
            "a larger --fraction or --holdout"
        )


def check_needs(rows: Rows, needs: Mapping[str, str], name: str) -> dict[str, int]:
    """Rows of train in which a column that a detector needs is empty, by column. `needs`: columns, and the way out without
    each ("" for none). Raises RunError where one is empty in all, PluginError for a column that no corpus has."""
    found = {}
    if strange := needs.keys() - BY_NAME:
        raise PluginError(f"{name} needs {', '.join(map(repr, sorted(strange)))}, which no corpus has (docs/schema.md)")
    for column, otherwise in needs.items():
        try:
            counts = rows.codes(column).counts
        except CorpusError:  # images are not looked at here
            continue
        found[column] = counts.get(None, 0) + counts.get("", 0)
        if found[column] == len(rows):
            hint = "; mmidd build with a captioner fills it" if column.endswith("caption") else ""
            hint += f"; {otherwise}" if otherwise else ""
            raise RunError(f"{name} cannot be trained without {column!r}, which is empty in all {len(rows):,} rows{hint}")
        if column == "forgery_type" and counts.get(None) and set(counts) <= {"REAL", None}:
            hint = f"; {otherwise}" if otherwise else ""
            raise RunError(
                f"{name} cannot be trained without 'forgery_type', which no fake has: none is published, or they are "
                f"presentation attacks{hint}"
            )
    return {column: count for column, count in found.items() if count}


def dataset(rows: Rows, look: Input, augment: str = "none") -> CorpusDataset:
    """The rows as a network sees them. Unreadable ones are skipped and counted, with what belongs to them."""
    data = CorpusDataset(
        rows.corpus,
        size=look.side,
        fit=look.fit,
        columns=tuple(dict.fromkeys((*COLUMNS, *look.columns))),
        mask=look.mask,
        transform=None if augment == "none" else preset(augment),
        on_error="skip",
    )
    data.rows = rows
    return data


def check_augment(name: str) -> None:
    """Raises UsageError for an unknown preset."""
    if name not in PRESETS:
        preset(name)


def sampler(rows: Rows, settings: Settings, frames: int, seed: int, own: int, at: Here) -> EpochSampler:
    """The order of training; a last batch that is not full is left out. Raises CorpusError for fewer rows than a batch."""
    base: dict[str, Any] = {"seed": seed, "rank": at.rank, "ranks": at.ranks, "drop_last": True}
    if frames > 1:
        if settings.order != "shuffle":
            raise UsageError(f"order={settings.order}: this detector takes clips, which come by order=shuffle alone")
        if settings.frames is not None:
            raise UsageError(
                f"frames={settings.frames}: this detector takes clips of {frames} frames, one of each an epoch; leave it out"
            )
        return ClipSampler(rows, own, frames=frames, **base)
    if settings.order == "pairs":
        return PairSampler(rows, own, **base)
    if settings.order == "self-blended":
        return BlendSampler(rows, own, **base)
    if settings.order == "balanced":
        return BalancedSampler(rows, own, by="label", **base)
    if settings.frames is not None:
        return FrameSampler(rows, own, frames=settings.frames, **base)
    return ShuffleSampler(rows, own, **base)


def loader(data: CorpusDataset, order: EpochSampler, workers: int, at: Here) -> Loader:
    """What the loop iterates."""
    return Loader(data, order, workers=workers, pin_memory=at.device.type == "cuda")


def usual_workers(at: Here) -> int:
    """Worker processes of a rank where nobody said: one a core beside a GPU, at most two beside a CPU that computes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(16, max(1, cores // at.ranks)) if at.device.type == "cuda" else min(2, max(0, cores // at.ranks - 1))


def _classes(rows: Rows) -> dict[str, dict[str, int]]:
    """Rows by label and by forgery type; where there are presentation attacks, which have none, by their families too."""
    found = {column: _counts(rows, column) for column in ("label", "forgery_type")}
    attacks = {str(value): count for value, count in rows.codes("attack").counts.items() if value is not None}
    if attacks:
        untyped = found["forgery_type"].pop("unknown", 0) - sum(attacks.values())
        found["forgery_type"] |= {"unknown": untyped} if untyped > 0 else {}
        found["attack"] = attacks
    return found


def _counts(rows: Rows, column: str) -> dict[str, int]:
    return {"unknown" if value is None else str(value): count for value, count in rows.codes(column).counts.items()}


def _told(there: Mapping[str, int]) -> str:
    return "it has " + (", ".join(f"{name} {count:,}" for name, count in there.items()) or "none")
