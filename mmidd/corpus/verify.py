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
from mmidd.schema import arrow_schema

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
    findings = list(_check_files(folder, about["files"]))
    damaged = {finding.file for finding in findings}
    shards = sorted(name for name in about["files"] if name.startswith("data/") and name not in damaged)
    rows, seen, ids = 0, Counter[tuple[str, str]](), Counter[str]()
    for name in shards:
        findings += _check_shard(folder / name, name, about["files"][name])
        table = _columns(folder / name)
        if table is not None:
            rows += table.num_rows
            seen.update(zip(table["dataset"].to_pylist(), table["media"].to_pylist(), strict=True))
            ids.update(table["id"].to_pylist())
    findings += [Finding("data", f"id {name} occurs {count} times") for name, count in ids.items() if count > 1]
    media, more = _check_media(folder, seen, complete="media.parquet" not in damaged and len(shards) == _shards(about))
    return Verified(len(about["files"]), rows, media, (*findings, *more))


def _shards(about: dict[str, Any]) -> int:
    return sum(name.startswith("data/") for name in about["files"])


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


def _columns(path: Path) -> pa.Table | None:
    try:
        return pq.read_table(path, columns=["id", "dataset", "media"])
    except (OSError, pa.ArrowException):
        return None


def _check_media(folder: Path, seen: Counter[tuple[str, str]], *, complete: bool) -> tuple[int, list[Finding]]:
    """Every row has its medium, every medium its rows, every planned frame its outcome."""
    name = "media.parquet"
    try:
        media = pq.read_table(folder / name).to_pylist()
    except (OSError, pa.ArrowException):
        return 0, [Finding(name, "cannot be read as Parquet")]
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
