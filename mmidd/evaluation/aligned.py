"""Are score files of the same rows? Only then can they be compared; else an error that says what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from mmidd.errors import ScoreError
from mmidd.evaluation.figures import counted
from mmidd.evaluation.files import Named
from mmidd.evaluation.items import KEY, Items
from mmidd.show import printable

_TOLD = ("label", "group")


def aligned(files: Sequence[Named], level: str) -> list[Items]:
    """The rows of each file, in one order. Raises ScoreError where they name other rows, labels or groups."""
    tables = [each.table(level) for each in files]
    columns = [*KEY, *_TOLD]
    if all(table.select(columns).equals(tables[0].select(columns)) for table in tables[1:]):
        return [each.items(level) for each in files]
    tables = [table.sort_by([(name, "ascending") for name in KEY]) for table in tables]
    for file, table in zip(files[1:], tables[1:], strict=True):
        if not table.select(columns).equals(tables[0].select(columns)):
            raise ScoreError(_difference(files[0], tables[0], file, table, level))
    return [Items.of(table) for table in tables]


def same_rows(one: Named, other: Named) -> bool:
    """Do both name the same clips?"""
    try:
        aligned([one, other], "clip")
    except ScoreError:
        return False
    return True


def _difference(one: Named, first: pa.Table, other: Named, second: pa.Table, level: str) -> str:
    here, there = Counter(_keys(first)), Counter(_keys(second))
    told = []
    for name, mine, others in ((one.name, here, there), (other.name, there, here)):
        if alone := list((mine - others).elements()):
            told.append(
                f"{counted(len(alone), level)} {'is' if len(alone) == 1 else 'are'} in {name} alone ({_shown(alone[0])})"
            )
    if not told:
        for column in _TOLD:
            pairs = zip(first[column].to_pylist(), second[column].to_pylist(), _keys(first), strict=True)
            if wrong := [key for a, b, key in pairs if a != b]:
                told.append(f"{counted(len(wrong), level)} with other {column}s ({_shown(wrong[0])})")
    splits = "" if one.split == other.split else f" (the one is told of {one.split}, the other of {other.split})"
    return (
        f"{one.name} and {other.name} are not of the same rows{splits}: {'; '.join(told)}. Compare scores of the same "
        "splits and datasets of one corpus (mmidd score with the same --split and --only)"
    )


def _keys(table: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(table[name].to_pylist() for name in KEY), strict=True))


def _shown(key: tuple[object, ...]) -> str:
    return printable(" ".join(str(each) for each in key if each is not None))
