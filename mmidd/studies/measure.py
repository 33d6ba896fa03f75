"""What a score file comes to for a study: a few figures of its clips, each with what stands behind it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.alone import columns_alone
from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.evaluation.items import Items
from mmidd.evaluation.measures import Setting, lacks, measured
from mmidd.evaluation.operating import operating
from mmidd.scores.file import ScoreFile
from mmidd.scores.named import named

KEPT = (
    "auroc", "average_precision", "eer", "tpr_at_fpr_0.05", "balanced_accuracy@validation", "false_positive_rate@validation",
    "type_accuracy",
)  # fmt: skip
"""Of all figures those that a study's table tells."""


@dataclass(frozen=True)
class Chance:
    """What decides the bootstrap of all intervals."""

    seed: int = 0
    resamples: int = 1000


def setting(validation: ScoreFile | None, without: str, chance: Chance) -> Setting:
    """The threshold that a run's validation scores choose; `without`: why there are none."""
    if validation is None:
        return Setting(None, without, chance.seed, chance.resamples)
    try:
        found = operating(validation, seed=chance.seed, resamples=chance.resamples)
    except ScoreError as error:
        return Setting(None, str(error), chance.seed, chance.resamples)
    return Setting(found, "", chance.seed, chance.resamples)


def figures(scores: ScoreFile, only: tuple[str, ...], how: Setting) -> dict[str, Any]:
    """JSON, of the test clips of these datasets (by name; none: all): `counted` (what has no score is wrong) and, where that
    is another, `scored`; how many clips, of how many groups, and which share of each class has a score; the AUROC of each
    dataset, and the mean over those that have one."""
    frames, clips = (_items(scores.level(level, "test"), only) for level in ("frame", "clip"))
    dataset = clips.columns["dataset"]
    apart = {name: clips.where(dataset.of(name)) for name in dataset.present()}
    own = {name: _auroc(each, how) for name, each in apart.items()} if len(apart) > 1 else {}
    means = [each["value"] for each in own.values() if each["value"] is not None]
    return {
        "clips": {"real": int((~clips.fake).sum()), "fake": int(clips.fake.sum())},
        "groups": clips.groups,
        "coverage": {"real": _coverage(clips, ~clips.fake), "fake": _coverage(clips, clips.fake)},
        **{policy: _kept(clips, policy, how) for policy in clips.policies()},
        "frame_auroc": _auroc(frames, how),
        "datasets": own,
        "mean_auroc": {"value": float(np.mean(means)), "datasets": len(means)} if len(means) > 1 else None,
        "operating": None if how.operating is None else how.operating.document(),
    }


def _items(table: pa.Table, only: tuple[str, ...]) -> Items:
    return Items.of(table.filter(pc.is_in(table["dataset"], pa.array(only, pa.string()))) if only else table)


def _kept(clips: Items, policy: Any, how: Setting) -> dict[str, Any]:
    found = measured(clips, policy, how)
    return {name: found[name].document() for name in KEPT if name in found}


def _auroc(items: Items, how: Setting) -> dict[str, Any]:
    found: dict[str, Any] = measured(items, "counted", how, whole=False)["auroc"].document()
    return found


def _coverage(clips: Items, mask: npt.NDArray[np.bool_]) -> float | None:
    return float(clips.has[mask].mean()) if mask.any() else None


def alone(
    corpus: Corpus, train: npt.NDArray[np.int64], tested: Corpus, only: tuple[str, ...], how: Setting
) -> Mapping[str, Any]:
    """What the numeric columns alone, fitted on the rows a run was trained on, reach on the test clips of these datasets (by
    name) that have a sample: JSON, `auroc` null where it cannot be, with `why`."""
    rows = named(tested, ("test",))
    rows = rows.filter(pc.and_(pc.equal(rows["level"], "frame"), pc.is_valid(rows["row"])))
    rows = rows.filter(pc.is_in(rows["dataset"], pa.array(only, pa.string()))) if only else rows
    if not len(rows):
        return {"auroc": None, "why": "no row to test on"}
    told = columns_alone(corpus, train, rows["row"].to_numpy().astype(np.int64), tested)
    if told is None:
        return {"auroc": None, "why": "the training rows have one class, or no column differs between them"}
    shares = 1 / (1 + np.exp(-np.clip(told.scores, -500, 500)))
    by = rows.select(["dataset", "media", "label", "group"]).append_column("score", pa.array(shares))
    clips = by.group_by(["dataset", "media", "label", "group"], use_threads=False).aggregate([("score", "mean")])
    items = _bare(clips)
    if why := lacks(items):
        return {"auroc": None, "why": why}
    return {"auroc": _auroc(items, how), "columns": list(told.columns), "why": ""}


def _bare(clips: pa.Table) -> Items:
    """Clips of which nothing but label, group and score is known."""
    fake = pc.equal(clips["label"], "fake").to_numpy(zero_copy_only=False).astype(np.bool_)
    group = clips["group"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    score = clips["score_mean"].to_numpy().astype(np.float64)
    return Items(fake, score, None, np.full(len(fake), -1, np.int64), group, {})
