"""Checks a corpus from its files alone, so that whoever receives one can trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import MANIFEST, MEDIA, About, Shard
from mmidd.corpus.parquet import bounded, columns_of, open_parquet
from mmidd.corpus.place import Place, place_of, read_bytes, sha256_of
from mmidd.corpus.read import read_about
from mmidd.corpus.target import manifest_bytes
from mmidd.errors import CorpusError
from mmidd.findings import Finding
from mmidd.media import Name
from mmidd.results import Result
from mmidd.schema import ADDED, SCHEMA_VERSION, arrow_schema, media_schema, sample_id
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
            findings += _check_shard(place, shard)
            tables |= {shard.name: table} if (table := _columns(place, shard.name)) is not None else {}
    complete = len(tables) == len(about.shards)
    findings += _check_rows(tables, complete=complete)
    media, more = _check_media(place, about, tables, complete=complete and MEDIA not in damaged)
    return Verified(len(about.files), sum(table.num_rows for table in tables.values()), media, (*findings, *more))


def _check_manifest(place: Place, about: About) -> Iterator[Finding]:
    written = manifest_bytes(about.content)
    if read_bytes(place, MANIFEST, len(written)) != written:
        yield _found(MANIFEST, "is not as it was written: its seal does not fit")
    if about.schema_version != SCHEMA_VERSION:
        yield _found(MANIFEST, f"has schema version {about.schema_version!r}, this mmidd knows {SCHEMA_VERSION}")


def _check_files(place: Place, about: About) -> Iterator[Finding]:
    present = place.names()
    for name in sorted(present - set(about.files) - {MANIFEST}):
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


def _check_shard(place: Place, shard: Shard) -> Iterator[Finding]:
    try:
        with open_parquet(place, shard.name) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except CorpusError as error:
        yield _found(shard.name, f"cannot be read as Parquet ({type(error.__cause__).__name__})")
        return
    wanted = arrow_schema(without=[name for name in ADDED if name not in schema.names])
    if not schema.equals(wanted):
        yield _found(shard.name, "has other columns or types than the schema")
    if (schema.metadata or {}).get(HUGGING_FACE) != wanted.metadata[HUGGING_FACE]:
        yield _found(shard.name, "has other Hugging Face features than the schema")
    if rows != shard.rows:
        yield _found(shard.name, f"has {rows} rows, should have {shard.rows if shard.rows >= 0 else None}")


_WANTED = pa.schema([arrow_schema().field(name) for name in ("id", "dataset", "media", "frame", "face", "pair")])


def _columns(place: Place, name: str) -> pa.Table | None:
    try:
        with open_parquet(place, name) as file:
            bounded(file, place, name)
            return columns_of(file, _WANTED)
    except CorpusError:
        return None


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
    """Every row has its medium, every medium its rows, every planned frame its outcome."""
    try:
        with open_parquet(place, MEDIA) as file:
            bounded(file, place, MEDIA)
            table = file.read()
    except CorpusError as error:
        return 0, [_found(MEDIA, f"cannot be read as Parquet ({type(error.__cause__ or error).__name__})")]
    if not table.schema.equals(media_schema()):
        return 0, [_found(MEDIA, "has other columns or types than the schema")]
    media = table.to_pylist()
    known = {(row["dataset"], row["media"]): row for row in media}
    findings = [*_check_places(about, tables, known), *_check_found(about, Counter(row["dataset"] for row in media))]
    if len(known) != len(media):
        findings.append(_found(MEDIA, f"lists {len(media) - len(known)} media twice"))
    rows, frames = _seen(tables)
    for name, row in sorted(known.items()):
        problems = [*_unaccounted(row), *(_miscounted(row, rows[name], frames[name]) if complete else ())]
        findings += [_found(MEDIA, f"{'/'.join(name)}{problem}") for problem in problems]
    return len(media), findings


def _seen(tables: Mapping[str, pa.Table]) -> tuple[Counter[Name], Counter[Name]]:
    """How many rows each medium has, and how many of its frames."""
    rows, frames = Counter[Name](), Counter[Name]()
    for table in tables.values():
        counted = table.group_by(["dataset", "media", "frame"]).aggregate([([], "count_all")])
        for dataset, media, count in zip(*(counted[c].to_pylist() for c in ("dataset", "media", "count_all")), strict=True):
            rows[dataset, media] += count
            frames[dataset, media] += 1
    return rows, frames


def _check_places(
    about: About, tables: Mapping[str, pa.Table], known: Mapping[Name, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Every row's medium is listed, and belongs to the split and the dataset that the shard's name says."""
    slugs = {name: found.slug for name, found in about.datasets.items()}
    for shard, table in tables.items():
        split, slug = f"{shard.removeprefix('data/')}--".split("-")[:2]
        names = table.group_by(["dataset", "media"]).aggregate([])
        pairs = list(zip(names["dataset"].to_pylist(), names["media"].to_pylist(), strict=True))
        for name in sorted(pairs):
            if name not in known:
                yield _found(shard, f"{'/'.join(name)} has rows and is not in {MEDIA}")
            elif known[name]["split"] != split:
                yield _found(shard, f"{'/'.join(name)} belongs into split {known[name]['split']}")
        for dataset in sorted({dataset for dataset, _ in pairs}):
            if slugs.get(dataset) != slug:
                yield _found(shard, f"holds rows of {dataset}")


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
    lost = sum(each["count"] for each in row["frame_reasons"] or ())
    if frames > (row["frames_ok"] or 0) or frames + lost < (row["frames_planned"] or 0):
        yield f": {frames} frames have rows and {lost} a reason, of {row['frames_planned']} planned, {row['frames_ok']} ok"
