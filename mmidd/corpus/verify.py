"""Checks a corpus from its files alone, so that whoever receives one can trust it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.corpus.folder import MANIFEST, read_manifest
from mmidd.engine.files import sha256_file
from mmidd.errors import CorpusError
from mmidd.schema import SCHEMA_VERSION, arrow_schema, media_schema, sample_id

HUGGING_FACE = b"huggingface"


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
    about = read_manifest(folder)
    if about is None:
        raise CorpusError(f"{folder} has no readable {MANIFEST}: it is no corpus of mmidd, or that file is damaged")
    files = _listed(folder, about)
    findings = [Finding(MANIFEST, version)] if (version := _version(about)) else []
    findings += _check_files(folder, files)
    damaged = {finding.file for finding in findings}
    shards = sorted(name for name in files if name.startswith("data/"))
    tables = []
    for name in shards:
        if name not in damaged:
            findings += _check_shard(folder / name, name, files[name])
            tables += [table] if (table := _columns(folder / name)) is not None else []
    complete = len(tables) == len(shards)
    rows = pa.concat_tables(tables) if tables else arrow_schema().empty_table().select(_COLUMNS)
    findings += _check_rows(rows, complete=complete)
    seen = Counter(zip(rows["dataset"].to_pylist(), rows["media"].to_pylist(), strict=True))
    media, more = _check_media(folder, seen, complete=complete and "media.parquet" not in damaged)
    return Verified(len(files), rows.num_rows, media, (*findings, *more))


def _listed(folder: Path, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The files that `mmidd.json` lists. Raises CorpusError for a list that no build of mmidd writes."""
    files = about.get("files")
    if not isinstance(files, dict) or not files or not all(_sound(name, entry) for name, entry in files.items()):
        raise CorpusError(f"{folder / MANIFEST} does not list files with their size and sha256: it is damaged")
    return files


def _sound(name: str, entry: Any) -> bool:
    inside = bool(name) and not name.startswith("/") and ".." not in name.split("/")
    return (
        inside and isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and isinstance(entry.get("sha256"), str)
    )


def _version(about: dict[str, Any]) -> str | None:
    found = about["schema_version"]
    return None if found == SCHEMA_VERSION else f"has schema version {found!r}, this mmidd knows {SCHEMA_VERSION}"


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


def _check_rows(rows: pa.Table, *, complete: bool) -> Iterator[Finding]:
    """Every id is that of its row and occurs once; every pair is a row, where all rows could be read."""
    ids, pairs = rows["id"].to_pylist(), rows["pair"].to_pylist()
    names = zip(*(rows[name].to_pylist() for name in ("dataset", "media", "frame", "face")), strict=True)
    for found, name in zip(ids, names, strict=True):
        if found != sample_id(*name):
            yield Finding("data", f"id {found} is not that of its row ({'/'.join(map(str, name))})")
    for found, count in Counter(ids).items():
        if count > 1:
            yield Finding("data", f"id {found} occurs {count} times")
    for missing in sorted(set(pairs) - {None, *ids}) if complete else ():
        yield Finding("data", f"pair {missing} is no row of the corpus")


def _check_media(folder: Path, seen: Counter[tuple[str, str]], *, complete: bool) -> tuple[int, list[Finding]]:
    """Every row has its medium, every medium its rows, every planned frame its outcome."""
    name = "media.parquet"
    try:
        table = pq.read_table(folder / name)
    except (OSError, pa.ArrowException) as error:
        return 0, [Finding(name, f"cannot be read as Parquet ({type(error).__name__})")]
    if not table.schema.equals(media_schema()):
        return 0, [Finding(name, "has other columns or types than the schema")]
    media = table.to_pylist()
    known = {(row["dataset"], row["media"]): row for row in media}
    findings = [Finding("data", f"{d}/{m} has rows and is not in {name}") for d, m in sorted(set(seen) - set(known))]
    if len(known) != len(media):
        findings.append(Finding(name, f"lists {len(media) - len(known)} media twice"))
    for (dataset, path), row in sorted(known.items()):
        if complete and seen[dataset, path] != (row["samples"] or 0):
            findings.append(Finding(name, f"{dataset}/{path} should have {row['samples']} rows, has {seen[dataset, path]}"))
        ended = sum(row[f"frames_{status}"] or 0 for status in ("ok", "dropped", "failed"))
        if ended != (row["frames_planned"] or 0):
            findings.append(Finding(name, f"{dataset}/{path}: {row['frames_planned']} frames planned, {ended} accounted"))
    return len(media), findings
