"""Over datasets: means, and the AUROC of the reals of one against the fakes of another, which shows scores that shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Bools, Floats, Items, Policy
from mmidd.evaluation.measures import Setting
from mmidd.evaluation.resampled import figure
from mmidd.statistics import Counts, Draws, Ranking, bins

MEANS = {
    "auroc": Counts.auroc,
    "average_precision": Counts.average_precision,
    "eer": Counts.equal_error_rate,
}
_CHUNK = 100
"""Resamples that are held at once."""


@dataclass(frozen=True)
class Matrix:
    """`cells[i][j]`: the reals of `reals[i]` against the fakes of `fakes[j]`. `off`: the mean off the diagonal."""

    policy: Policy
    reals: tuple[str, ...]
    fakes: tuple[str, ...]
    cells: tuple[tuple[Figure, ...], ...]
    off: Figure

    def document(self) -> dict[str, Any]:
        """JSON."""
        cells = [[each.document() for each in row] for row in self.cells]
        return {**vars(self), "cells": cells, "off": self.off.document()}


@dataclass(frozen=True)
class OverDatasets:
    """`means`: by metric, over datasets with both classes; each says which were left out."""

    means: dict[str, Figure]
    matrix: Matrix | None


def over_datasets(items: Items, policy: Policy, setting: Setting) -> OverDatasets:
    """Groups are drawn over all datasets at once."""
    kept = items.under(policy)
    dataset = kept.columns["dataset"]
    names = dataset.present()
    masks = [dataset.of(name) for name in names]
    both = [at for at, mask in enumerate(masks) if len(np.unique(kept.fake[mask])) == 2]
    reals = [at for at, mask in enumerate(masks) if (mask & ~kept.fake).any()]
    fakes = [at for at, mask in enumerate(masks) if (mask & kept.fake).any()]
    draws = setting.draws(kept)
    resampled = _resampled(kept, masks, both, reals, fakes, draws)
    means = {name: _mean(kept, name, names, masks, both, draws, resampled.get(name)) for name in MEANS}
    if len(names) < 2:
        return OverDatasets(means, None)
    return OverDatasets(means, _matrix(kept, policy, names, masks, reals, fakes, draws, resampled.get("cells")))


def _resampled(
    items: Items, masks: Sequence[Bools], both: Sequence[int], reals: Sequence[int], fakes: Sequence[int], draws: Draws
) -> dict[str, Floats]:
    """In each resample: the means by metric (resamples,), and the cells (resamples, reals, fakes)."""
    if draws.few or not len(items):
        return {}
    place, size = bins(items.score, items.fake)
    parts: dict[str, list[Floats]] = {name: [] for name in (*MEANS, "cells")}
    for start in range(0, len(draws.times), _CHUNK):
        some = Draws(draws.group, draws.times[start : start + _CHUNK])
        up = {at: some.sums(place, size, rows=masks[at] & items.fake) for at in fakes}
        down = {at: some.sums(place, size, rows=masks[at] & ~items.fake) for at in reals}
        counts = [Counts(up[at], down[at]) for at in both]
        for name, measure in MEANS.items():
            if counts:
                parts[name].append(np.mean([measure(each) for each in counts], axis=0))
        cells = [[Counts(up[j], down[i]).auroc() for j in fakes] for i in reals]
        if reals and fakes:
            parts["cells"].append(np.asarray(cells).transpose(2, 0, 1))
    return {name: np.concatenate(held) for name, held in parts.items() if held}


def _mean(
    items: Items, metric: str, names: Sequence[str], masks: Sequence[Bools], both: Sequence[int], draws: Draws,
    found: Floats | None,
) -> Figure:  # fmt: skip
    left = [f"{name} ({_only(items, masks[at])})" for at, name in enumerate(names) if at not in both]
    told = f"left out: {', '.join(left)}" if left else ""
    if not both:
        return Figure(None, rows=len(items), groups=items.groups, why=f"no dataset has both classes; {told}")
    values = [float(MEANS[metric](Ranking.of(items.score[masks[at]], items.fake[masks[at]]).counts())) for at in both]
    told_of = np.logical_or.reduce([masks[at] for at in both])
    mean = figure(draws, float(np.mean(values)), found, told_of, fake=items.fake)
    over = f"over {len(both)}: {', '.join(names[at] for at in both)}"
    return replace(mean, why="; ".join(each for each in (over, told, mean.why) if each))


def _only(items: Items, mask: Bools) -> str:
    here = items.fake[mask]
    return "no score" if not len(here) else f"no {'reals' if here.all() else 'fakes'}"


def _matrix(
    items: Items, policy: Policy, names: Sequence[str], masks: Sequence[Bools], reals: Sequence[int], fakes: Sequence[int],
    draws: Draws, found: Floats | None,
) -> Matrix | None:  # fmt: skip
    if not reals or not fakes:
        return None
    rows, off, crossed = [], [], np.zeros(len(items), np.bool_)
    for at, i in enumerate(reals):
        row = []
        for to, j in enumerate(fakes):
            mine = (masks[i] & ~items.fake) | (masks[j] & items.fake)
            value = Ranking.of(items.score[mine], items.fake[mine]).auroc() or 0.0
            row.append(figure(draws, value, None if found is None else found[:, at, to], mine, fake=items.fake))
            if i != j:
                off.append((value, at, to))
                crossed |= mine
        rows.append(tuple(row))
    if off:
        many = None if found is None else np.mean([found[:, at, to] for _, at, to in off], axis=0)
        mean = figure(draws, float(np.mean([value for value, _, _ in off])), many, crossed, fake=items.fake)
    else:
        mean = Figure(None, rows=len(items), groups=items.groups, why="no reals of one dataset and fakes of another")
    return Matrix(policy, tuple(names[at] for at in reals), tuple(names[at] for at in fakes), tuple(rows), mean)
