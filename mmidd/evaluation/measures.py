"""All figures of some rows: what they are called, and their values with intervals over groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Floats, Ints, Items, Policy
from mmidd.evaluation.operating import Operating
from mmidd.evaluation.resampled import figure, resamples_for
from mmidd.schema import FORGERY_TYPES
from mmidd.statistics import (
    RATES,
    Counts,
    Draws,
    Measure,
    Ranking,
    class_accuracy,
    expected_calibration_error,
    lacking,
    losses,
    macro_f1,
    outcomes,
    rates,
    tempered,
)

RANKING: dict[str, tuple[Measure, float | None]] = {
    "auroc": (Counts.auroc, None),
    "average_precision": (Counts.average_precision, None),
    "eer": (Counts.equal_error_rate, None),
    "tpr_at_fpr_0.01": (lambda counts: counts.tpr_at(0.01), 0.01),
    "tpr_at_fpr_0.05": (lambda counts: counts.tpr_at(0.05), 0.05),
    "partial_auroc_0.1": (lambda counts: counts.partial_auroc(0.1), 0.1),
}
"""Figures without a threshold, and the false positive rate that they need reals for."""
THRESHOLDS = ("validation", "0.5")
TYPES = ("type_accuracy", "type_macro_f1")
CALIBRATION = ("ece", "brier", "nll")
KINDS = len(FORGERY_TYPES)
NO_TYPES = "the detector gives no forgery types"
NO_ROWS = "there are no rows with a score"
BIASED = "no interval: resampling makes it larger"


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
    return lacking(items.fake, share) if len(items) else NO_ROWS


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
            yield name, figure(draws, float(measure(once)), many.get(name), fake=items.fake)


def _at(items: Items, draws: Draws, at: float | None, without: str) -> Iterator[tuple[str, Figure]]:
    if at is None or not len(items):
        yield from ((name, _none(items, without if len(items) else NO_ROWS)) for name in RATES)
        return
    key = outcomes(items.score, items.fake, at)
    once, many = rates(np.bincount(key, minlength=4).astype(np.float64)), rates(draws.sums(key, 4))
    for name in RATES:
        of = {"false_positive_rate": ~items.fake, "true_positive_rate": items.fake}.get(name)
        value, balanced = float(once[name]), name == "balanced_accuracy"
        if np.isnan(value):
            yield name, _none(items, lacks(items) or "")
        else:
            yield name, figure(draws, value, many[name], of, fake=items.fake if balanced else None, rate=not balanced)


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
    once = np.bincount(key, minlength=size).astype(np.float64).reshape(KINDS, KINDS + 1)
    return {
        "type_accuracy": figure(draws, float(class_accuracy(once)), class_accuracy(many), mine, rate=True),
        "type_macro_f1": figure(draws, float(macro_f1(once)), macro_f1(many), mine),
    }


def _calibration(items: Items, draws: Draws, setting: Setting) -> dict[str, Figure]:
    warm = setting.operating.temperature if setting.operating else None
    found: dict[str, Figure] = {}
    for name, prob in (("", items.score), ("_tempered", tempered(items.score, warm) if warm else None)):
        if prob is None or not len(items):
            why = setting.without or "validation fits no temperature"
            found |= {f"{each}{name}": _none(items, why if len(items) else NO_ROWS) for each in CALIBRATION}
        else:
            found |= {f"{each}{name}": told for each, told in _calibrated(items, prob, draws)}
    return found


def _calibrated(items: Items, prob: Floats, draws: Draws) -> Iterator[tuple[str, Figure]]:
    error = expected_calibration_error(prob, items.fake)
    yield "ece", Figure(error, rows=len(items), groups=items.groups, why=BIASED)
    zero = np.zeros(len(items), np.int64)
    total = draws.sums(zero, 1)[:, 0]
    for name, values in (("brier", (prob - items.fake) ** 2), ("nll", losses(prob, items.fake))):
        yield name, figure(draws, float(values.mean()), draws.sums(zero, 1, values)[:, 0] / total)
