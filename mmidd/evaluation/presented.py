"""Presentation attacks among clips: APCER by instrument, BPCER, ACER, HTER, at the threshold that validation chose and at
the one that the papers take, which looks at the answers.

The attack is the positive class, as a fake is everywhere here; live are the reals of the datasets that have attacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mmidd.corpus.attacks import Instruments
from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.items import Bools, Floats, Ints, Items, Policy
from mmidd.evaluation.measures import NO_ROWS, Setting, lacks
from mmidd.evaluation.operating import Rule, threshold
from mmidd.evaluation.resampled import few, figure
from mmidd.statistics import (
    ATTACK_RATES,
    LEAST_GROUPS,
    Counts,
    Draws,
    Measure,
    Mistakes,
    Ranking,
    bins,
    lacking,
    live_accepted_at,
    mistakes_at_equal_error,
)

ATTACKS = "attacks"
DEV, ORACLE = "validation", "oracle"
AT = (DEV, ORACLE)
UNTOLD = "instrument not told"
FREE: dict[str, tuple[Measure, float | None]] = {
    "auroc": (Counts.auroc, None),
    "eer": (Counts.equal_error_rate, None),
    "live_accepted_at_far_0.01": (lambda counts: live_accepted_at(counts, 0.01), 0.01),
}
"""Figures without a threshold, and the share of attacks that they need attacks for."""
BY_FAMILY = ("acer", "apcer")
"""Told of families as well: papers differ in what they call an instrument."""
_TOGETHER = 128


@dataclass(frozen=True, eq=False)
class Presented:
    """Clips (n) that are live or attacks. `kind`: 0 live, then the place in `names` from 1. `families`: of `names`."""

    scope: str
    items: Items
    kind: Ints
    names: tuple[str, ...]
    families: tuple[str, ...]

    def where(self, mask: Bools) -> Presented:
        return replace(self, items=self.items.where(mask), kind=self.kind[mask])

    @property
    def families_differ(self) -> bool:
        """Are several instruments of one family?"""
        return len(set(self.families)) < len(self.names)

    def by_family(self) -> Presented:
        """With all instruments of a family for one."""
        families = tuple(sorted(set(self.families)))
        place = np.array([0, *(families.index(each) + 1 for each in self.families)])
        return replace(self, kind=place[self.kind], names=tuple(f"family {each}" for each in families), families=families)

    def subsets(self) -> dict[str, str]:
        """The family of each instrument, and of each family where several are of one, by its subset."""
        found = {f"{self.scope}: {name}": family for name, family in zip(self.names, self.families, strict=True)}
        return found | self.by_family().subsets() if self.families_differ else found


def presented(items: Items, of: Instruments) -> Iterator[Presented]:
    """Of each dataset that has attacks, and of all where several have; an instrument is a method of a dataset. Fakes that
    are no attack are in none of them."""
    dataset, method = items.columns["dataset"], items.columns["method"]
    known = {(dataset.names.index(name), _code(method.names, what)): family for (name, what), family in of.items()
             if name in dataset.names and (what is None or what in method.names)}  # fmt: skip
    width = len(method.names) + 1
    keys = dataset.codes * width + method.codes + 1
    listed = np.array(sorted(d * width + m + 1 for d, m in known), np.int64)
    attack = items.fake & np.isin(keys, listed)
    having = np.unique(dataset.codes[attack])
    scopes = [(f"{ATTACKS} of {dataset.names[code]}", np.array([code])) for code in having.tolist()]
    for scope, codes in sorted(scopes) if len(scopes) < 2 else [*sorted(scopes), (ATTACKS, having)]:
        mask = np.isin(dataset.codes, codes) & (attack | ~items.fake)
        there = np.unique(keys[mask & attack])
        kind = np.where(items.fake, np.searchsorted(there, keys) + 1, 0)
        pairs = [divmod(key, width) for key in there.tolist()]
        names = [method.names[m - 1] if m else UNTOLD for _, m in pairs]
        names = [
            f"{dataset.names[d]}: {name}" if names.count(name) > 1 else name
            for (d, _), name in zip(pairs, names, strict=True)
        ]
        families = tuple(known[d, m - 1] for d, m in pairs)
        yield Presented(scope, items.where(mask), kind[mask].astype(np.int64), tuple(names), families)


def _code(names: tuple[str, ...], value: str | None) -> int:
    return -1 if value is None else names.index(value)


def attack_figures(found: Presented, setting: Setting) -> Iterator[tuple[Policy, str, str, Figure]]:
    """Policy, subset, metric, figure: of the scope, and of each instrument its APCER. The oracle threshold is that of the
    clips with a score, whichever policy counts."""
    has = found.items.has
    scored = found.items.where(has)
    oracle = threshold(scored.score, scored.fake, Rule("eer")) if not lacks(scored) else None
    chosen = {DEV: setting.operating.threshold if setting.operating else None, ORACLE: oracle}
    without = {DEV: setting.without, ORACLE: lacks(scored) or ""}
    for policy in found.items.policies():
        kept = found.where(has) if policy == "scored" else replace(found, items=found.items.under(policy))
        draws = setting.draws(kept.items)
        for name, figure_ in _free(kept.items, draws):
            yield policy, found.scope, name, figure_
        for name, at in chosen.items():
            why = without[name] if len(kept.items) else NO_ROWS
            told = has[has] if policy == "scored" else has
            for subset, metric, each in _at(kept, told, draws, name, at, why):
                yield policy, subset, f"{metric}@{name}", each
            for subset, metric, each in _at(kept.by_family(), told, draws, name, at, why) if found.families_differ else ():
                if metric in BY_FAMILY:
                    yield policy, subset, f"{metric}{'_by_family' * (subset == found.scope)}@{name}", each


def _free(items: Items, draws: Draws) -> Iterator[tuple[str, Figure]]:
    if why := lacks(items):
        yield from ((name, Figure(None, rows=len(items), groups=items.groups, why=why)) for name in FREE)
        return
    short = {name: lacking(~items.fake, least) for name, (_, least) in FREE.items()}
    once = Ranking.of(items.score, items.fake).counts()
    many = draws.ranked(items.score, items.fake, {name: of for name, (of, _) in FREE.items() if not short[name]})
    for name, (of, _) in FREE.items():
        if short[name]:
            attacks = counted(int(items.fake.sum()), "attack")
            why = f"{attacks}: a share of 0.01 of them needs 100"
            yield name, Figure(None, rows=len(items), groups=items.groups, why=why)
        else:
            yield name, figure(draws, float(of(once)), many.get(name), fake=items.fake)


def _at(
    kept: Presented, has: Bools, draws: Draws, name: str, at: float | None, without: str
) -> Iterator[tuple[str, str, Figure]]:
    items, kind, size = kept.items, kept.kind, len(kept.names) + 1
    if at is None or not len(items):
        for metric in ("threshold", *ATTACK_RATES):
            yield kept.scope, metric, Figure(None, rows=len(items), groups=items.groups, why=without)
        return
    key = 2 * kind + ((items.score >= at) != items.fake)
    once = _mistakes(np.bincount(key, minlength=2 * size).astype(np.float64), size)
    many = _at_oracle(kept, has, draws) if name == ORACLE else _mistakes(draws.sums(key, 2 * size), size)
    why = "chosen by the test scores themselves" if name == ORACLE else "chosen by validation"
    yield kept.scope, "threshold", Figure(at, rows=len(items), groups=items.groups, why=why)
    for metric, each in _rates(kept, once, many, draws):
        yield kept.scope, metric, each
    for number, instrument in enumerate(kept.names, 1):
        mine, subset = kind == number, f"{kept.scope}: {instrument}"
        if mine.any():
            yield subset, "apcer", figure(draws, float(once.shares[number]), many.shares[:, number], mine, rate=True)
        else:
            yield subset, "apcer", Figure(None, why=NO_ROWS)


def _mistakes(sums: Floats, size: int) -> Mistakes:
    both = sums.reshape(*sums.shape[:-1], size, 2)
    return Mistakes(both[..., 1], both.sum(axis=-1))


def _at_oracle(kept: Presented, has: Bools, draws: Draws) -> Mistakes:
    """In every resample at the threshold that this very resample chooses; what has no score is wrong."""
    size, place = len(kept.names) + 1, np.zeros(len(has), np.int64)
    place[has], width = bins(kept.items.score[has], kept.items.fake[has])
    spread = draws.sums(kept.kind * width + place, size * width, rows=has).reshape(-1, size, width)
    parts = [mistakes_at_equal_error(spread[at : at + _TOGETHER]) for at in range(0, len(spread), _TOGETHER)]
    wrong = np.concatenate(parts) if parts else np.zeros((0, size))
    return Mistakes(wrong + draws.sums(kept.kind, size, rows=~has), draws.sums(kept.kind, size))


def _rates(kept: Presented, once: Mistakes, many: Mistakes, draws: Draws) -> Iterator[tuple[str, Figure]]:
    items, kind = kept.items, kept.kind
    told, drawn = once.rates(), many.rates()
    held = [draws.held(kind == number) for number in range(1, len(kept.names) + 1)]
    short = [number for number, groups in enumerate(held) if groups < LEAST_GROUPS]
    why = f"no interval: {counted(held[short[0]], 'group')} with {kept.names[short[0]]}" if short else None
    for metric in ATTACK_RATES:
        value = float(told[metric])
        if np.isnan(value):
            gone = [name for name, groups in zip(kept.names, held, strict=True) if not groups]
            lost = f"no attack with {gone[0]} has a score" if gone else NO_ROWS
            yield metric, Figure(None, rows=len(items), groups=items.groups, why=lacks(items) or lost)
        elif metric == "apcer":
            worst = int(np.lexsort((np.array(held), -once.shares[1:]))[0])
            yield metric, _worst(figure(draws, value, drawn[metric], kind == worst + 1, rate=True), kept.names[worst], why)
        elif metric == "acer" and (unknown := few(draws, fake=items.fake) or why):
            yield metric, Figure(value, rows=len(items), groups=items.groups, why=unknown)
        else:
            of = {"bpcer": ~items.fake, "far": items.fake}.get(metric)
            yield (
                metric,
                figure(draws, value, drawn[metric], of, fake=items.fake if of is None else None, rate=of is not None),
            )


def _worst(found: Figure, name: str, why: str | None) -> Figure:
    """With the name of the instrument; without an interval where any instrument has too few groups to be the worst."""
    if why is not None:
        return replace(found, low=None, high=None, why=f"worst: {name}; {why}")
    return replace(found, why="; ".join(each for each in (f"worst: {name}", found.why) if each))
