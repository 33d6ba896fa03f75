"""Which rows of a corpus: by split and dataset, by values of columns, and a seeded fraction of whole groups."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.corpus.where import kept, unknown, values_of
from mmidd.errors import CorpusError, UsageError
from mmidd.schema import BY_NAME, SPLITS
from mmidd.training.arrow import places
from mmidd.training.rows import Numbers, Rows, batches, coded, named, starts

_TOLD = 12
"""Values that a message lists."""
_MOST_NEAR = 100_000
_FAR_MORE = 1.5
"""So many times as many rows as were asked for are warned of."""


def select(
    corpus: Corpus | str | Path,
    *,
    split: str | None = None,
    where: Mapping[str, Any] | None = None,
    fraction: float = 1.0,
    seed: int = 0,
) -> Rows:
    """The rows of a split that hold the values of `where` (as `Corpus.rows` takes it; a dataset by name or slug), and of
    them a seeded `fraction`.

    Split and dataset are told by the files' names: no file is opened for them. A fraction takes whole groups, so that pairs
    stay together and no clip is cut: of each dataset those that come first in an order that the seed gives, until their rows
    are at least that fraction (`len` says how many they are). A smaller fraction lies inside a larger one of the same seed.
    Raises CorpusError for an unknown value and where no row is left.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    if where is not None and not isinstance(where, Mapping):
        raise UsageError(f"where={where!r}: a mapping of columns and what they hold, {{'label': 'real'}}")
    if not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise UsageError(f"fraction={fraction!r}: a part of the rows is over 0 and at most 1")
    numbers, asked = _by_name(corpus, split, dict(where or {}))
    if asked:
        numbers = _by_value(corpus, numbers, asked)
    rows = Rows(numbers, corpus)
    if fraction == 1:
        return rows
    chosen = Rows(numbers[first_groups(rows, fraction, seed)], corpus)
    if len(chosen) > _FAR_MORE * fraction * len(rows):
        warnings.warn(
            f"fraction={fraction:g} gives {len(chosen):,} of {len(rows):,} rows, {len(chosen) / len(rows):.1%}: whole "
            "groups are taken, and of each dataset one at least",
            stacklevel=3,
        )
    return chosen


def _by_name(corpus: Corpus, split: str | None, asked: dict[str, Any]) -> tuple[Numbers, dict[str, Any]]:
    """The rows of the files whose names say split and dataset, and what else is asked for."""
    if split is not None and split not in SPLITS:
        raise CorpusError(unknown("split", split, SPLITS))
    shards = [(start, shard) for start, shard in starts(corpus) if shard.rows and split in (None, shard.split)]
    if not shards:
        there = ", ".join(f"{name} {count:,}" for name, count in corpus.splits.items()) or "none"
        raise CorpusError(f"{corpus.place.path('')}: no row is left by split={split!r}; rows of its splits: {there}")
    if "dataset" in asked and (slugs := _slugs(corpus, asked["dataset"])) is not None:
        there = ", ".join(sorted({shard.dataset for _, shard in shards}))
        shards = [(start, shard) for start, shard in shards if shard.dataset in slugs]
        if not shards:
            of = f" of split {split!r}" if split else ""
            raise CorpusError(
                f"{corpus.place.path('')}: no row{of} is left by dataset={asked['dataset']!r}; datasets there: {there}"
            )
        del asked["dataset"]
    return np.concatenate([np.arange(start, start + shard.rows, dtype=np.int64) for start, shard in shards]), asked


def _slugs(corpus: Corpus, asked: Any) -> set[str] | None:
    """The slugs of datasets that are asked for by name or slug; None where `mmidd.json` does not know the names."""
    names = list(asked) if isinstance(asked, Iterable) and not isinstance(asked, str) else [asked]
    known = {name: found.slug for name, found in corpus.about.datasets.items() if found.slug in corpus.datasets}
    if set(known.values()) != set(corpus.datasets):
        return None
    for name in names:
        if name is not None and name not in known and name not in corpus.datasets:
            raise CorpusError(f"{corpus.place.path('')}: {unknown('dataset', name, [*known, *corpus.datasets])}")
    return {str(known.get(name, name)) for name in names if name is not None}


def _by_value(corpus: Corpus, numbers: Numbers, asked: Mapping[str, Any]) -> Numbers:
    for name in asked:
        if name not in BY_NAME:
            raise CorpusError(f"where: {unknown('column', name, BY_NAME)}")
    held = {name: values_of(name, found) for name, found in asked.items()}
    parts = [batch for _, batch in batches(corpus, numbers, list(asked))]
    table = pa.Table.from_batches(parts).append_column("row", places(numbers))
    for name, values in held.items():
        left = kept(table, {name: values})
        if not len(left):
            raise CorpusError(
                f"{corpus.place.path('')}: no row is left by {name}={asked[name]!r}; "
                f"{name} in the {len(table):,} rows before it: {_counted(name, table[name])}"
            )
        _tell_unused(name, values, table[name])
        table = left
    found: Numbers = table["row"].to_numpy()
    return found


def _tell_unused(name: str, values: pa.Array, column: pa.ChunkedArray) -> None:
    """Warn of values, among those that were asked for, that no row holds: a name with a slip in it looks the same."""
    classes = BY_NAME[name].classes
    if not classes and column.type != pa.string():
        return
    there = column.unique()
    if unused := [value for value in values.filter(pc.invert(pc.is_in(values, there))).to_pylist() if value is not None]:
        told = str(named(classes, unused[0]))
        near = get_close_matches(told, [str(value) for value in there.to_pylist()[:_MOST_NEAR]], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        more = f" (nor {len(unused) - 1} more)" if len(unused) > 1 else ""
        warnings.warn(f"where: no row has {name} {told!r}{more}{hint}", stacklevel=5)


def _counted(name: str, column: pa.ChunkedArray) -> str:
    chunks = [pc.dictionary_encode(chunk) for chunk in column.chunks]
    counts = sorted(coded(name, chunks).counts.items(), key=lambda each: -each[1])
    more = f" and {len(counts) - _TOLD} more" if len(counts) > _TOLD else ""
    return ", ".join(f"{'null' if value is None else value} {count:,}" for value, count in counts[:_TOLD]) + more


def first_groups(rows: Rows, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows are of the groups that come first. A group counts to the dataset of its first row."""
    rows.load("dataset", "group")
    groups, datasets = rows.codes("group"), rows.codes("dataset").codes
    codes, names = groups.codes.copy(), list(groups.values)
    if names[-1] is None:  # who has no group stays with its clip
        apart = np.flatnonzero(codes == len(names) - 1)
        clips, codes[apart] = np.unique(rows.clip[apart], return_inverse=True)
        codes[apart] += len(names) - 1
        names[-1:] = [f"\0{clip}" for clip in clips]
    order = np.array([_hashed(seed, str(name)) for name in names], np.uint64)
    _, first, sizes = np.unique(codes, return_index=True, return_counts=True)
    taken = np.zeros(len(names), np.bool_)
    for dataset in np.unique(datasets[first]):
        mine = np.flatnonzero(datasets[first] == dataset)
        mine = mine[np.argsort(order[mine], kind="stable")]
        ends = np.cumsum(sizes[mine])
        taken[mine[: int(np.searchsorted(ends, fraction * ends[-1])) + 1]] = True
    chosen: npt.NDArray[np.bool_] = taken[codes]
    return chosen


def _hashed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "big")
