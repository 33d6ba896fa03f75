"""Which rows of a corpus training sees, and what their columns say, without a pixel: row numbers and integer codes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
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
from mmidd.training.arrow import filled, places, valid

Numbers = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
_BATCH = 1 << 16
_TOLD = 12
"""Values that a message lists."""
_MOST_NEAR = 100_000
_FAR_MORE = 1.5
"""So many times as many rows as were asked for are warned of."""


@dataclass(frozen=True)
class Codes:
    """A column of the selection: `values[codes[i]]` is what row i holds. Values are sorted, classes by name in the schema's
    order, null (None) last; each occurs."""

    values: tuple[Any, ...]
    codes: Small

    @property
    def counts(self) -> dict[Any, int]:
        """The rows of each value."""
        found = np.bincount(self.codes, minlength=len(self.values)).tolist()
        return dict(zip(self.values, found, strict=True))


class Rows:
    """The selected rows, by their increasing numbers in the corpus. What their columns say is read once, when it is asked
    for, and left behind where the object is sent to another process."""

    def __init__(self, numbers: Numbers, corpus: Corpus, held: Mapping[str, Any] | None = None) -> None:
        self.numbers, self.corpus = numbers, corpus
        self._held: dict[str, Any] = dict(held or {})

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"<Rows: {len(self):,} of the {len(self.corpus):,} of {self.corpus.name}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"numbers": self.numbers, "corpus": self.corpus, "_held": {}}

    @property
    def corpus_digest(self) -> str:
        """16 hex digits over the data files of the corpus."""
        if "corpus" not in self._held:
            told = "".join(f"{s.name}\0{self.corpus.files[s.name].sha256}\n" for s in self.corpus.shards)
            self._held["corpus"] = hashlib.sha256(told.encode()).hexdigest()[:16]
        return str(self._held["corpus"])

    @property
    def digest(self) -> str:
        """16 hex digits over the numbers: the same only for the same selection."""
        if "digest" not in self._held:
            self._held["digest"] = hashlib.sha256(self.numbers.tobytes()).hexdigest()[:16]
        return str(self._held["digest"])

    def codes(self, name: str) -> Codes:
        """A column as codes. Raises CorpusError for one that is unknown, or holds lists or images."""
        self.load(name)
        found: Codes = self._held[name]
        return found

    def load(self, *names: str) -> None:
        """Read several columns in one pass through the files; what is held is not read again."""
        lacking = [name for name in dict.fromkeys(names) if name not in self._held]
        for name in lacking:
            if name not in BY_NAME:
                raise CorpusError(unknown("column", name, BY_NAME))
            if pa.types.is_nested(BY_NAME[name].type):
                raise CorpusError(f"column {name!r} holds {BY_NAME[name].type}: rows cannot be told apart by it")
        parts: dict[str, list[pa.Array]] = {name: [] for name in lacking}
        for _, batch in self._batches(lacking) if lacking else ():
            for name in lacking:
                parts[name].append(pc.dictionary_encode(batch[name]))
        self._held |= {name: _coded(name, found) for name, found in parts.items()}

    @property
    def clip(self) -> Small:
        """One number for each face of each medium: rows that have it in common are frames of one clip."""
        if "clip" not in self._held:
            self.load("dataset", "media", "face")
            key = np.zeros(len(self), np.int64)
            for name in ("dataset", "media", "face"):
                found = self.codes(name)
                key = key * max(1, len(found.values)) + found.codes  # under 2 to the 63: media by datasets by faces
            self._held["clip"] = np.unique(key, return_inverse=True)[1].astype(np.int32)
        found_clip: Small = self._held["clip"]
        return found_clip

    @property
    def frame(self) -> Small:
        """The frame number of each row, 0 where there is none."""
        if "frames" not in self._held:
            found = self.codes("frame")
            values = np.array([0 if value is None else value for value in found.values], np.int32)
            self._held["frames"] = values[found.codes]
        frames: Small = self._held["frames"]
        return frames

    @property
    def pair(self) -> Numbers:
        """For each row the position, in this selection, of the real that it was made from; -1 where it names none, and
        -2 where it names one that is not selected."""
        if "pairs" not in self._held:
            parts = [(batch["id"], batch["pair"]) for _, batch in self._batches(["id", "pair"])]
            ids, pairs = (pa.chunked_array(part, pa.string()) for part in zip(*parts, strict=True))
            found = filled(pc.index_in(pairs, ids.combine_chunks()).combine_chunks(), -2).astype(np.int64)
            found[~valid(pairs.combine_chunks())] = -1
            self._held["pairs"] = found
        pair: Numbers = self._held["pairs"]
        return pair

    @property
    def row_groups(self) -> Small:
        """The row group that holds each row, numbered through the files that hold one; from their footers."""
        if "row_groups" not in self._held:
            found, before = np.zeros(len(self), np.int32), 0
            for start, shard in _starts(self.corpus):
                here = slice(*np.searchsorted(self.numbers, (start, start + shard.rows)))
                if here.start < here.stop:
                    ends = np.cumsum(self.corpus.row_groups(shard))
                    found[here] = before + np.searchsorted(ends, self.numbers[here] - start, side="right")
                    before += len(ends)
            self._held["row_groups"] = found
        groups: Small = self._held["row_groups"]
        return groups

    @property
    def slugs(self) -> Small:
        """A number for the dataset of each row, by the names of the files."""
        if "slugs" not in self._held:
            known, shards = {slug: number for number, slug in enumerate(self.corpus.datasets)}, self.corpus.shards
            every = np.repeat([known[shard.dataset] for shard in shards], [shard.rows for shard in shards])
            self._held["slugs"] = every.astype(np.int32)[self.numbers]
        slugs: Small = self._held["slugs"]
        return slugs

    def _batches(self, columns: Sequence[str]) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
        """These columns of the rows, batch by batch, with their numbers."""
        return _batches(self.corpus, self.numbers, columns)


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
    shards = [(start, shard) for start, shard in _starts(corpus) if shard.rows and split in (None, shard.split)]
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
    named = {name: found.slug for name, found in corpus.about.datasets.items() if found.slug in corpus.datasets}
    if set(named.values()) != set(corpus.datasets):
        return None
    for name in names:
        if name is not None and name not in named and name not in corpus.datasets:
            raise CorpusError(f"{corpus.place.path('')}: {unknown('dataset', name, [*named, *corpus.datasets])}")
    return {str(named.get(name, name)) for name in names if name is not None}


def _by_value(corpus: Corpus, numbers: Numbers, asked: Mapping[str, Any]) -> Numbers:
    for name in asked:
        if name not in BY_NAME:
            raise CorpusError(f"where: {unknown('column', name, BY_NAME)}")
    held = {name: values_of(name, found) for name, found in asked.items()}
    parts = [batch for _, batch in _batches(corpus, numbers, list(asked))]
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
        told = str(_named(classes, unused[0]))
        near = get_close_matches(told, [str(value) for value in there.to_pylist()[:_MOST_NEAR]], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        more = f" (nor {len(unused) - 1} more)" if len(unused) > 1 else ""
        warnings.warn(f"where: no row has {name} {told!r}{more}{hint}", stacklevel=5)


def _counted(name: str, column: pa.ChunkedArray) -> str:
    chunks = [pc.dictionary_encode(chunk) for chunk in column.chunks]
    counts = sorted(_coded(name, chunks).counts.items(), key=lambda each: -each[1])
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


def _starts(corpus: Corpus) -> Iterator[tuple[int, Any]]:
    """The files, each with the number of its first row."""
    start = 0
    for shard in corpus.shards:
        yield start, shard
        start += shard.rows


def _batches(corpus: Corpus, numbers: Numbers, columns: Sequence[str]) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
    """These columns of the rows of increasing numbers; of the corpus only the files that hold one."""
    for start, shard in _starts(corpus):
        mine = numbers[slice(*np.searchsorted(numbers, (start, start + shard.rows)))]
        if not len(mine):
            continue
        part = copy(corpus)
        part.shards = (shard,)
        for begin, batch in part.batches(columns, _BATCH):
            here = mine[slice(*np.searchsorted(mine, (start + begin, start + begin + len(batch))))]
            whole = len(here) == len(batch)
            yield here, batch if whole else batch.take(places(here - start - begin))


def _coded(name: str, parts: Iterable[pa.Array]) -> Codes:
    """Dictionaries of the parts made one, of values that occur, in order."""
    classes, kind = BY_NAME[name].classes, BY_NAME[name].type
    together = pa.chunked_array(list(parts), pa.dictionary(pa.int32(), kind)).unify_dictionaries()
    if not together.num_chunks:
        return Codes((), np.zeros(0, np.int32))
    values = together.chunk(0).dictionary.to_pylist()
    found = np.concatenate([filled(chunk.indices, len(values)) for chunk in together.chunks])
    order = sorted(range(len(values)), key=values.__getitem__)
    places = np.empty(len(order) + 1, np.int32)
    places[[*order, len(order)]] = np.arange(len(order) + 1, dtype=np.int32)
    told = [_named(classes, values[place]) for place in order]
    return Codes(tuple([*told, None] if together.null_count else told), places[found])


def _named(classes: Sequence[str], value: Any) -> Any:
    return classes[value] if classes and value is not None and 0 <= value < len(classes) else value
