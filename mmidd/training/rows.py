"""The rows of a corpus that training sees, and what their columns say, without a pixel: row numbers and integer codes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.corpus.where import unknown
from mmidd.errors import CorpusError
from mmidd.schema import BY_NAME
from mmidd.training.arrow import filled, places, valid

Numbers = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
_BATCH = 1 << 16


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
            self._held["corpus"] = self.corpus.digest
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
        for _, batch in self.batches(lacking) if lacking else ():
            for name in lacking:
                parts[name].append(pc.dictionary_encode(batch[name]))
        self._held |= {name: coded(name, found) for name, found in parts.items()}

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
            parts = [(batch["id"], batch["pair"]) for _, batch in self.batches(["id", "pair"])]
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
            for start, shard in starts(self.corpus):
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

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
        """These columns of the rows, batch by batch, with their numbers."""
        return batches(self.corpus, self.numbers, columns)


def starts(corpus: Corpus) -> Iterator[tuple[int, Any]]:
    """The files, each with the number of its first row."""
    start = 0
    for shard in corpus.shards:
        yield start, shard
        start += shard.rows


def batches(corpus: Corpus, numbers: Numbers, columns: Sequence[str]) -> Iterator[tuple[Numbers, pa.RecordBatch]]:
    """These columns of the rows of increasing numbers; of the corpus only the files that hold one."""
    for start, shard in starts(corpus):
        mine = numbers[slice(*np.searchsorted(numbers, (start, start + shard.rows)))]
        if not len(mine):
            continue
        part = copy(corpus)
        part.shards = (shard,)
        for begin, batch in part.batches(columns, _BATCH):
            here = mine[slice(*np.searchsorted(mine, (start + begin, start + begin + len(batch))))]
            whole = len(here) == len(batch)
            yield here, batch if whole else batch.take(places(here - start - begin))


def coded(name: str, parts: Iterable[pa.Array]) -> Codes:
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
    told = [named(classes, values[place]) for place in order]
    return Codes(tuple([*told, None] if together.null_count else told), places[found])


def named(classes: Sequence[str], value: Any) -> Any:
    return classes[value] if classes and value is not None and 0 <= value < len(classes) else value
