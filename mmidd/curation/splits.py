"""Train, validation, test: official splits as published, then the group's, then a hash of the group's anchor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from mmidd.errors import RecipeError
from mmidd.schema import SPLITS

STRICTEST_FIRST = ("test", "validation", "train")


@dataclass(frozen=True)
class SplitVerdict:
    """Where one medium goes and why. `split` is null exactly where `drop` gives the reason it is left out.

    `basis`: `partial` is the word of a list that is not known to be the whole official one."""

    split: str | None
    basis: Literal["official", "partial", "group", "hash"]
    drop: str | None


def hash_split(anchor: str, fractions: Mapping[str, float], seed: int) -> str:
    """The split of a group without any official member: a pure function of its anchor, the fractions and the seed.

    The SHA-256 of seed and anchor falls on a line of length one that is cut into test, validation, train in this
    order: other groups never matter, and a larger test fraction keeps what was in test there. Raises RecipeError
    for fractions that name no split, are negative, or do not add up to one.
    """
    return _place(anchor, _cuts(fractions), seed)


def assign_splits(
    anchors: Sequence[str],
    official: Sequence[str | None],
    fractions: Mapping[str, float],
    seed: int,
    partial: Sequence[bool] | None = None,
) -> list[SplitVerdict]:
    """One verdict per medium, such that among the media that are kept no group spans two splits.

    `anchors`: each medium's group. `official`: its published split or null. Each group goes to the strictest official
    split among its members (test, then validation, then train); members published elsewhere are dropped as
    `official_test_leak` or `official_validation_leak`; members without one follow. Groups without any official member
    go by `hash_split`. `partial` marks media whose split is the word of a partial list: it holds as an official one does,
    and is not called one (`partial_test_leak`). Raises ValueError for columns of unequal length or an unknown split,
    RecipeError for fractions.
    """
    if unknown := {split for split in official if split is not None} - set(SPLITS):
        raise ValueError(f"official splits are {', '.join(SPLITS)}, not {', '.join(sorted(unknown))}")
    cuts = _cuts(fractions)
    partial = partial if partial is not None else [False] * len(official)
    strictest = _strictest(anchors, official)
    whole = {(anchor, said) for anchor, said, part in zip(anchors, official, partial, strict=True) if said and not part}
    split = {name: SplitVerdict(name, "hash", None) for name in SPLITS}
    hashed = {anchor: split[_place(anchor, cuts, seed)] for anchor in set(anchors) - strictest.keys()}
    return [
        hashed[anchor]
        if anchor in hashed
        else _follow(strictest[anchor], published, part, (anchor, strictest[anchor]) not in whole)
        for anchor, published, part in zip(anchors, official, partial, strict=True)
    ]


def _strictest(anchors: Sequence[str], official: Sequence[str | None]) -> dict[str, str]:
    """The strictest official split of every group that has one."""
    found: dict[str, str] = {}
    for anchor, split in zip(anchors, official, strict=True):
        if split is not None and STRICTEST_FIRST.index(split) < STRICTEST_FIRST.index(found.get(anchor, "train")):
            found[anchor] = split
        elif split is not None:
            found.setdefault(anchor, split)
    return found


@cache
def _follow(strictest: str, published: str | None, partial: bool, of_partial: bool) -> SplitVerdict:
    """Where a member of a group goes; `of_partial`: the group's strictest split is the word of partial lists alone."""
    if published is None:
        return SplitVerdict(strictest, "group", None)
    basis: Literal["official", "partial"] = "partial" if partial else "official"
    if published == strictest:
        return SplitVerdict(strictest, basis, None)
    return SplitVerdict(None, basis, f"{'partial' if of_partial else 'official'}_{strictest}_leak")


def _cuts(fractions: Mapping[str, float]) -> list[tuple[float, str]]:
    """The upper end of each split's stretch of the unit line, empty stretches left out."""
    if unknown := set(fractions) - set(SPLITS):
        raise RecipeError(f"split fractions name {', '.join(SPLITS)}, not {', '.join(sorted(unknown))}")
    if not all(math.isfinite(share) and share >= 0 for share in fractions.values()):
        raise RecipeError(f"split fractions must not be negative: {dict(fractions)}")
    if abs(math.fsum(fractions.values()) - 1) > 1e-9:
        raise RecipeError(f"split fractions must add up to 1: {dict(fractions)}")
    used = [split for split in STRICTEST_FIRST if fractions.get(split, 0) > 0]
    return [(math.fsum(fractions[name] for name in used[: i + 1]), split) for i, split in enumerate(used)]


def _place(anchor: str, cuts: list[tuple[float, str]], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}\0{anchor}".encode()).digest()
    # 53 bits, so that the point is exact in a float and stays below one.
    point = (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)
    return next((split for end, split in cuts if point < end), cuts[-1][1])
