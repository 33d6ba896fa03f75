"""The raw data against the manifests: `mmidd index --check`. The judging is `manifest/check.py`; here is the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import DataError
from mmidd.manifest.check import Checked, Disk, Entry, check
from mmidd.steps import Dataset, Indexed

_PIECE = 1 << 16
_BATCH = 1 << 15


def check_all(indexed: Indexed) -> list[Checked]:
    """Every dataset that is there, in the recipe's order. Raises DataError for a label file that cannot be read."""

    @cache
    def media_of(dataset: str) -> Collection[str] | None:
        if dataset not in indexed.facts:
            return None
        mine = pc.and_(pc.equal(indexed.table["dataset"], dataset), pc.equal(indexed.table["status"], "media"))
        return frozenset(indexed.table["media"].filter(mine).to_pylist())

    return [_check(dataset, indexed, media_of) for dataset in indexed.datasets]


def _check(dataset: Dataset, indexed: Indexed, media_of: Any) -> Checked:
    name, facts = dataset.manifest.name, indexed.facts[dataset.manifest.name]
    disk = Disk(lambda path: _bytes(dataset.root / path), lambda path: _piece(dataset.root / path), media_of)
    mine = indexed.table.filter(pc.equal(indexed.table["dataset"], name))
    return check(dataset.manifest, _entries(mine), disk, missing=facts["missing_label_files"], ignored=facts["ignored"])


def _entries(rows: pa.Table) -> Iterator[Entry]:
    for batch in rows.select(list(Entry._fields)).to_batches(max_chunksize=_BATCH):
        yield from map(Entry._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _piece(path: Path) -> bytes:
    """A digest of a file's size, start and end: two media of one name that agree in it are the same file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(_PIECE)
            file.seek(max(0, size - _PIECE))
            return hashlib.sha256(size.to_bytes(8) + start + file.read(_PIECE)).digest()
    except OSError:
        return str(path).encode()  # equal to no other; extraction meets the error again and records it


def as_document(checked: list[Checked], indexed: Indexed) -> dict[str, Any]:
    """The findings for programs: all names, none left out."""
    return {
        "datasets": [_as_document(each, indexed) for each in checked],
        "absent": list(indexed.absent),
        "clean": all(each.clean for each in checked),
    }


def _as_document(checked: Checked, indexed: Indexed) -> dict[str, Any]:
    return {
        "dataset": checked.dataset,
        "verified": checked.verified,
        "files": indexed.facts[checked.dataset]["files"],
        "counts": [{**place._asdict(), "found": count} for place, count in checked.counts],
        "expected": [asdict(each) for each in checked.compared],
        "findings": [asdict(each) for each in checked.findings],
        "ignored": dict(checked.ignored),
        "known_defects": list(checked.known_defects),
        "clean": checked.clean,
    }
