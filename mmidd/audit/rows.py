"""A corpus's rows as codes: what they are, and which of them an audit takes as its sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.schema import ATTACKS, FORGERY_TYPES, LABELS

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

FIELDS = ("face", "environment")
CAPTIONS = tuple(f"{name}_caption" for name in FIELDS)
LONGEST = 2000
"""Characters of a caption that are read; whatever is longer is cut, and counted."""
NULL = "(none)"
_NAMED = ("dataset", "media", "group", "captioner")


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of n words: `codes` (n) into `names`, which are sorted; null is `NULL`."""

    codes: Ints
    names: tuple[str, ...]

    def of(self, row: int) -> str:
        code: int = self.codes[row]
        return self.names[code]


@dataclass(frozen=True, eq=False)
class Rows:
    """Every row of a corpus, in its order: n codes a column, and no text, number or image; those are read from `corpus`."""

    corpus: Corpus
    dataset: Coded
    label: Coded
    kind: Coded
    group: Coded
    medium: Coded
    captioner: Coded

    def __len__(self) -> int:
        return len(self.dataset.codes)


def code(corpus: Corpus) -> Rows:
    """The rows of a corpus, coded. Raises CorpusError for shards that cannot be read."""
    table = corpus.rows((*_NAMED, "label", "forgery_type", "attack"))
    medium = pc.binary_join_element_wise(table["dataset"], table["media"], "/")
    return Rows(
        corpus,
        dataset=_coded(table["dataset"]),
        label=_classes(table["label"], LABELS),
        kind=_classes(pc.coalesce(table["forgery_type"], _families(table["attack"])), (*FORGERY_TYPES, *ATTACKS)),
        group=_coded(pc.coalesce(table["group"], medium)),
        medium=_coded(medium),
        captioner=_coded(table["captioner"]),
    )


def _coded(column: pa.ChunkedArray) -> Coded:
    encoded = pc.fill_null(column, NULL).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Coded(rank[codes] if len(names) else codes, tuple(names[place] for place in order))


def _families(attacks: pa.ChunkedArray) -> pa.ChunkedArray:
    """Families of presentation attacks, numbered behind the forgery types."""
    return pc.add(pc.index_in(attacks, value_set=pa.array(ATTACKS)).cast(pa.int64()), len(FORGERY_TYPES))


def _classes(column: pa.ChunkedArray, names: tuple[str, ...]) -> Coded:
    codes = pc.fill_null(column, len(names)).to_numpy().astype(np.int64)
    return Coded(np.where((codes < 0) | (codes > len(names)), len(names), codes), (*names, NULL))


def spread(rows: Rows, strata: Sequence[Coded], size: int, seed: int, eligible: Bools | None = None) -> Ints:
    """At most `size` row numbers, increasing: every stratum alike as far as it reaches, and in it every group once
    before any group twice, then every medium once before any twice. Chosen by chance, the same for the same seed."""
    numbers = np.arange(len(rows)) if eligible is None else np.flatnonzero(eligible)
    if not len(numbers):
        return numbers
    numbers = np.random.default_rng(seed).permutation(numbers)
    stratum = np.zeros(len(numbers), dtype=np.int64)
    for coded in strata:
        stratum = np.unique(stratum * len(coded.names) + coded.codes[numbers], return_inverse=True)[1]
    for owner in (rows.medium, rows.group):
        by_owner = np.lexsort((_turn(stratum * len(owner.names) + owner.codes[numbers]), stratum))
        numbers, stratum = numbers[by_owner], stratum[by_owner]
    taken = np.lexsort((stratum, _turn(stratum)))[:size]
    return np.sort(numbers[taken])


def _turn(owners: Ints) -> Ints:
    """For each place, how often its owner stands before it."""
    order = np.argsort(owners, kind="stable")
    starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    turn = np.empty_like(order)
    turn[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return turn


def first_of(codes: Ints) -> Bools:
    """Which places hold a code for the first time."""
    first = np.zeros(len(codes), dtype=np.bool_)
    first[np.unique(codes, return_index=True)[1]] = True
    return first
