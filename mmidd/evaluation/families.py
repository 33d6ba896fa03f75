"""Files that belong together: one detector on images degraded in several ways, and several seeds of one detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np

from mmidd.evaluation.aligned import aligned, same_rows
from mmidd.evaluation.figures import Figure
from mmidd.evaluation.files import Named, same_model
from mmidd.evaluation.measures import Setting, measured
from mmidd.evaluation.resampled import few, paired
from mmidd.statistics import holm

OF_SEEDS = ("auroc", "average_precision", "eer", "balanced_accuracy@validation", "balanced_accuracy@0.5")


@dataclass(frozen=True)
class Degraded:
    """One detector on images that were degraded: its clip AUROC, and what it loses against the clean ones on the same clips.
    `p`, `adjusted`: by resamples of whole groups, after Holm over its degradations."""

    model: str
    file: str
    degradation: str
    auroc: Figure
    difference: Figure
    p: float | None = None
    adjusted: float | None = None

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {**vars(self), "auroc": self.auroc.document(), "difference": self.difference.document()}


@dataclass(frozen=True)
class Seeds:
    """A clip figure of several seeds: what another seed changes, which no interval over groups holds."""

    model: str
    metric: str
    values: Mapping[str, float]
    mean: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {**vars(self), "values": dict(self.values)}


def robustness(files: Sequence[Named], setting: Setting, notes: list[str]) -> list[Degraded]:
    """Of every detector here that has clean scores and degraded ones of the same clips."""
    found = []
    for clean in (each for each in files if each.file.about.degradation is None):
        mine = [each for each in files if each.file.about.degradation and same_model(each.model, clean.model)]
        apart = [each for each in mine if not same_rows(clean, each)]
        notes += [f"{each.name} is of other clips than {clean.name}: it is in no robustness table" for each in apart]
        same = [clean, *sorted((each for each in mine if each not in apart), key=lambda each: _order(each))]
        if len(same) > 1:
            found += _degraded(same, setting)
    return found


def _order(file: Named) -> tuple[str, float]:
    """By kind, then by level where that is a number."""
    kind, _, level = str(file.file.about.degradation).partition("=")
    try:
        return kind, float(level)
    except ValueError:
        return kind, 0.0


def _degraded(files: Sequence[Named], setting: Setting) -> list[Degraded]:
    items = [each.under("counted") for each in aligned(files, "clip")]
    draws = setting.draws(items[0])
    figures, many = [], []
    for each in items:
        measure = measured(each, "counted", setting, whole=False)["auroc"]
        figures.append(measure)
        many.append(draws.auroc(each.score, each.fake) if measure.value is not None else None)
    found = []
    for file, figure, own in zip(files, figures, many, strict=True):
        difference, p = paired(figure, figures[0], own, many[0], draws, few(draws, fake=items[0].fake))
        if file is files[0]:
            difference, p = Figure(None, why="the clean images"), None
        found.append(Degraded(file.detector, file.name, file.file.about.degradation or "none", figure, difference, p))
    tested = [each for each in found if each.p is not None]
    adjusted = iter(holm([each.p or 0.0 for each in tested]))
    return [replace(each, adjusted=next(adjusted)) if each.p is not None else each for each in found]


def seeds(files: Sequence[Named], figures: Mapping[str, Mapping[str, Figure]]) -> list[Seeds]:
    """Of files of one detector, asked for alike, on the same clips. `figures`: of clips, by file and metric."""
    families: dict[tuple[Any, ...], list[Named]] = {}
    for each in files:
        if each.model.get("seed") is not None:
            about = each.file.about
            named = (about.named, about.corpus.get("digest"), about.degradation)
            families.setdefault((each.model.get("name"), each.model.get("asked"), *named), []).append(each)
    found = []
    for family in families.values():
        if len({each.model["seed"] for each in family}) < 2:
            continue
        for metric in OF_SEEDS:
            told = {f"seed {each.model['seed']}": figures[each.name][metric].value for each in family}
            values = {name: value for name, value in told.items() if value is not None}
            if len(values) > 1:
                every = np.array(list(values.values()))
                name = str(family[0].model.get("name", "?"))
                found.append(Seeds(name, metric, values, mean(values.values()), float(every.min()), float(every.max())))
    return found
