"""The one reader of a finished corpus: columns without pixels, rows by number, images row group by row group."""

from __future__ import annotations

import hashlib
import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus import pictures
from mmidd.corpus.about import MANIFEST, MEDIA, MOST_BYTES, About, Listed, Shard, parse
from mmidd.corpus.parquet import VERIFY, File, open_parquet, opened_shard, reading
from mmidd.corpus.place import Place, place_of, read_bytes
from mmidd.corpus.where import kept, unknown, values_of
from mmidd.errors import CorpusError
from mmidd.schema import BY_NAME, SCHEMA_VERSION, SPLITS, arrow_schema, media_schema

if TYPE_CHECKING:
    from mmidd.audit.run import Done
    from mmidd.corpus.verify import Verified

BATCH = 8192
"""Rows of a batch of columns."""
_PICTURES = 64
_MOST_ROWS = 1 << 40
_SCHEMA = arrow_schema()


class Corpus:
    """A finished corpus: a folder, or hf://datasets/ORG/NAME[@REVISION], of which only what is asked for is read.

    Rows are numbered from 0 in the order of the files' names. Raises CorpusError for no corpus, one that is damaged or of
    another schema version, and (when they are read) for shards that are not as `mmidd.json` lists them.
    """

    def __init__(self, where: str | Path) -> None:
        self.place = place_of(where)
        self.about = _checked(self.place, read_about(self.place))
        self.shards: tuple[Shard, ...] = self.about.shards
        """The data files: name, rows, bytes, split and the dataset's slug."""

    @property
    def files(self) -> Mapping[str, Listed]:
        """Every file of the corpus but `mmidd.json`: bytes, sha256, rows."""
        return self.about.files

    @property
    def digest(self) -> str:
        """16 hex digits over the data files."""
        told = "".join(f"{shard.name}\0{self.files[shard.name].sha256}\n" for shard in self.shards)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(BY_NAME)

    @property
    def splits(self) -> Mapping[str, int]:
        """The rows of each split that has any."""
        found = Counter[str]()
        for shard in self.shards:
            found[shard.split] += shard.rows
        return {split: found[split] for split in SPLITS if found[split]}

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def part(self, split: str | None = None, dataset: str | None = None) -> Corpus:
        """The rows of one split, one dataset (by name or slug), or both, as a corpus whose rows are numbered from 0.

        Its `about`, `files`, `media` and `verify` stay those of the whole.
        """
        slugs = {shard.dataset for shard in self.about.shards}
        slug = dataset if dataset in slugs else getattr(self.about.datasets.get(dataset or ""), "slug", None)
        if split is not None and split not in SPLITS:
            raise CorpusError(unknown("split", split, SPLITS))
        if dataset is not None and slug not in slugs:
            raise CorpusError(f"{self.place.path('')} holds no rows of it: {unknown('dataset', dataset, sorted(slugs))}")
        found = copy(self)
        found.shards = tuple(s for s in self.shards if split in (None, s.split) and (dataset is None or s.dataset == slug))
        return found

    def rows(self, columns: Sequence[str], where: Mapping[str, Any] | None = None) -> pa.Table:
        """These columns of all rows, in the schema's types; no other column is read.

        `where` keeps the rows that hold given values: {"dataset": "CelebA", "forgery_type": ["FS", "FR"]}; None is null,
        and classes may be told by name.
        """
        wanted, asked = self._schema(columns), dict(where or {})
        both = self._schema([*columns, *(name for name in asked if name not in columns)])
        values = {name: values_of(name, found) for name, found in asked.items()}
        parts = [wanted.empty_table()]
        for shard in self.shards:
            with self._open(shard) as file:
                parts.append(kept(file.table(both), values).select(wanted.names))
        return pa.concat_tables(parts)

    def batches(self, columns: Sequence[str], rows: int = BATCH, since: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The number of the first row, and these columns of at most so many `rows`, through the corpus or from the row
        `since` on.

        In memory are a batch and a row group of these columns.
        """
        wanted, start = self._schema(columns), 0
        if since:
            for begin, places, batch in self._holding(np.arange(since, len(self)), wanted, rows):
                yield begin + int(places[0]), batch.slice(int(places[0]))
            return
        for shard in self.shards:
            with self._open(shard) as file:
                for begin, batch in file.batches(wanted, rows):
                    yield start + begin, batch
            start += shard.rows

    def take(self, numbers: Iterable[int], columns: Sequence[str]) -> pa.Table:
        """These columns of the rows of these numbers, in their order; of the files only the row groups that hold one."""
        wanted, asked = self._schema(columns), self._numbers(numbers)
        order = np.argsort(asked, kind="stable")
        parts = [wanted.empty_table()]
        for _, places, batch in self._holding(asked[order], wanted, BATCH):
            parts.append(pa.Table.from_batches([batch.take(pa.array(places))]))
        table = pa.concat_tables(parts)
        return table if (order[1:] > order[:-1]).all() else table.take(pa.array(np.argsort(order)))

    def row_groups(self, shard: Shard) -> tuple[int, ...]:
        """The rows of each row group of one of `shards`."""
        with self._open(shard) as file:
            return tuple(file.groups)

    def row(self, number: int) -> dict[str, Any]:
        """All columns of one row, the image's bytes included."""
        found: dict[str, Any] = self.take([number], self.columns).to_pylist()[0]
        return found

    @overload
    def images(
        self, ids: Iterable[str] | None = None, *, rows: Iterable[int] | None = None, decode: Literal[False] = False
    ) -> Iterator[tuple[str, bytes]]: ...
    @overload
    def images(
        self, ids: Iterable[str] | None = None, *, rows: Iterable[int] | None = None, decode: Literal[True]
    ) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]: ...
    def images(
        self, ids: Iterable[str] | None = None, *, rows: Iterable[int] | None = None, decode: bool = False
    ) -> Iterator[tuple[str, Any]]:
        """Sample ids and their images: encoded bytes, or with `decode` RGB (height, width, 3).

        All of them, or those of the given ids or row numbers, each once, in the order of rows whatever was asked. In memory
        is one row group. Raises CorpusError for an unknown id or number, and for an image that is none.
        """
        if ids is not None and rows is not None:
            raise CorpusError("images are asked for by ids or by rows, not by both")
        asked = self.find(ids) if ids is not None else None if rows is None else self._numbers(rows)
        read = self._pictures(np.arange(len(self)) if asked is None else np.unique(asked))
        return ((name, pictures.decoded(data, self._told(name)) if decode else data) for name, data in read)

    def find(self, ids: Iterable[str]) -> npt.NDArray[np.int64]:
        """The row numbers of these sample ids, in their order. Raises CorpusError for unknown ones."""
        asked = list(ids)
        wanted, found = pa.array(asked, pa.string()).unique(), dict[str, int]()
        for start, batch in self.batches(["id"]):
            here = np.flatnonzero(pc.is_in(batch["id"], wanted).to_numpy(zero_copy_only=False))
            for place, name in zip(here.tolist(), batch["id"].take(pa.array(here)).to_pylist(), strict=True):
                found.setdefault(name, start + place)
        if absent := [name for name in asked if name not in found]:
            more = f" (nor {len(absent) - 1} more of the {len(asked)} asked for)" if len(absent) > 1 else ""
            raise CorpusError(f"{self.place.path('')} has no sample {absent[0]!r}{more}; `rows(['id'])` lists them all")
        return np.array([found[name] for name in asked], dtype=np.int64)

    @cached_property
    def media(self) -> pa.Table:
        """The media table: one row for every medium that was found, with how it ended."""
        if MEDIA not in self.files:
            raise CorpusError(f"{self.place.path(MANIFEST)} lists no {MEDIA}: {VERIFY}")
        with open_parquet(self.place, MEDIA) as file:
            if not file.is_of(media_schema()):
                raise CorpusError(f"{self.place.path(MEDIA)} has other columns or types than the schema: {VERIFY}")
            file.check(images=False)
            return file.table(media_schema())

    def verify(self) -> Verified:
        """What `mmidd verify` finds: every file against its checksum, every row against the media table."""
        from mmidd.corpus.verify import verify

        return verify(self.place)

    def audit(
        self, only: Sequence[str] = (), *, clip: str | None = None, attributes: str | Path | None = None, seed: int = 0
    ) -> Done:
        """What `mmidd audit` finds; nothing is written. `clip` and `attributes` as on the command line."""
        from mmidd.audit.captions import AuditOptions
        from mmidd.audit.run import audit

        listed = Path(attributes) if attributes is not None else None
        return audit(self, only, AuditOptions(clip, listed, review=False, seed=seed))

    def __repr__(self) -> str:
        told = ", ".join(f"{split} {count:,}" for split, count in self.splits.items())
        return f"<Corpus {self.name}: {len(self):,} rows of {len(self.datasets)} datasets{'; ' if told else ''}{told}>"

    def _repr_html_(self) -> str:
        counts = Counter[tuple[str, str]]()
        for shard in self.shards:
            counts[shard.dataset, shard.split] += shard.rows
        names = {found.slug: name for name, found in self.about.datasets.items()}
        head = "".join(f"<th>{html.escape(each)}</th>" for each in ("dataset", *self.splits))
        body = "".join(
            f"<tr><td>{html.escape(names.get(slug, slug))}</td>"
            + "".join(f"<td>{counts[slug, split]:,}</td>" for split in self.splits)
            + "</tr>"
            for slug in self.datasets
        )
        return f"<p><b>{html.escape(self.name)}</b>: {len(self):,} rows</p><table><tr>{head}</tr>{body}</table>"

    @property
    def name(self) -> str:
        """The folder's or the repository's name, on one line."""
        return "".join(c if c.isprintable() else "?" for c in self.place.name)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The slugs of the datasets that have rows."""
        return tuple(sorted({shard.dataset for shard in self.shards}))

    @contextmanager
    def _open(self, shard: Shard) -> Iterator[File]:
        """A shard that is as it is listed, as far as its size and its footer tell."""
        with reading(self.place, shard.name), closing(opened_shard(self.place, shard)) as file:
            yield file

    def _holding(
        self, numbers: npt.NDArray[np.int64], schema: pa.Schema, rows: int
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], pa.RecordBatch]]:
        """Of the row groups that hold one of these increasing numbers, the batches that do: the number of a batch's first
        row, the wanted places in it, the batch. All reading is done in here, where its errors become ours."""
        start = 0
        for shard in self.shards:
            mine = numbers[slice(*np.searchsorted(numbers, (start, start + shard.rows)))] - start
            start += shard.rows
            if not len(mine):
                continue
            with self._open(shard) as file:
                first = 0
                for group, count in enumerate(file.groups):
                    end = first + count
                    here = mine[slice(*np.searchsorted(mine, (first, end)))] - first
                    for begin, batch in file.batches(schema, rows, group) if len(here) else ():
                        places = here[slice(*np.searchsorted(here, (begin, begin + len(batch))))] - begin
                        if len(places):
                            yield start - shard.rows + first + begin, places, batch
                    first = end

    def _pictures(self, numbers: npt.NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        for begin, places, batch in self._holding(numbers, self._schema(["id", "image"]), _PICTURES):
            for place in places.tolist():
                picture = batch["image"][place]
                data = picture["bytes"].as_py() if picture.is_valid else None
                if not data:
                    raise CorpusError(f"{self.place.path('')}: row {begin + place} has no image: {VERIFY}")
                yield batch["id"][place].as_py(), data

    def _schema(self, columns: Sequence[str]) -> pa.Schema:
        if isinstance(columns, str):
            raise CorpusError(f"columns are given as a list of names: [{columns!r}]")
        for name in columns:
            if name not in BY_NAME:
                raise CorpusError(unknown("column", name, BY_NAME))
        if len(set(columns)) < len(columns):
            raise CorpusError(f"a column is asked for twice: {', '.join(columns)}")
        return pa.schema([_SCHEMA.field(name) for name in columns])

    def _numbers(self, numbers: Iterable[int]) -> npt.NDArray[np.int64]:
        asked = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers))
        if asked.size and not np.issubdtype(asked.dtype, np.integer):
            raise CorpusError(f"row numbers are whole numbers from 0, not {asked.dtype}")
        wrong = asked[(asked < 0) | (asked >= len(self))]
        if len(wrong):
            raise CorpusError(f"{self.place.path('')} has no row {wrong[0]}: it has {len(self)}, numbered from 0")
        return asked.astype(np.int64)

    def _told(self, name: str) -> str:
        return f"{self.place.path('')}: the image of sample {name}"


def read_about(place: Place) -> About | None:
    """What the `mmidd.json` of a place says; None where it is damaged. Raises CorpusError where it cannot be read at all."""
    try:
        return parse(read_bytes(place, MANIFEST, MOST_BYTES))
    except place.faults as error:
        raise CorpusError(f"{place.path(MANIFEST)} cannot be read ({type(error).__name__})") from error


def _checked(place: Place, about: About | None) -> About:
    """What a reader of rows may rely on. Raises CorpusError."""
    path = place.path(MANIFEST)
    if about is None:
        raise CorpusError(
            f"{place.path('')} has no readable {MANIFEST}: it is damaged, or lists files that no build lists; "
            "get the corpus again, or build it again"
        )
    version = about.schema_version
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        way_out = "install a newer mmidd: pip install --upgrade mmidd" if newer else "build the corpus again with this mmidd"
        raise CorpusError(f"{path} has schema version {version!r}, this mmidd knows {SCHEMA_VERSION}; {way_out}")
    for shard in about.shards:
        if not 0 <= shard.rows < _MOST_ROWS or shard.bytes < 0 or shard.split not in SPLITS or not shard.dataset:
            raise CorpusError(f"{path} lists {shard.name!r}, which names no split and dataset or has no count: {VERIFY}")
    return about
