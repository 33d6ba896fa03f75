"""What presentation attacks come to, in words: one table for each dataset that has some, and one of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Policy
from mmidd.evaluation.presented import AT, ATTACKS, DEV, FREE, ORACLE
from mmidd.evaluation.table import Table, word

if TYPE_CHECKING:
    from mmidd.evaluation.evaluate import Evaluated

COLUMNS = {DEV: "at the dev threshold", ORACLE: "oracle: looks at the answers"}
ORDER = ("acer", "apcer", "acer_by_family", "apcer_by_family", "bpcer", "hter", "far")
LOOKS = "no figure to expect in use"
DIRECTION = (
    "the attack is the positive class, live are the reals of these datasets; APCER is by instrument: the worst counts"
)
PAPERS = "what FLIP calls TPR at FPR: its positive is live"


def of_attacks(each: Evaluated) -> Iterator[Table]:
    """Nothing where no clip is an attack."""
    names = [name for name in each.subsets() if name.startswith(ATTACKS)]
    scopes = [name for name in names if name not in each.instruments]
    for scope in scopes:
        inside = {
            name: each.instruments[name] for name in names if name.startswith(f"{scope}: ") and name in each.instruments
        }
        yield _table(each, scope, inside)


def _table(each: Evaluated, scope: str, instruments: Mapping[str, str]) -> Table:
    policies: list[Policy] = ["counted", "scored"]
    there = [policy for policy in policies if any((line.policy, line.subset) == (policy, scope) for line in each.lines)]
    found = {policy: each.figures("clip", policy, scope) for policy in there}
    columns = [(at, policy) for policy in there for at in AT]
    heads = [
        COLUMNS[at] + ("" if len(there) < 2 else ", all count" if policy == "counted" else ", scored alone")
        for at, policy in columns
    ]
    rows = []
    for metric in ORDER:
        if f"{metric}@{ORACLE}" in found["counted"]:
            rows.append((word(metric), *(_cell(found[policy][f"{metric}@{at}"]) for at, policy in columns)))
        for subset, family in instruments.items():
            name = subset.removeprefix(f"{scope}: ")
            told = f"{name} ({family})" if name != f"family {family}" else name
            if metric == ("apcer_by_family" if told == name else "apcer"):
                cells = [each.figures("clip", policy, subset).get(f"apcer@{at}") for at, policy in columns]
                rows.append((f"APCER with {told}", *("–" if one is None else str(one) for one in cells)))
    return Table(f"{each.name}: presentation {scope}, clips", ("figure", *heads), tuple(rows), tuple(_notes(each, found)))


def _cell(figure: Figure) -> str:
    """With the instrument, or the family, that is worst told."""
    worst = figure.why.partition(";")[0]
    return f"{figure} {worst.removeprefix('worst: ')}" if worst.startswith("worst: ") else str(figure)


def _notes(each: Evaluated, found: Mapping[Policy, Mapping[str, Figure]]) -> Iterator[str]:
    first = found["counted"]
    yield DIRECTION
    dev, oracle = (first[f"threshold@{at}"] for at in AT)
    if dev.value is None:
        yield f"dev: {dev.why}"
    elif each.chosen.operating is not None:
        rule = each.chosen.operating.rule
        yield f"dev: an attack from {dev.value:.4g} on, the threshold of {each.chosen.by} (rule {rule})"
    if oracle.value is None:
        yield f"oracle: {oracle.why}"
    else:
        yield (
            f"oracle: an attack from {oracle.value:.4g} on, the equal error threshold of these test scores, as SSDG and "
            f"FLIP take it: {LOOKS}"
        )
    for policy, figures in found.items():
        told = ", ".join(f"{word(name)} {figures[name]}" for name in FREE)
        yield f"without a threshold{', scored alone' if policy == 'scored' else ''}: {told} ({PAPERS})"
    why = dict[str, dict[str, None]]()
    for figures in found.values():
        for name, figure in figures.items():
            if figure.why and not figure.interval and not name.startswith("threshold") and not _dev_alone(figure, dev):
                reason = figure.why.partition("; ")[2] if figure.why.startswith("worst: ") else figure.why
                why.setdefault(reason, {})[word(name.partition("@")[0]).partition(":")[0]] = None
    yield from (f"{', '.join(names)}: {reason}" for reason, names in why.items() if reason)


def _dev_alone(figure: Figure, dev: Figure) -> bool:
    """Is it missing for want of a validation, which is said already?"""
    return dev.value is None and figure.why == dev.why
