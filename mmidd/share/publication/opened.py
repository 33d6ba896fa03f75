"""A publication that was opened: what it says, its rows without pixels, and whether its files are what it says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import MANIFEST, MEDIA, SEAL, About, Listed, Shard, parse
from mmidd.corpus.about import MOST_BYTES as MOST_MANIFEST
from mmidd.corpus.parquet import File, open_parquet
from mmidd.corpus.place import Place, place_of, read_bytes, sha256_of
from mmidd.engine.files import digest
from mmidd.errors import CorpusError, ShareError
from mmidd.findings import Finding
from mmidd.schema import SPLITS, arrow_schema, media_schema
from mmidd.share.publication.format import (
    DATA,
    LABELS,
    MOST_BYTES,
    ORIGINAL,
    PUBLICATION,
    Publication,
    labels_name,
    labels_schema,
)
from mmidd.share.publication.written import document, names, parsed
from mmidd.watch import NOBODY, Watch

BATCH = 8192
_MOST_ROWS = 1 << 40
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(?:@[^\s@]+)?")


def address(where: str | Path) -> str | Path:
    """ORG/NAME[@REVISION] as the address hf://datasets/ORG/NAME[@REVISION], unless there is a folder of that name."""
    is_named = isinstance(where, str) and _REPOSITORY.fullmatch(where) is not None and not where.startswith(("./", "../"))
    return f"hf://datasets/{where}" if is_named and not Path(where).exists() else where


def open_publication(where: str | Path | Place) -> Opened:
    """A publication in a folder, at ORG/NAME[@REVISION] or hf://datasets/ORG/NAME[@REVISION] (one commit for all reads).

    Only `publication.json` is read: every other file is listed in it. Raises CorpusError where there is none or it cannot
    be read, and ShareError for one that no mmidd writes: damaged, of another format, at odds with itself.
    """
    place = place_of(address(where), PUBLICATION) if isinstance(where, str | Path) else where
    try:
        data = read_bytes(place, PUBLICATION, MOST_BYTES)
    except place.faults as error:
        raise CorpusError(f"{place.path(PUBLICATION)} cannot be read ({type(error).__name__})") from error
    about = parsed(data, place.path(""))
    return Opened(place, about, _checked(about, place.path("")))


@dataclass(frozen=True)
class Opened:
    """A publication: what it is of (`about`, and `corpus`: the `mmidd.json` of the corpus), and its rows.

    Rows are numbered from 0 in the order of the shards' names. A publication that is complete has no `labels/`: its shards
    are those of the corpus, with pixels, and it opens as a `mmidd.Corpus` too.
    """

    place: Place
    about: Publication
    corpus: About

    @property
    def digest(self) -> str:
        """The seal of `publication.json`: 32 hex digits over all that it says."""
        return digest(document(self.about))

    @property
    def complete(self) -> bool:
        """Has every row its pixels here?"""
        return self.about.complete

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The files with the rows: of `labels/`, or where it is complete of `data/`."""
        if self.complete:
            return self.corpus.shards
        return tuple(
            Shard(name, each.rows, self.about.files[name].bytes, each.split, each.dataset)
            for each, name in ((each, labels_name(each.name)) for each in self.corpus.shards)
        )

    @cached_property
    def pixels(self) -> Mapping[str, Listed]:
        """The shards with pixels that are here, by name: `data/...`, as in the corpus."""
        return {name: self.about.files[name] for name in names(self.about.files, DATA)}

    @property
    def schema(self) -> pa.Schema:
        """Of `shards`: the columns of the corpus, or those and the proofs, without pixels."""
        return arrow_schema() if self.complete else labels_schema()

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows."""
        wanted = self._schema(columns)
        parts = [wanted.empty_table()]
        for shard in self.shards:
            with self._open(shard) as file:
                parts.append(file.table(wanted))
            if "media" in wanted.names:
                self._check_media(shard.name, parts[-1]["media"])
        return pa.concat_tables(parts)

    def batches(self, shard: Shard, columns: Sequence[str], rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """These columns of one of `shards`, some rows at a time. Raises CorpusError for a file that is not as it is listed
        or is none, and ShareError for names of media that leave their dataset's folder."""
        wanted = self._schema(columns)
        with self._open(shard) as file:
            for _, batch in file.batches(wanted, rows):
                if "media" in wanted.names:
                    self._check_media(shard.name, batch["media"])
                yield batch

    def row_groups(self, shard: Shard) -> tuple[int, ...]:
        """The rows of each row group of one of `shards`: they are those of the corpus's shard."""
        with self._open(shard) as file:
            return tuple(file.groups)

    @cached_property
    def media(self) -> pa.Table:
        """The corpus's media table."""
        with open_parquet(self.place, MEDIA, self.about.files[MEDIA].bytes) as file:
            if not file.is_of(media_schema()):
                raise ShareError(f"{self.place.path(MEDIA)} has other columns or types than a media table")
            file.check(images=False)
            table = file.table(media_schema())
        self._check_media(MEDIA, table["media"])
        return table

    def read(self, name: str, most: int = MOST_MANIFEST) -> bytes:
        """A small file that is listed, of at most so many bytes. Raises ShareError where it is another than is listed."""
        listed = self.about.files.get(name)
        if listed is None or listed.bytes > most:
            raise ShareError(f"{self.place.path('')} lists no {name} of at most {most >> 20} MiB")
        try:
            data = read_bytes(self.place, name, listed.bytes)
        except self.place.faults as error:
            raise CorpusError(f"{self.place.path(name)} cannot be read ({type(error).__name__})") from error
        if hashlib.sha256(data).hexdigest() != listed.sha256:
            raise ShareError(f"{self.place.path(name)} is another file than {PUBLICATION} lists; get the publication again")
        return data

    def check(self, watch: Watch = NOBODY, only: Sequence[str] | None = None) -> tuple[Finding, ...]:
        """Every listed file (or `only` these) compared with what `publication.json` says of it, byte for byte; and what is
        there and not listed, but hidden files. Empty: all is as it was published."""
        found = list[Finding]()
        wanted = sorted(self.about.files if only is None else only)
        watch.begin("check", len(wanted), 0, "files")
        for number, name in enumerate(wanted, 1):
            if (problem := self._problem(name)) is not None:
                found.append(Finding("publication", problem, (name,)))
            watch.at(number, name)
        watch.end()
        more = self.place.names() - set(self.about.files) - {PUBLICATION} if only is None else ()
        found += [
            Finding("publication", f"is not listed in {PUBLICATION}", (name,))
            for name in sorted(more)
            if not any(part.startswith(".") for part in name.split("/"))
        ]
        return tuple(found)

    def _problem(self, name: str) -> str | None:
        listed = self.about.files[name]
        try:
            if (size := self.place.size(name)) != listed.bytes:
                return f"has {size} bytes, should have {listed.bytes}"
            return None if sha256_of(self.place, name) == listed.sha256 else "has another checksum than it should"
        except CorpusError:
            return "is a link out of the publication's folder"
        except FileNotFoundError:
            return "is missing"
        except self.place.faults as error:
            return f"cannot be read ({type(error).__name__})"

    def _schema(self, columns: Sequence[str]) -> pa.Schema:
        if lacking := [name for name in columns if name not in self.schema.names]:
            why = "has its pixels, and no proofs of them" if self.complete else "has no such column, or no pixels"
            raise ShareError(f"{self.place.path('')}: no column {lacking[0]!r}: it {why}")
        return pa.schema([self.schema.field(name) for name in columns])

    @contextmanager
    def _open(self, shard: Shard) -> Iterator[File]:
        with open_parquet(self.place, shard.name, shard.bytes) as file:
            if file.rows != shard.rows:
                raise ShareError(f"{self.place.path(shard.name)} has {file.rows} rows, {PUBLICATION} lists {shard.rows}")
            if not self.complete and not file.is_of(labels_schema()):
                raise ShareError(f"{self.place.path(shard.name)} has other columns or types than labels have")
            file.check()
            yield file

    def _check_media(self, name: str, media: pa.Array | pa.ChunkedArray) -> None:
        strange = pc.fill_null(pc.match_substring_regex(media, _OUTSIDE), False)
        if pc.any(strange, min_count=0).as_py():
            first = media.filter(strange)[0].as_py()[:80]
            raise ShareError(f"{self.place.path(name)} names a medium {first!r}, which leaves its dataset's folder")


_OUTSIDE = r"^/|(^|/)\.\.(/|$)|\x00|^$"


def _checked(about: Publication, where: str) -> About:
    """The corpus's `mmidd.json`, where what a publication says is at odds neither with that nor with itself."""

    def wrong(why: str) -> ShareError:
        return ShareError(f"{where}: {PUBLICATION} {why}; get the publication again, or ask who published it")

    corpus = parse(json.dumps(about.corpus).encode())
    if corpus is None:
        raise wrong(f"has no sound {MANIFEST} of a corpus in it")
    for shard in corpus.shards:
        if not 0 <= shard.rows < _MOST_ROWS or shard.split not in SPLITS or not shard.dataset or "/" in shard.name[5:]:
            raise wrong(f"lists {shard.name[:80]!r}, which names no split and dataset or has no count of rows")
    if len({each.dataset for each in about.terms}) + len({each.slug for each in about.terms}) != 2 * len(about.terms):
        raise wrong("has two terms of one dataset")
    if odd := next(_odd(about, corpus), None):
        raise wrong(odd)
    return corpus


def _odd(about: Publication, corpus: About) -> Iterator[str]:
    files, shards = about.files, {shard.name: shard for shard in corpus.shards}
    going = {each.slug for each in about.terms if each.pixels}
    if {shard.dataset for shard in shards.values()} != {each.slug for each in about.terms}:
        yield "has terms of other datasets than have rows"
    if set(names(files, DATA)) != {name for name, shard in shards.items() if shard.dataset in going}:
        yield "has pixels of other datasets than its terms let go"
    if set(names(files, LABELS)) != (set() if about.complete else {labels_name(name) for name in shards}):
        yield "has other labels than its corpus has shards"
    for name, shard in shards.items():
        if files.get(name, corpus.files[name]) != corpus.files[name]:
            yield f"lists another {name} than its corpus has"
        if not about.complete and files[labels_name(name)].rows != shard.rows:
            yield f"lists {labels_name(name)} with other rows than its corpus has"
    yield from _odd_notes(about, corpus, shards)
    counted: dict[str, dict[str, int]] = {}
    for shard in shards.values():
        splits = counted.setdefault(next(each.dataset for each in about.terms if each.slug == shard.dataset), {})
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    if counted != about.rows:
        yield "counts other rows than its shards have"


def _odd_notes(about: Publication, corpus: About, shards: Mapping[str, Shard]) -> Iterator[str]:
    files = about.files
    for name in (MEDIA, *(name for name in corpus.files if name not in shards and name != MEDIA)):
        here = name if name == MEDIA else f"{ORIGINAL}/{name}"
        if name not in corpus.files or files.get(here) != corpus.files[name]:
            yield f"lists another {here} than its corpus has"
    if files.get(f"{ORIGINAL}/{MANIFEST}") != _manifest(about):
        yield f"lists another {ORIGINAL}/{MANIFEST} than is in it"
    if (MANIFEST in files) != about.complete:
        yield f"lists {MANIFEST} though it is no corpus, or not though it is one"


def _manifest(about: Publication) -> Listed | None:
    """How the corpus's own `mmidd.json` is to be listed. Made piece by piece: of a hostile one it could fill the memory."""
    found, size = hashlib.sha256(), 0
    said = {**about.corpus, SEAL: digest(about.corpus)}
    for piece in json.JSONEncoder(indent=1, sort_keys=True).iterencode(said):
        part = piece.encode()
        size += len(part)
        if size > MOST_MANIFEST:
            return None
        found.update(part)
    found.update(b"\n")
    return Listed(size + 1, found.hexdigest())
