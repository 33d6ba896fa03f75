"""Checks a corpus from its files alone, so that whoever receives one can trust it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import MANIFEST, MEDIA, MOST_BYTES, PUBLICATION, About, Shard
from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.place import Place, place_of, read_bytes, sha256_of
from mmidd.corpus.read import read_about
from mmidd.corpus.target import is_written
from mmidd.errors import CorpusError
from mmidd.findings import Finding
from mmidd.media import Name
from mmidd.results import Result
from mmidd.schema import ADDED, FORGERY_TYPES, LABELS, SCHEMA_VERSION, arrow_schema, media_schema, sample_id
from mmidd.show import corpus as show

if TYPE_CHECKING:
    from rich.console import Console

HUGGING_FACE = b"huggingface"


@dataclass(frozen=True, repr=False)
class Verified(Result):
    """What was checked, and what was found: each finding is of one file."""

    files: int
    rows: int
    media: int
    findings: tuple[Finding, ...]

    def tell(self, console: Console) -> None:
        show.verified(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        findings = [{"file": each.where[0], "problem": each.what} for each in self.findings]
        return {"files": self.files, "rows": self.rows, "media": self.media, "findings": findings}


def _found(file: str, problem: str) -> Finding:
    return Finding("verify", problem, (file,))


def verify(where: str | Path | Place) -> Verified:
    """Check every file against `mmidd.json`, every row against `media.parquet`. Raises CorpusError for no corpus."""
    place = place_of(where) if isinstance(where, str | Path) else where
    about = read_about(place)
    if about is None:
        why = "cannot be read, so nothing else was checked: it is damaged or edited"
        return Verified(0, 0, 0, (_found(MANIFEST, why),))
    findings = [*_check_manifest(place, about), *_check_files(place, about)]
    damaged = {name for finding in findings for name in finding.where}
    tables: dict[str, pa.Table] = {}
    for shard in about.shards:
        if shard.name not in damaged:
            findings += _read_shard(place, shard, tables)
    complete = len(tables) == len(about.shards)
    findings += _check_rows(tables, complete=complete)
    media, more = _check_media(place, about, tables, complete=complete and MEDIA not in damaged)
    return Verified(len(about.files), sum(table.num_rows for table in tables.values()), media, (*findings, *more))


def _check_manifest(place: Place, about: About) -> Iterator[Finding]:
    if not is_written(about.content, read_bytes(place, MANIFEST, MOST_BYTES)):
        yield _found(MANIFEST, "is not as it was written: its seal does not fit")
    if about.schema_version != SCHEMA_VERSION:
        yield _found(MANIFEST, f"has schema version {about.schema_version!r}, this mmidd knows {SCHEMA_VERSION}")


def _check_files(place: Place, about: About) -> Iterator[Finding]:
    present = place.names()
    for name in sorted(present - set(about.files) - {MANIFEST, PUBLICATION}):
        if not name.startswith("."):
            yield _found(name, "is not listed in mmidd.json")
    for name, listed in sorted(about.files.items()):
        if name not in present:
            yield _found(name, "is missing")
            continue
        try:
            size = place.size(name)
            if size != listed.bytes:
                yield _found(name, f"has {size} bytes, should have {listed.bytes}")
            elif sha256_of(place, name) != listed.sha256:
                yield _found(name, "has another checksum than it should")
        except CorpusError:
            yield _found(name, "is a link out of the corpus's folder")
        except place.faults as error:
            yield _found(name, f"cannot be read ({type(error).__name__})")


_TOLD = (
    "label", "forgery_type", "method", "media_sha256", "target_id", "source_id", "group", "split_basis", "license", "attack",
)  # fmt: skip
"""What rows repeat of their medium."""
_NAMED = ("id", "dataset", "media", "frame", "face")
_WANTED = pa.schema([arrow_schema().field(name) for name in (*_NAMED, "pair", *_TOLD)])


def _read_shard(place: Place, shard: Shard, tables: dict[str, pa.Table]) -> Iterator[Finding]:
    """Check a shard by what its footer says, and only if that is sound put its columns into `tables`."""
    try:
        with open_parquet(place, shard.name) as file:
            wanted = arrow_schema(without=[name for name in ADDED if name not in file.schema.names])
            problems = [] if file.schema.equals(wanted) else ["has other columns or types than the schema"]
            if (file.schema.metadata or {}).get(HUGGING_FACE) != wanted.metadata[HUGGING_FACE]:
                problems.append("has other Hugging Face features than the schema")
            yield from (_found(shard.name, problem) for problem in problems)
            if file.rows != shard.rows:
                yield _found(shard.name, f"has {file.rows} rows, should have {shard.rows if shard.rows >= 0 else None}")
            if problems:
                return
            file.check()
            table = file.table(_WANTED)
    except CorpusError as error:
        yield _unreadable(shard.name, error)
        return
    if nulls := [name for name in _NAMED if table[name].null_count]:
        yield _found(shard.name, f"has rows without {' and without '.join(nulls)}")
        return
    tables[shard.name] = table


def _unreadable(name: str, error: CorpusError) -> Finding:
    """A file that cannot be read: the fault's kind, or why it is not read at all."""
    cause = error.__cause__
    why = f"{cause}" if isinstance(cause, ValueError) and not isinstance(cause, pa.ArrowException) else type(cause).__name__
    if cause is None:
        why = str(error).partition(" (")[2].rpartition("): ")[0] or str(error)
    return _found(name, f"cannot be read as Parquet ({why})")


def _check_rows(tables: Mapping[str, pa.Table], *, complete: bool) -> Iterator[Finding]:
    """Every id is that of its row and occurs once; every pair is a row, where all rows could be read."""
    for name, table in tables.items():
        places = zip(*(table[column].to_pylist() for column in ("dataset", "media", "frame", "face")), strict=True)
        for found, place in zip(table["id"].to_pylist(), places, strict=True):
            if found != sample_id(*place):
                yield _found(name, f"id {found} is not that of its row ({'/'.join(map(str, place))})")
    if not tables:
        return
    ids = pa.chunked_array([chunk for table in tables.values() for chunk in table["id"].chunks], pa.string())
    counted = pc.value_counts(ids)
    twice = counted.filter(pc.greater(counted.field("counts"), 1))
    for each in twice.to_pylist():
        here = [name for name, table in tables.items() if pc.any(pc.equal(table["id"], each["values"])).as_py()]
        yield _found(here[0], f"id {each['values']} occurs {each['counts']} times ({', '.join(here)})")
    for name, table in tables.items() if complete else ():
        pairs = table["pair"].drop_null()
        for missing in pc.unique(pairs.filter(pc.invert(pc.is_in(pairs, ids)))).to_pylist():
            yield _found(name, f"pair {missing} is no row of the corpus")


def _check_media(place: Place, about: About, tables: Mapping[str, pa.Table], *, complete: bool) -> tuple[int, list[Finding]]:
    """Every row has its medium and says the same of it, every medium its rows, every planned frame its outcome."""
    found = _Media(_rows_of(tables), complete)
    expected = sum(each.media + each.refused for each in about.datasets.values())
    try:
        with open_parquet(place, MEDIA) as file:
            if not file.is_of(media_schema()):
                return 0, [_found(MEDIA, "has other columns or types than the schema")]
            file.check(images=False)
            if file.rows > 2 * expected + 1024:  # a few too many are named; what is another file altogether is not read
                return 0, [_found(MEDIA, f"has {file.rows} rows, {expected} media were found at indexing")]
            for _, batch in file.batches(media_schema(), _AT_ONCE):
                found.take(batch)
    except CorpusError as error:
        return 0, [_unreadable(MEDIA, error)]
    return found.count, [*_check_slugs(about, tables), *found.findings(), *_check_found(about, found.listed)]


_AT_ONCE = 1 << 13
_MOST_NAMED = 1000
"""Media whose faults are told one by one."""


@dataclass
class _Rows:
    """What the rows say of one medium: how many, of how many frames, in which shards; and what they tell of it."""

    rows: int = 0
    frames: int = 0
    shards: tuple[str, ...] = ()
    told: tuple[tuple[Any, ...], ...] = ()


class _Media:
    """The media table as it passes by, compared with what the rows say."""

    def __init__(self, rows: dict[Name, _Rows], complete: bool) -> None:
        self._rows, self._complete = rows, complete
        self._seen: set[bytes] = set()
        self._problems: list[tuple[str, str]] = []
        self._shards: list[Finding] = []
        self._faults = 0
        self.count, self._twice, self._nameless = 0, 0, 0
        self.listed = Counter[str]()

    def take(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self.count += 1
            if row["dataset"] is None or row["media"] is None:
                self._nameless += 1
                continue
            name = (row["dataset"], row["media"])
            self.listed[row["dataset"]] += 1
            mark = hashlib.sha256("\0".join(name).encode()).digest()[:16]
            if mark in self._seen:
                self._twice += 1
                continue
            self._seen.add(mark)
            self._compare(name, row, self._rows.pop(name, _Rows()))

    def _compare(self, name: Name, row: Mapping[str, Any], rows: _Rows) -> None:
        problems = [*_unaccounted(row), *(_miscounted(row, rows.rows, rows.frames) if self._complete else ())]
        problems += _contradicted(row, rows.told)
        self._faults += bool(problems)
        if problems and self._faults <= _MOST_NAMED:
            self._problems += [("/".join(name), problem) for problem in problems]
        for shard in rows.shards:
            if _parts(shard)[0] != row["split"]:
                self._shards.append(_found(shard, f"{'/'.join(name)} belongs into split {row['split']}"))

    def findings(self) -> Iterator[Finding]:
        for name, rows in sorted(self._rows.items()):
            yield from (_found(shard, f"{'/'.join(name)} has rows and is not in {MEDIA}") for shard in rows.shards)
        yield from self._shards
        if self._nameless:
            yield _found(MEDIA, f"lists {self._nameless} media without a dataset or a name")
        if self._twice:
            yield _found(MEDIA, f"lists {self._twice} media twice")
        yield from (_found(MEDIA, f"{medium}{problem}") for medium, problem in sorted(self._problems))
        if self._faults > _MOST_NAMED:
            yield _found(MEDIA, f"has such faults of {self._faults - _MOST_NAMED} more media")


def _rows_of(tables: Mapping[str, pa.Table]) -> dict[Name, _Rows]:
    """What the rows of all shards say, by medium."""
    found: dict[Name, _Rows] = {}
    by = ["dataset", "media", "frame"]
    for shard, table in tables.items():
        for dataset, media, count in _columns(table.group_by(by).aggregate([([], "count_all")]), (*by[:2], "count_all")):
            rows = found.setdefault((dataset, media), _Rows())
            rows.rows, rows.frames = rows.rows + count, rows.frames + 1
        for dataset, media, *told in _columns(table.group_by([*by[:2], *_TOLD]).aggregate([]), (*by[:2], *_TOLD)):
            rows = found[dataset, media]
            rows.shards = rows.shards if shard in rows.shards else (*rows.shards, shard)
            rows.told = (*rows.told, tuple(told)) if len(rows.told) < 2 else rows.told
    return found


def _columns(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)


def _parts(shard: str) -> list[str]:
    """The split and the dataset's slug in a shard's name."""
    return f"{shard.removeprefix('data/')}--".split("-")[:2]


def _check_slugs(about: About, tables: Mapping[str, pa.Table]) -> Iterator[Finding]:
    """Every row's dataset is the one that the shard's name says."""
    slugs = {name: found.slug for name, found in about.datasets.items()}
    for shard, table in tables.items():
        for dataset in sorted(pc.unique(table["dataset"]).to_pylist()):
            if slugs.get(dataset) != _parts(shard)[1]:
                yield _found(shard, f"holds rows of {dataset}")


def _contradicted(row: Mapping[str, Any], told: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """What rows say of their medium that it does not say of itself."""
    listed = {**{name: row[name] for name in _TOLD}, "label": _class(LABELS, row["label"])}
    listed["forgery_type"] = _class(FORGERY_TYPES, row["forgery_type"])
    for name in [name for place, name in enumerate(_TOLD) if any(each[place] != listed[name] for each in told)]:
        yield f" has another {name} than its rows say"


def _class(words: Sequence[str], word: str | None) -> int | None:
    return words.index(word) if word in words else None


def _check_found(about: About, listed: Counter[str]) -> Iterator[Finding]:
    """What indexing found has one row each."""
    found = {name: each.media + each.refused for name, each in about.datasets.items()}
    for name in sorted({*found, *listed}):
        if found.get(name, 0) != listed[name]:
            yield _found(MEDIA, f"lists {listed[name]} media of {name}, {found.get(name, 0)} were found at indexing")


def _unaccounted(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a medium's own account."""
    planned = row["frames_planned"] or 0
    ended = sum(row[f"frames_{status}"] or 0 for status in ("ok", "dropped", "failed"))
    if ended != planned:
        yield f": {planned} frames planned, {ended} accounted"
    told = {"ok": (row["samples"] or 0) > 0, "dropped": bool(row["reason"]), "failed": bool(row["error"])}
    if not told.get(row["outcome"], False) or (row["outcome"] != "ok" and row["samples"]):
        yield f" has outcome {row['outcome']} and {row['samples']} rows, reason {row['reason']}, error {row['error']}"


def _miscounted(row: Mapping[str, Any], rows: int, frames: int) -> Iterator[str]:
    """How the rows of a medium differ from its account."""
    if rows != (row["samples"] or 0):
        yield f" should have {row['samples']} rows, has {rows}"
    lost = sum(each["count"] or 0 for each in row["frame_reasons"] or () if each)
    if frames > (row["frames_ok"] or 0) or frames + lost < (row["frames_planned"] or 0):
        yield f": {frames} frames have rows and {lost} a reason, of {row['frames_planned']} planned, {row['frames_ok']} ok"
