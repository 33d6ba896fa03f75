"""All figures of some rows: what they are called, and their values with intervals over groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Floats, Ints, Items, Policy
from mmidd.evaluation.operating import Operating
from mmidd.evaluation.resampled import Draws, Measure, resamples_for
from mmidd.schema import FORGERY_TYPES
from mmidd.statistics import (
    Counts,
    Ranking,
    brier,
    expected_calibration_error,
    negative_log_likelihood,
    tempered,
)
from mmidd.statistics.calibration import BINS

RANKING: dict[str, tuple[Measure, float | None]] = {
    "auroc": (Counts.auroc, None),
    "average_precision": (Counts.average_precision, None),
    "eer": (Counts.equal_error_rate, None),
    "tpr_at_fpr_0.01": (lambda counts: counts.tpr_at(0.01), 0.01),
    "tpr_at_fpr_0.05": (lambda counts: counts.tpr_at(0.05), 0.05),
    "partial_auroc_0.1": (lambda counts: counts.partial_auroc(0.1), 0.1),
}
"""Figures without a threshold, and the false positive rate that they need reals for."""
AT = ("accuracy", "balanced_accuracy", "false_positive_rate", "true_positive_rate")
THRESHOLDS = ("validation", "0.5")
TYPES = ("type_accuracy", "type_macro_f1")
CALIBRATION = ("ece", "brier", "nll")
KINDS = len(FORGERY_TYPES)
NO_TYPES = "the detector gives no forgery types"
SCORES_ONLY = "of the rows that have a score: what has none has no probability"


@dataclass(frozen=True)
class Setting:
    """`operating`: what validation chose; None, and `without` says why."""

    operating: Operating | None
    without: str
    seed: int = 0
    resamples: int = 1000

    def draws(self, items: Items) -> Draws:
        return Draws.of(items.group, seed=self.seed, resamples=resamples_for(len(items), self.resamples))


def measured(items: Items, policy: Policy, setting: Setting, *, whole: bool = True) -> dict[str, Figure]:
    """Each figure of the rows under a policy, by name. `whole`: types and calibration too."""
    kept = items.under(policy)
    draws = setting.draws(kept)
    found = dict(_ranking(kept, draws))
    for name in THRESHOLDS:
        at = 0.5 if name == "0.5" else setting.operating.threshold if setting.operating else None
        found |= {f"{of}@{name}": each for of, each in _at(kept, draws, at, setting.without)}
    if whole:
        found |= _types(kept, draws)
        if policy == "scored" or not items.missing:
            found |= _calibration(kept, draws, setting)
    return found


def _none(items: Items, why: str) -> Figure:
    return Figure(None, rows=len(items), groups=items.groups, why=why)


def lacks(items: Items, share: float | None = None) -> str | None:
    """Why these rows have no figure that ranks fakes above reals."""
    fakes, reals = int(items.fake.sum()), int((~items.fake).sum())
    if not len(items):
        return "there are no such rows with a score"
    if not fakes or not reals:
        return f"all {len(items):,} rows are {'fake' if fakes else 'real'}: both classes are needed"
    if share and reals < (least := round(1 / share)):
        return f"{reals:,} reals: a false positive rate of {share:g} needs {least:,}"
    return None


def _ranking(items: Items, draws: Draws) -> Iterator[tuple[str, Figure]]:
    if why := lacks(items):
        yield from ((name, _none(items, why)) for name in RANKING)
        return
    once = Ranking.of(items.score, items.fake).counts()
    told = {name: measure for name, (measure, share) in RANKING.items() if not lacks(items, share)}
    many = draws.ranked(items.score, items.fake, told)
    for name, (measure, share) in RANKING.items():
        if why := lacks(items, share):
            yield name, _none(items, why)
        else:
            yield name, draws.figure(float(measure(once)), many.get(name))


def _at(items: Items, draws: Draws, at: float | None, without: str) -> Iterator[tuple[str, Figure]]:
    if at is None or not len(items):
        why = without if len(items) else "there are no rows with a score"
        yield from ((name, _none(items, why)) for name in AT)
        return
    key = items.fake * 2 + (items.score >= at).astype(np.int64)
    once = np.bincount(key, minlength=4).astype(np.float64)[None]
    many = draws.sums(key, 4)
    for name in AT:
        of = {"false_positive_rate": ~items.fake, "true_positive_rate": items.fake}.get(name)
        value = float(rates(once)[name][0])
        if np.isnan(value):
            yield name, _none(items, lacks(items) or "")
        else:
            yield name, draws.figure(value, rates(many)[name], of, rate=name != "balanced_accuracy")


def rates(sums: Floats) -> dict[str, Floats]:
    """Of counts (resamples, 4): reals called real, called fake, fakes called real, called fake."""
    with np.errstate(invalid="ignore", divide="ignore"):
        false, true = sums[:, 1] / sums[:, :2].sum(1), sums[:, 3] / sums[:, 2:].sum(1)
        right = (sums[:, 0] + sums[:, 3]) / sums.sum(1)
    return dict(zip(AT, (right, (true + 1 - false) / 2, false, true), strict=True))


def told_types(items: Items) -> tuple[Items, Ints] | None:
    """The rows of known type, and for each its type and the one it is told to have as one number, 6 * type + told; told is 5
    where there is none. None from a detector that tells none."""
    if items.types is None:
        return None
    told = ~np.isnan(items.types).any(1)
    kept = items.kind >= 0
    said = np.where(told, np.nan_to_num(items.types).argmax(1), KINDS)
    return items.where(kept), (items.kind * (KINDS + 1) + said)[kept]


def _types(items: Items, draws: Draws) -> dict[str, Figure]:
    found = told_types(items)
    if found is None:
        return {name: _none(items, NO_TYPES) for name in TYPES}
    kept, key = found
    if not len(kept):
        return {name: _none(kept, "no row's forgery type is known") for name in TYPES}
    size, mine = KINDS * (KINDS + 1), items.kind >= 0
    every = np.zeros(len(items), np.int64)
    every[mine] = key
    many = draws.sums(every, size, rows=mine).reshape(-1, KINDS, KINDS + 1)
    once = np.bincount(key, minlength=size).astype(np.float64).reshape(1, KINDS, KINDS + 1)
    return {
        "type_accuracy": draws.figure(float(_right(once)[0]), _right(many), mine, rate=True),
        "type_macro_f1": draws.figure(float(_f1(once)[0]), _f1(many), mine),
    }


def _right(table: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.trace(table, axis1=1, axis2=2) / table.sum((1, 2)), np.float64)


def _f1(table: Floats) -> Floats:
    """Mean over the types that are there or told."""
    right = np.diagonal(table, axis1=1, axis2=2)
    both = table.sum(2) + table[:, :, :KINDS].sum(1)
    there = both > 0
    with np.errstate(invalid="ignore"):
        return np.asarray((2 * right / np.where(there, both, 1)).sum(1) / there.sum(1), np.float64)


def _calibration(items: Items, draws: Draws, setting: Setting) -> dict[str, Figure]:
    warm = setting.operating.temperature if setting.operating else None
    found: dict[str, Figure] = {}
    for name, prob in (("", items.score), ("_tempered", tempered(items.score, warm) if warm else None)):
        if prob is None or not len(items):
            why = setting.without or "validation fits no temperature"
            why = why if len(items) else "there are no rows with a score"
            found |= {f"{each}{name}": _none(items, why) for each in CALIBRATION}
        else:
            found |= {f"{each}{name}": figure for each, figure in _calibrated(items, prob, draws)}
    return found


def _calibrated(items: Items, prob: Floats, draws: Draws) -> Iterator[tuple[str, Figure]]:
    truth = items.fake.astype(np.float64)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], prob).astype(np.int64)
    zero, total = np.zeros(len(items), np.int64), draws.sums(np.zeros(len(items), np.int64), 1)[:, 0]
    gaps = np.abs(draws.sums(place, BINS, truth - prob)).sum(1)
    sure = np.clip(prob, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    loss = -np.where(items.fake, np.log(sure), np.log(1 - sure))
    for name, measure, sums in (
        ("ece", expected_calibration_error, gaps),
        ("brier", brier, draws.sums(zero, 1, (prob - truth) ** 2)[:, 0]),
        ("nll", negative_log_likelihood, draws.sums(zero, 1, loss)[:, 0]),
    ):
        yield name, draws.figure(measure(prob, truth) or 0.0, sums / total)
