"""Is a detector as good on some clips as on others? Each value of an attribute against all other clips that have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Bools, Coded, Floats, Ints, Items
from mmidd.evaluation.measures import Setting, lacks
from mmidd.evaluation.resampled import few, figure, paired
from mmidd.statistics import Counts, Draws, bins, holm, outcomes, rates
from mmidd.statistics import auroc as exact


@dataclass(frozen=True)
class Gap:
    """One metric of the clips with a value, of those with another one, and the first less the second. `p`: two-sided, that
    they are one, by resamples of whole groups; `adjusted` after Holm over all gaps of the file."""

    attribute: str
    value: str
    metric: str
    figure: Figure
    others: Figure
    difference: Figure
    p: float | None
    adjusted: float | None = None

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {**vars(self), **{name: getattr(self, name).document() for name in ("figure", "others", "difference")}}


METRICS = ("auroc", "false_positive_rate")


def gaps(items: Items, values: Mapping[str, Coded], setting: Setting) -> list[Gap]:
    """Of clips as they count: what has no score is wrong. The threshold is validation's, 0.5 without one."""
    kept = items.under("counted")
    at = setting.operating.threshold if setting.operating else 0.5
    found = [gap for name, column in values.items() for gap in _of(kept, name, column, at, setting)]
    tested = [gap for gap in found if gap.p is not None]
    adjusted = iter(holm([gap.p or 0.0 for gap in tested]))
    return [replace(gap, adjusted=next(adjusted)) if gap.p is not None else gap for gap in found]


def _of(items: Items, name: str, column: Coded, at: float, setting: Setting) -> list[Gap]:
    known = column.codes >= 0
    mine, codes = items.where(known), column.codes[known]
    draws = setting.draws(mine)
    place, size = bins(mine.score, mine.fake) if len(mine) else (codes, 1)
    called = outcomes(mine.score, mine.fake, at)

    fakes, reals = _Sums(draws, place, size, mine.fake), _Sums(draws, place, size, ~mine.fake)
    both = _Sums(draws, called, 4, np.ones(len(mine), bool))

    def auroc(mask: Bools, some: Draws) -> Floats:
        return Counts(fakes.of(mask, some), reals.of(mask, some)).auroc()

    def taken(mask: Bools, some: Draws) -> Floats:
        return rates(both.of(mask, some))["false_positive_rate"]

    found = []
    for value in column.present():
        inside = codes == column.names.index(value)
        for metric, measure, rows in (("auroc", auroc, None), ("false_positive_rate", taken, ~mine.fake)):
            found.append(_gap(name, value, metric, mine, inside, draws, measure, rows))
    return found


class _Sums:
    """Sums over `rows` in resamples. Those of most rows are what the few others leave of all: counts, and so exact."""

    def __init__(self, draws: Draws, key: Ints, size: int, rows: Bools) -> None:
        self._draws, self._key, self._size, self._rows = draws, key, size, rows
        self._all = draws.sums(key, size, rows=rows)

    def of(self, mask: Bools, draws: Draws) -> Floats:
        if draws is self._draws and 2 * int(mask.sum()) > len(mask):
            return self._all - draws.sums(self._key, self._size, rows=~mask & self._rows)
        return draws.sums(self._key, self._size, rows=mask & self._rows)


def _gap(
    name: str, value: str, metric: str, items: Items, inside: Bools, draws: Draws,
    measure: Callable[[Bools, Draws], Floats], rows: Bools | None,
) -> Gap:  # fmt: skip
    once = Draws(draws.group, np.ones((1, draws.groups), np.uint8))
    figures: list[Figure] = []
    many: list[Floats | None] = []
    whys: list[str | None] = []
    for mask in (inside, ~inside):
        of = mask if rows is None else mask & rows
        part = items.where(mask)
        why = lacks(part) if metric == "auroc" else None if of.any() else f"no reals among {len(part):,} rows"
        if why is not None:
            figures.append(Figure(None, rows=len(part), groups=part.groups, why=why))
            many.append(None)
            continue
        many.append(measure(mask, draws))
        told = exact(part.score, part.fake) if metric == "auroc" else float(measure(mask, once)[0])
        fake = items.fake if metric == "auroc" else None
        figures.append(figure(draws, told or 0.0, many[-1], of, fake=fake, rate=fake is None))
        whys.append(few(draws, of, fake))
    difference, p = paired(figures[0], figures[1], many[0], many[1], draws, next((each for each in whys if each), None))
    return Gap(name, value, metric, figures[0], figures[1], difference, p)
