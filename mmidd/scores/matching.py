"""Which medium a name means that others wrote: the same path, or one that differs by its root or ending, for all alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.int64]
_MOST_DEPTH = 64
"""Folders of a path whose ends are compared."""


@dataclass(frozen=True, eq=False)
class Matched:
    """`place`: of each name the number of its medium, -1 for none, -2 for a name that means several. `how`: in words."""

    place: Places
    how: str


def match(names: pa.Array, datasets: pa.Array | None, media: pa.Table, words: Mapping[str, str]) -> Matched:
    """Find media (`dataset`, `media`) by name, and by dataset where that is told (`words`: how others may call a dataset).

    One rule is taken for all names: the one that finds most, of equal ones the strictest.
    """
    told = names if datasets is None else _joined(pc.fill_null(datasets, ""), names)
    coded = told.dictionary_encode()
    several = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    each, first, back = np.unique(several, return_index=True, return_inverse=True)  # frames of a medium are looked up once
    if len(each) < len(names):
        at = pa.array(first)
        once = match(names.take(at), None if datasets is None else datasets.take(at), media, words)
        return Matched(once.place[back], once.how)
    theirs = _normal(names)
    ours = pc.cast(media["media"].combine_chunks(), pa.string())
    before = pa.repeat(pa.scalar(""), len(theirs))
    mine = pa.repeat(pa.scalar(""), len(ours))
    if datasets is not None:
        known = pa.array(list(words), pa.string())
        places = pc.index_in(pc.utf8_lower(pc.fill_null(datasets, "")), known, skip_nulls=True)
        before = pc.fill_null(pa.array(list(words.values()), pa.string()).take(places), "\1 no such dataset")
        mine = pc.cast(media["dataset"].combine_chunks(), pa.string())
    best: Matched | None = None
    for how, found in _rules(theirs, before, ours, mine, media):
        if best is None or (found >= 0).sum() > (best.place >= 0).sum():
            best = Matched(found, how)
        if (best.place >= 0).all():
            break
    assert best is not None
    return best


def _rules(
    theirs: pa.Array, before: pa.Array, ours: pa.Array, mine: pa.Array, media: pa.Table
) -> Iterator[tuple[str, Places]]:
    yield "the path", _find(_joined(before, theirs), _joined(mine, ours))
    named = pc.binary_join_element_wise(pc.cast(media["dataset"].combine_chunks(), pa.string()), ours, "/")
    yield "the dataset and the path", _find(_joined(before, theirs), _joined(mine, named))
    for ending in (True, False):
        without = "" if ending else ", without its ending"
        left, right = (theirs, ours) if ending else (_bare(theirs), _bare(ours))
        if not ending:
            yield f"the path{without}", _find(_joined(before, left), _joined(mine, right))
        yield f"the end of a longer path{without}", _ends(left, before, right, mine)
        # The other way round a name may be the end of several paths.
        yield f"the end of the path{without}", _ended(left, before, right, mine)


def _ends(theirs: pa.Array, before: pa.Array, ours: pa.Array, mine: pa.Array) -> Places:
    """Ours is the end of theirs: of each the longest of ours."""
    found = np.full(len(theirs), -1, np.int64)
    depths = _depth(ours)
    for depth in sorted(_some(depths), reverse=True):
        here = np.flatnonzero(depths == depth)
        open_ = np.flatnonzero((found == -1) & (_depth(theirs) >= depth))
        if len(open_):
            at = pa.array(open_)
            key = _joined(before.take(at), _tail(theirs.take(at), depth))
            hit = _find(key, _joined(mine.take(pa.array(here)), ours.take(pa.array(here))))
            found[open_] = np.where(hit >= 0, here[hit], hit)
    return found


def _ended(theirs: pa.Array, before: pa.Array, ours: pa.Array, mine: pa.Array) -> Places:
    """Theirs is the end of ours."""
    found = np.full(len(theirs), -1, np.int64)
    depths, held = _depth(theirs), _depth(ours)
    for depth in sorted(_some(depths) & set(range(held.max(initial=0) + 1))):
        here, there = np.flatnonzero(depths == depth), np.flatnonzero(held >= depth)
        at = pa.array(there)
        key = _joined(before.take(pa.array(here)), theirs.take(pa.array(here)))
        hit = _find(key, _joined(mine.take(at), _tail(ours.take(at), depth)))
        found[here] = np.where(hit >= 0, there[hit], hit) if len(there) else -1
    return found


def _some(depths: npt.NDArray[np.int64]) -> set[int]:
    return {depth for depth in set(depths.tolist()) if depth <= _MOST_DEPTH}


def _find(theirs: pa.Array, ours: pa.Array) -> Places:
    coded = ours.dictionary_encode()
    counts = np.bincount(coded.indices.to_numpy(), minlength=len(coded.dictionary))
    first = np.zeros(len(coded.dictionary), np.int64)
    first[coded.indices.to_numpy()[::-1]] = np.arange(len(ours))[::-1]
    hit = pc.fill_null(pc.index_in(theirs, coded.dictionary, skip_nulls=True), -1).to_numpy(zero_copy_only=False)
    if not len(first):
        return np.full(len(theirs), -1, np.int64)
    found: Places = np.where(hit < 0, -1, np.where(counts[hit] > 1, -2, first[hit])).astype(np.int64)
    return found


def _joined(before: pa.Array, text: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(before, text, pa.scalar("\0"))


def _normal(names: pa.Array) -> pa.Array:
    """A path as ours are written."""
    text = pc.replace_substring(pc.fill_null(names, ""), "\\", "/")
    return pc.replace_substring_regex(text, r"^(?:\.?/)+", "")


def _bare(paths: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(paths, r"\.[A-Za-z][A-Za-z0-9]{1,4}$", "")


def _depth(paths: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(pc.count_substring(paths, "/").to_numpy(zero_copy_only=False), np.int64) + 1


def _tail(paths: pa.Array, depth: int) -> pa.Array:
    return pc.replace_substring_regex(paths, rf"^(?s:.*)/((?:[^/]*/){{{depth - 1}}}[^/]*)$", r"\1")
