"""Checks a corpus from its files alone, so that whoever receives one can trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.target import MANIFEST, manifest_bytes, read_manifest
from mmidd.engine.files import sha256_file
from mmidd.errors import CorpusError
from mmidd.media import Name
from mmidd.schema import SCHEMA_VERSION, arrow_schema, media_schema, sample_id

HUGGING_FACE = b"huggingface"
MEDIA = "media.parquet"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    file: str
    problem: str


@dataclass(frozen=True)
class Verified:
    """What was checked, and what was found."""

    files: int
    rows: int
    media: int
    findings: tuple[Finding, ...]


def verify(folder: Path) -> Verified:
    """Check every file against `mmidd.json`, every row against `media.parquet`. Raises CorpusError for no corpus."""
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder")
    if not (folder / MANIFEST).is_file():
        raise CorpusError(f"{folder} has no {MANIFEST}: it is no corpus of mmidd")
    about = read_manifest(folder)
    files = _listed(about or {})
    if about is None or files is None:
        return Verified(
            0, 0, 0, (Finding(MANIFEST, "cannot be read, so nothing else was checked: it is damaged or edited"),)
        )
    findings = [*_check_manifest(folder, about), *_check_files(folder, files)]
    damaged = {finding.file for finding in findings}
    shards = sorted(name for name in files if name.startswith("data/"))
    tables: dict[str, pa.Table] = {}
    for name in shards:
        if name not in damaged:
            findings += _check_shard(folder / name, name, files[name])
            tables |= {name: table} if (table := _columns(folder / name)) is not None else {}
    complete = len(tables) == len(shards)
    findings += _check_rows(tables, complete=complete)
    media, more = _check_media(folder, about, tables, complete=complete and MEDIA not in damaged)
    return Verified(len(files), sum(table.num_rows for table in tables.values()), media, (*findings, *more))


def _listed(about: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The files that `mmidd.json` lists; None for a list that no build of mmidd writes."""
    files = about.get("files")
    return files if isinstance(files, dict) and files and all(_sound(*each) for each in files.items()) else None


def _sound(name: str, entry: Any) -> bool:
    inside = bool(name) and not name.startswith("/") and ".." not in name.split("/")
    return (
        inside and isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and isinstance(entry.get("sha256"), str)
    )


def _check_manifest(folder: Path, about: dict[str, Any]) -> Iterator[Finding]:
    if (folder / MANIFEST).read_bytes() != manifest_bytes(about):
        yield Finding(MANIFEST, "is not as it was written: its seal does not fit")
    found = about["schema_version"]
    if found != SCHEMA_VERSION:
        yield Finding(MANIFEST, f"has schema version {found!r}, this mmidd knows {SCHEMA_VERSION}")


def _check_files(folder: Path, files: dict[str, Any]) -> Iterator[Finding]:
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for name in sorted(present - set(files) - {MANIFEST}):
        if not name.startswith("."):
            yield Finding(name, "is not listed in mmidd.json")
    for name, entry in sorted(files.items()):
        path = folder / name
        if name not in present:
            yield Finding(name, "is missing")
        elif path.stat().st_size != entry["bytes"]:
            yield Finding(name, f"has {path.stat().st_size} bytes, should have {entry['bytes']}")
        elif sha256_file(path) != entry["sha256"]:
            yield Finding(name, "has another checksum than it should")


def _check_shard(path: Path, name: str, entry: dict[str, Any]) -> Iterator[Finding]:
    try:
        schema, rows = pq.read_schema(path), pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        yield Finding(name, f"cannot be read as Parquet ({type(error).__name__})")
        return
    wanted = arrow_schema()
    if not schema.equals(wanted):
        yield Finding(name, "has other columns or types than the schema")
    if (schema.metadata or {}).get(HUGGING_FACE) != wanted.metadata[HUGGING_FACE]:
        yield Finding(name, "has other Hugging Face features than the schema")
    if rows != entry.get("rows"):
        yield Finding(name, f"has {rows} rows, should have {entry.get('rows')}")


_COLUMNS = ["id", "dataset", "media", "frame", "face", "pair"]


def _columns(path: Path) -> pa.Table | None:
    wanted = pa.schema([arrow_schema().field(name) for name in _COLUMNS])
    try:
        return pq.read_table(path, columns=_COLUMNS).select(_COLUMNS).cast(wanted)
    except (OSError, KeyError, pa.ArrowException):
        return None


def _check_rows(tables: Mapping[str, pa.Table], *, complete: bool) -> Iterator[Finding]:
    """Every id is that of its row and occurs once; every pair is a row, where all rows could be read."""
    for name, table in tables.items():
        places = zip(*(table[column].to_pylist() for column in ("dataset", "media", "frame", "face")), strict=True)
        for found, place in zip(table["id"].to_pylist(), places, strict=True):
            if found != sample_id(*place):
                yield Finding(name, f"id {found} is not that of its row ({'/'.join(map(str, place))})")
    if not tables:
        return
    ids = pa.chunked_array([chunk for table in tables.values() for chunk in table["id"].chunks], pa.string())
    counted = pc.value_counts(ids)
    twice = counted.filter(pc.greater(counted.field("counts"), 1))
    for each in twice.to_pylist():
        here = [name for name, table in tables.items() if pc.any(pc.equal(table["id"], each["values"])).as_py()]
        yield Finding(here[0], f"id {each['values']} occurs {each['counts']} times ({', '.join(here)})")
    for name, table in tables.items() if complete else ():
        pairs = table["pair"].drop_null()
        for missing in pc.unique(pairs.filter(pc.invert(pc.is_in(pairs, ids)))).to_pylist():
            yield Finding(name, f"pair {missing} is no row of the corpus")


def _check_media(
    folder: Path, about: Mapping[str, Any], tables: Mapping[str, pa.Table], *, complete: bool
) -> tuple[int, list[Finding]]:
    """Every row has its medium, every medium its rows, every planned frame its outcome."""
    try:
        table = pq.read_table(folder / MEDIA)
    except (OSError, pa.ArrowException) as error:
        return 0, [Finding(MEDIA, f"cannot be read as Parquet ({type(error).__name__})")]
    if not table.schema.equals(media_schema()):
        return 0, [Finding(MEDIA, "has other columns or types than the schema")]
    media = table.to_pylist()
    known = {(row["dataset"], row["media"]): row for row in media}
    findings = [*_check_places(about, tables, known), *_check_found(about, Counter(row["dataset"] for row in media))]
    if len(known) != len(media):
        findings.append(Finding(MEDIA, f"lists {len(media) - len(known)} media twice"))
    rows, frames = _seen(tables)
    for name, row in sorted(known.items()):
        problems = [*_unaccounted(row), *(_miscounted(row, rows[name], frames[name]) if complete else ())]
        findings += [Finding(MEDIA, f"{'/'.join(name)}{problem}") for problem in problems]
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
    about: Mapping[str, Any], tables: Mapping[str, pa.Table], known: Mapping[Name, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Every row's medium is listed, and belongs to the split and the dataset that the shard's name says."""
    slugs = {name: counts.get("slug") for name, counts in _index(about).items()}
    for shard, table in tables.items():
        split, slug = f"{shard.removeprefix('data/')}--".split("-")[:2]
        names = table.group_by(["dataset", "media"]).aggregate([])
        pairs = list(zip(names["dataset"].to_pylist(), names["media"].to_pylist(), strict=True))
        for name in sorted(pairs):
            if name not in known:
                yield Finding(shard, f"{'/'.join(name)} has rows and is not in {MEDIA}")
            elif known[name]["split"] != split:
                yield Finding(shard, f"{'/'.join(name)} belongs into split {known[name]['split']}")
        for dataset in sorted({dataset for dataset, _ in pairs}):
            if slugs.get(dataset) != slug:
                yield Finding(shard, f"holds rows of {dataset}")


def _check_found(about: Mapping[str, Any], listed: Counter[str]) -> Iterator[Finding]:
    """What indexing found has one row each."""
    found = {name: each["media"] + each["refused"] for name, each in _index(about).items()}
    for name in sorted({*found, *listed}):
        if found.get(name, 0) != listed[name]:
            yield Finding(MEDIA, f"lists {listed[name]} media of {name}, {found.get(name, 0)} were found at indexing")


def _index(about: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What `mmidd.json` says of each dataset's files, where it says it as a build does."""
    index = about.get("index")
    return {name: each for name, each in index.items() if _counted(each)} if isinstance(index, dict) else {}


def _counted(counts: Any) -> bool:
    return isinstance(counts, dict) and all(isinstance(counts.get(key), int) for key in ("media", "refused"))


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
