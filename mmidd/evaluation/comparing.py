"""Detectors against each other on the same rows: differences with intervals and tests, and a ranking that says who cannot be
told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from mmidd.evaluation.figures import Figure, shown
from mmidd.evaluation.files import Chosen, Named
from mmidd.evaluation.items import Floats, Items
from mmidd.evaluation.measures import RANKING, Setting, lacks, measured
from mmidd.evaluation.resampled import few, figure, paired
from mmidd.statistics import Draws, delong, delong_clustered, holm, outcomes, rates

SIGNIFICANCE = 0.05
METRICS = ("auroc", "tpr_at_fpr_0.05", "balanced_accuracy")
RANKED = {name: RANKING[name][0] for name in METRICS[:2]}
COUNTED, BOTH, OWN, ALL = "counted", "scored by both", "scored, each its own", "scored by all"


@dataclass(frozen=True)
class Pair:
    """Two detectors on the same rows. `difference`: the first less the second. `p`: by resamples of whole groups;
    `clustered`: DeLong with whole groups; `delong`: as if rows were independent, as others print it. Each `adjusted_`
    after Holm over all pairs. AUROC alone has the latter two. `at`: the thresholds of the balanced accuracy."""

    first: str
    second: str
    policy: str
    metric: str
    one: Figure
    other: Figure
    difference: Figure
    p: float | None = None
    clustered: float | None = None
    delong: float | None = None
    adjusted_p: float | None = None
    adjusted_clustered: float | None = None
    adjusted_delong: float | None = None
    at: str = ""

    @property
    def apart(self) -> bool:
        """Is it shown that they differ?"""
        p = self.adjusted_clustered if self.adjusted_clustered is not None else self.adjusted_p
        return p is not None and p < SIGNIFICANCE

    def document(self) -> dict[str, Any]:
        """JSON."""
        figures = {name: getattr(self, name).document() for name in ("one", "other", "difference")}
        return {**vars(self), **figures, "apart": self.apart}


@dataclass(frozen=True)
class Ranking:
    """Detectors by AUROC under a policy, the best first. `alike`: for each those that it is not shown to differ from."""

    policy: str
    order: tuple[str, ...]
    figures: Mapping[str, Figure]
    alike: Mapping[str, tuple[str, ...]]

    def document(self) -> dict[str, Any]:
        """JSON."""
        figures = {name: each.document() for name, each in self.figures.items()}
        return {**vars(self), "figures": figures, "alike": {name: list(each) for name, each in self.alike.items()}}


def compared(files: Sequence[Named], items: Sequence[Items], chosen: Mapping[str, Chosen], setting: Setting) -> list[Pair]:
    """Every pair under `counted`, and where any has no score under `scored by both`."""
    at = [chosen[file.name].operating for file in files]
    thresholds = [each.threshold if each else 0.5 for each in at]
    words = [f"{each.threshold:.4g} of validation" if each else "0.5 (no validation scores)" for each in at]
    counted = [each.under("counted") for each in items]
    draws = setting.draws(counted[0])
    whole = [_figures(each, draws, t, setting) for each, t in zip(counted, thresholds, strict=True)]
    found = []
    for a, b in combinations(range(len(files)), 2):
        told = f"{files[a].name}: {words[a]}; {files[b].name}: {words[b]}"
        names = files[a].name, files[b].name
        found += _pair(names, COUNTED, (counted[a], counted[b]), (whole[a], whole[b]), draws, told)
        both = items[a].has & items[b].has
        if not both.all():
            mine = items[a].where(both), items[b].where(both)
            some = setting.draws(mine[0])
            parts = tuple(_figures(mine[k], some, thresholds[n], setting) for k, n in ((0, a), (1, b)))
            found += _pair(names, BOTH, mine, (parts[0], parts[1]), some, told)
    return _adjusted(found)


Both = tuple[dict[str, Figure], dict[str, Floats | None]]


def _figures(items: Items, draws: Draws, at: float, setting: Setting) -> Both:
    """The metrics, and what they are in the resamples."""
    known = measured(items, "counted", setting, whole=False)
    found, many = {}, {}
    ranked = {} if lacks(items) else draws.ranked(items.score, items.fake, RANKED)
    called = outcomes(items.score, items.fake, at)
    of_threshold = rates(draws.sums(called, 4))["balanced_accuracy"]
    for metric in METRICS:
        if metric == "balanced_accuracy":
            why = lacks(items)
            value = float(rates(np.bincount(called, minlength=4).astype(np.float64))[metric])
            found[metric] = Figure(None, why=why) if why else figure(draws, value, of_threshold, fake=items.fake)
            many[metric] = None if draws.few else of_threshold
        else:
            found[metric] = known[metric]
            many[metric] = ranked.get(metric)
    return found, many


def _pair(
    names: tuple[str, str], policy: str, items: tuple[Items, Items], figures: tuple[Both, Both], draws: Draws, at: str
) -> list[Pair]:
    found = []
    for metric in METRICS:
        (one, many), (other, more) = ((each[0][metric], each[1][metric]) for each in figures)
        difference, p = paired(one, other, many, more, draws, few(draws, fake=items[0].fake))
        pair = Pair(*names, policy, metric, one, other, difference, p, at=at if metric == "balanced_accuracy" else "")
        if metric == "auroc" and one.value is not None and other.value is not None:
            a, b = items
            independent, grouped = delong(a.score, b.score, a.fake), delong_clustered(a.score, b.score, a.fake, a.group)
            pair = replace(pair, delong=independent.p if independent else None, clustered=grouped.p if grouped else None)
        found.append(pair)
    return found


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """Each test after Holm over the pairs of its policy and metric."""
    found = list(pairs)
    for policy, metric in sorted({(each.policy, each.metric) for each in pairs}):
        for test in ("p", "clustered", "delong"):
            places = [
                at for at, each in enumerate(found)
                if (each.policy, each.metric) == (policy, metric) and getattr(each, test) is not None
            ]  # fmt: skip
            for at, value in zip(places, holm([getattr(found[at], test) for at in places]), strict=True):
                found[at] = replace(found[at], **{f"adjusted_{test}": value})  # type: ignore[arg-type]
    return found


def rankings(files: Sequence[Named], items: Sequence[Items], pairs: Sequence[Pair], setting: Setting) -> list[Ranking]:
    """Under `counted`; and where any has no score by what each alone has scored, and by what all have."""
    names = [file.name for file in files]
    under = {COUNTED: [each.under("counted") for each in items]}
    every = np.logical_and.reduce([each.has for each in items])
    if not every.all():
        under[ALL] = [each.where(every) for each in items]
        under[OWN] = [each.under("scored") for each in items]
    found = []
    for policy, mine in under.items():
        figures = {
            name: measured(each, "counted", setting, whole=False)["auroc"] for name, each in zip(names, mine, strict=True)
        }
        order = sorted(names, key=lambda name: _place(figures[name]))
        tests = {COUNTED: COUNTED, ALL: BOTH}.get(policy)
        alike = {name: tuple(o for o in order if o != name and _alike(name, o, tests, pairs)) for name in order}
        found.append(Ranking(policy, tuple(order), figures, alike if tests else {}))
    return found


def _place(figure: Figure) -> float:
    """The best first, those without a figure last."""
    return 1.0 if figure.value is None else -figure.value


def _alike(one: str, other: str, policy: str | None, pairs: Sequence[Pair]) -> bool:
    mine = [each for each in pairs if each.metric == "auroc" and {each.first, each.second} == {one, other}]
    tested = [each for each in mine if each.policy == policy] or mine
    return bool(tested) and not tested[0].apart


def disagreements(found: Sequence[Ranking]) -> list[str]:
    """Where leaving out what has no score turns two detectors round: each in a sentence."""
    counted, told = found[0], []
    for other in found[1:]:
        for one, two in combinations(counted.order, 2):
            a, b = (each.figures[one].value for each in (counted, other))
            c, d = (each.figures[two].value for each in (counted, other))
            if None not in (a, b, c, d) and a > c and b < d:  # type: ignore[operator]
                told.append(
                    f"{one} is above {two} where every clip counts ({shown(a)} over {shown(c)}), and below it by what is "
                    f"{other.policy} ({shown(b)} under {shown(d)})"
                )
    return told
