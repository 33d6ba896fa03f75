"""What a score file comes to for a study: a few figures of its clips, each with what stands behind it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.attacks import Instruments
from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.evaluation.items import Items
from mmidd.evaluation.leaks import alone as reached_alone
from mmidd.evaluation.measures import Setting, measured
from mmidd.evaluation.operating import operating
from mmidd.evaluation.presented import AT, attack_figures, presented
from mmidd.scores import explained
from mmidd.scores.file import ScoreFile
from mmidd.statistics import ATTACK_RATES

KEPT = (
    "auroc", "average_precision", "eer", "tpr_at_fpr_0.05", "balanced_accuracy@validation", "false_positive_rate@validation",
    "type_accuracy",
)  # fmt: skip
"""Of all figures those that a study's table tells."""


KEPT_OF_ATTACKS = ("auroc", "eer", *(f"{name}@{at}" for at in AT for name in ("threshold", *ATTACK_RATES)))


@dataclass(frozen=True)
class Which:
    """Which rows of a score file: of these splits and datasets (by name; none: all); `attacks`: a column (`method`,
    `attack`) and its value: live, and of the fakes these alone. `instruments`: of the corpus that was scored."""

    splits: tuple[str, ...] = ("test",)
    only: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    instruments: Instruments = field(default_factory=dict)

    def of(self, scores: ScoreFile, level: str) -> pa.Table:
        table = scores.level(level)
        table = table.filter(pc.is_in(table["split"], pa.array(self.splits)))
        if self.only:
            table = table.filter(pc.is_in(table["dataset"], pa.array(self.only, pa.string())))
        if not self.attacks:
            return table
        column, value = self.attacks
        kept = pa.array({method for (_, method), family in self.instruments.items()
                         if (method if column == "method" else family) == value}, pa.string())  # fmt: skip
        return table.filter(pc.or_(pc.equal(table["label"], "real"), pc.is_in(table["method"], kept)))


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


def figures(scores: ScoreFile, which: Which, how: Setting) -> dict[str, Any]:
    """JSON, of these clips: `counted` (what has no score is wrong) and, where that is another, `scored`; how many clips, of
    how many groups, and which share of each class has a score; the AUROC of each dataset, and the mean over those that have
    one; of presentation attacks, where there are any, their figures, all counted."""
    frames, clips = (Items.of(which.of(scores, level)) for level in ("frame", "clip"))
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
        "attacks": _attacks(clips, which, how),
    }


def _attacks(clips: Items, which: Which, how: Setting) -> dict[str, Any] | None:
    """Of all datasets that have attacks together."""
    scopes = list(presented(clips, which.instruments))
    if not scopes:
        return None
    told = attack_figures(scopes[-1], how)
    found = {metric: each for policy, subset, metric, each in told if (policy, subset) == ("counted", scopes[-1].scope)}
    return {name: found[name].document() for name in KEPT_OF_ATTACKS}


def _kept(clips: Items, policy: Any, how: Setting) -> dict[str, Any]:
    found = measured(clips, policy, how)
    return {name: found[name].document() for name in KEPT if name in found}


def _auroc(items: Items, how: Setting) -> dict[str, Any]:
    found: dict[str, Any] = measured(items, "counted", how, whole=False)["auroc"].document()
    return found


def _coverage(clips: Items, mask: npt.NDArray[np.bool_]) -> float | None:
    return float(clips.has[mask].mean()) if mask.any() else None


def said(path: Path, scores: ScoreFile) -> Mapping[str, Any]:
    """What the replies beside a score file come to: JSON, with how many different reasons there are."""
    found = explained.read_beside(path, scores)
    if found is None:
        raise ScoreError(f"{path} is of answers behind reasons, which do not lie beside it: score it again")
    return {
        **explained.summary(found), "different": len(set(found.table["chain"].to_pylist())),
        "follows_by_chance": _by_chance(found.table),
    }  # fmt: skip


def _by_chance(table: pa.Table) -> float | None:
    """How often answers would be what reasons alone give, with as many of each and in no relation: 1 where both are the same
    for every picture. None of no such rows."""
    both = table.filter(pc.and_(pc.is_valid(table["answer"]), pc.is_valid(table["alone"])))
    if not len(both):
        return None
    answer = float(np.mean(both["answer"].to_numpy() == "fake"))
    alone = float(np.mean(both["alone"].to_numpy() >= 0.5))
    return answer * alone + (1 - answer) * (1 - alone)


def alone(
    corpus: Corpus, train: npt.NDArray[np.int64], tested: Corpus, scores: ScoreFile, which: Which, how: Setting
) -> Mapping[str, Any]:
    """What the numeric columns alone, fitted on the rows a run was trained on, reach on these clips, of those that have a
    score: JSON."""
    frames, clips = (which.of(scores, level) for level in ("frame", "clip"))
    clip, _, told = reached_alone(corpus, train, tested, frames, clips, how)
    return {"auroc": clip.document(), "columns": list(told.columns) if told else []}
