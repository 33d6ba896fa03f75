"""Fakes of another dataset's reals: which of the places where a real may lie is one, once both datasets are indexed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

Media = Mapping[str, str | None]
"""The media of one dataset, each with its compression."""


class Settled(NamedTuple):
    """The index of every dataset with its pairs settled, and how many fakes of each lost theirs."""

    parts: list[pa.Table]
    lost: dict[str, int]


def settle(parts: Sequence[pa.Table], taken: Mapping[str, str | None]) -> Settled:
    """Give each fake the first of its candidates that is a medium.

    `parts` are the indexes of the datasets that `taken` names, in its order, with the compression that is taken of each: a
    candidate in that one comes first. Where none is a medium the fake has no pair, and a group key of the first
    candidate keeps it with its siblings. A candidate in a dataset that is not indexed cannot be checked and is believed.
    """
    asked = {_split(each)[0] for part in parts for each in pc.unique(_flat(part)).to_pylist()}
    there = {name: _media(part) for name, part in zip(taken, parts, strict=True) if name in asked}
    found = Settled([], {})
    for name, part in zip(taken, parts, strict=True):
        settled, lost = _settle(part, there, taken)
        found.parts.append(settled)
        found.lost[name] = lost
    return found


def _flat(part: pa.Table) -> pa.Array:
    return part["pair_candidates"].combine_chunks().flatten()


def _media(part: pa.Table) -> Media:
    mine = part.filter(pc.equal(part["status"], "media"))
    return dict(zip(mine["media"].to_pylist(), mine["compression"].to_pylist(), strict=True))


def _split(candidate: str) -> tuple[str, str]:
    dataset, _, media = candidate.partition(":")
    return dataset, media


def _settle(part: pa.Table, there: Mapping[str, Media], taken: Mapping[str, str | None]) -> tuple[pa.Table, int]:
    if not len(_flat(part)):
        return part, 0
    names = ("pair_dataset", "pair_media", "aligned", "group_keys")
    datasets, media, aligned, keys = columns = [part[name].to_pylist() for name in names]
    lost = 0
    for row, candidates in enumerate(part["pair_candidates"].to_pylist()):
        if not candidates:
            continue
        places = [_split(each) for each in candidates]
        chosen = _choose(places, there, taken)
        datasets[row], media[row] = chosen or (None, None)
        if chosen is None:
            lost += 1
            aligned[row] = False
            keys[row] = [*keys[row], "{}/media/{}".format(*places[0])]
    for name, column in zip(names, columns, strict=True):
        place = part.schema.get_field_index(name)
        part = part.set_column(place, part.schema.field(place), pa.array(column, part.schema.field(place).type))
    return part, lost


def _choose(
    places: Iterable[tuple[str, str]], there: Mapping[str, Media], taken: Mapping[str, str | None]
) -> tuple[str, str] | None:
    """The first place that is a medium of the compression that is taken; else one of another; else one not indexed."""
    found = [(dataset, media) for dataset, media in places if dataset not in there or media in there[dataset]]
    ranks = {place: _rank(place, there, taken) for place in found}
    return min(found, key=ranks.__getitem__, default=None)


def _rank(place: tuple[str, str], there: Mapping[str, Media], taken: Mapping[str, str | None]) -> int:
    dataset, media = place
    if dataset not in there:
        return 2
    return 0 if there[dataset][media] in (None, taken[dataset]) else 1
