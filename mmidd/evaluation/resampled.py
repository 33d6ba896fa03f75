"""Figures with their intervals over groups, and differences of two: what resamples (`mmidd.statistics`) say in a figure."""

from __future__ import annotations

from mmidd.errors import UsageError
from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.items import Bools, Floats
from mmidd.statistics import LEAST_GROUPS, Draws, interval, p_of, wilson

MANY_ROWS, FEW_RESAMPLES = 200_000, 200
"""More rows than this are resampled so often at most."""
MOST_RESAMPLES = 100_000
"""More move no bound, and would not end."""
WILSON = "interval by Wilson over groups: no resample differs"
LACKS = "no interval: more than one resample in twenty lacks a class"


def check_asked(resamples: int, seed: int) -> None:
    """Raises UsageError."""
    if not 1 <= resamples <= MOST_RESAMPLES:
        raise UsageError(f"{resamples:,} resamples: 1 to {MOST_RESAMPLES:,} are drawn")
    if seed < 0:
        raise UsageError(f"the seed {seed}: it is 0 or more")


def resamples_for(rows: int, asked: int) -> int:
    """How many resamples are drawn for so many rows."""
    return asked if rows <= MANY_ROWS else min(asked, FEW_RESAMPLES)


def few(draws: Draws, of: Bools | None = None, fake: Bools | None = None) -> str | None:
    """Why the rows `of` (all) can have no interval: too few groups, or, of a figure of both classes (`fake`), too few that
    hold a real or a fake."""
    groups = draws.groups if of is None else draws.held(of)
    if draws.few or groups < LEAST_GROUPS:
        return f"no interval: {counted(groups, 'group')}"
    for name, mask in (("reals", ~fake), ("fakes", fake)) if fake is not None else ():
        if (held := draws.held(mask if of is None else mask & of)) < LEAST_GROUPS:
            return f"no interval: {counted(held, 'group')} with {name}"
    return None


def figure(
    draws: Draws,
    value: float,
    found: Floats | None,
    of: Bools | None = None,
    *,
    fake: Bools | None = None,
    rate: bool = False,
) -> Figure:
    """The value with the percentile interval of what was `found` in the resamples (NaN where it has none), for the rows
    `of` (all). `fake`: of a figure that needs both classes, which rows are. A `rate` that is 0 or 1 has the Wilson interval
    over groups instead: no resample differs from it."""
    rows, groups = (len(draws.group), draws.groups) if of is None else (int(of.sum()), draws.held(of))
    why = few(draws, of, fake)
    if found is None or why is not None:
        return Figure(value, rows=rows, groups=groups, why=why or "no interval")
    if rate and value in (0.0, 1.0):
        return Figure(value, *wilson(round(value * groups), groups), rows, groups, WILSON)
    bounds = interval(found)
    if bounds is None:
        return Figure(value, rows=rows, groups=groups, why=LACKS)
    if bounds[0] == bounds[1]:
        return Figure(value, rows=rows, groups=groups, why="no interval: every resample gives the same")
    return Figure(value, *bounds, rows, groups)


def paired(
    first: Figure, second: Figure, many: Floats | None, other: Floats | None, draws: Draws, why: str | None
) -> tuple[Figure, float | None]:
    """The first less the second with its interval over groups, and the two-sided p that it is 0 by the same resamples; p
    None where there is no interval, as where `few` says `why` of either."""
    if first.value is None or second.value is None:
        return Figure(None, why=first.why if first.value is None else second.why), None
    value, rows, groups = first.value - second.value, len(draws.group), draws.groups
    if why is not None or many is None or other is None:
        return Figure(value, rows=rows, groups=groups, why=why or f"no interval: {counted(groups, 'group')}"), None
    bounds = interval(many - other)
    if bounds is None:
        return Figure(value, rows=rows, groups=groups, why=LACKS), None
    return Figure(value, *bounds, rows, groups), p_of(many - other)
