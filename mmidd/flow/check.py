"""The raw data against the manifests: `mmidd index --check`. The judging is `manifest/check.py`; here is the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import DataError, MediaError
from mmidd.flow.indexing import Indexed
from mmidd.flow.placing import Dataset
from mmidd.manifest.check import Checked, Disk, Entry, check
from mmidd.raw.archives import is_sequential, open_member
from mmidd.raw.junk import no_medium
from mmidd.results import Result
from mmidd.show import data as show
from mmidd.stages.index import label_bytes

if TYPE_CHECKING:
    from rich.console import Console

_PIECE = 1 << 16
_BATCH = 1 << 15


@dataclass(frozen=True, repr=False)
class Checks(Result):
    """Every dataset that is there beside its official release, in the recipe's order; `files` counts those of each,
    `litter` what programs left behind there."""

    checked: tuple[Checked, ...]
    absent: tuple[str, ...]
    files: Mapping[str, int]
    litter: Mapping[str, int]

    @property
    def clean(self) -> bool:
        """Is everything as in the official releases?"""
        return all(each.clean for each in self.checked)

    def tell(self, console: Console) -> None:
        show.checked(console, self)

    def document(self) -> dict[str, Any]:
        """All names, none left out."""
        return {
            "datasets": [
                {**each.document(), "files": self.files[each.dataset], "litter": self.litter[each.dataset]}
                for each in self.checked
            ],
            "absent": list(self.absent),
            "clean": self.clean,
        }


def check_all(indexed: Indexed) -> Checks:
    """Every dataset that is there, in the recipe's order. Raises DataError for a label file that cannot be read."""

    @cache
    def media_of(dataset: str) -> Collection[str] | None:
        if dataset not in indexed.facts:
            return None
        mine = pc.and_(pc.equal(indexed.table["dataset"], dataset), pc.equal(indexed.table["status"], "media"))
        return frozenset(indexed.table["media"].filter(mine).to_pylist())

    checked = tuple(_check(dataset, indexed, media_of) for dataset in indexed.datasets)
    return Checks(checked, indexed.absent, {name: facts["files"] for name, facts in indexed.facts.items()}, indexed.litter)


def _check(dataset: Dataset, indexed: Indexed, media_of: Any) -> Checked:
    name, facts = dataset.manifest.name, indexed.facts[dataset.manifest.name]
    lists = indexed.lists[name]
    disk = Disk(partial(_bytes, dataset, {each.path: each.sha256 for each in lists}), partial(_piece, dataset), media_of)
    mine = indexed.table.filter(pc.equal(indexed.table["dataset"], name))
    return check(
        dataset.manifest,
        _entries(mine),
        disk,
        missing=facts["missing_label_files"],
        ignored=facts["ignored"],
        empty=facts["empty_folders"],
        lists=lists,
    )


def _entries(rows: pa.Table) -> Iterator[Entry]:
    for batch in rows.select(list(Entry._fields)).to_batches(max_chunksize=_BATCH):
        yield from map(Entry._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _bytes(dataset: Dataset, indexed: Mapping[str, str], path: str) -> bytes:
    """A label file's bytes, which are those that were indexed."""
    try:
        data = label_bytes(dataset.root, dataset.listing, path)
    except OSError as error:
        raise DataError(f"cannot read {dataset.root / path}: {error.strerror}") from error
    if indexed.get(path) not in (None, hashlib.sha256(data).hexdigest()):
        raise DataError(f"the label file {dataset.root / path} changed since it was indexed; run the same command again")
    return data


def _piece(dataset: Dataset, path: str) -> bytes:
    """A digest that two media share only if they are the same: of size, start and end; of a folder of frames, of all
    names and sizes, and so of its first and last frame. What cannot be read so (a clip in an archive, a member of a
    compressed tar) is equal to no other."""
    about, place = dataset.listing.files.get(path), dataset.listing.place(dataset.root, path)
    try:
        if about is not None and about.archive is not None:
            archive = dataset.listing.place(dataset.root, about.archive)
            if is_sequential(archive):
                return path.encode()
            with open_member(archive, dataset.listing.member(path)) as member:
                return _ends(member)
        if about is not None:
            with place.open("rb") as file:
                return _ends(file)
        frames = sorted((each for each in place.iterdir() if each.is_file() and not no_medium(each.name)), key=str)
        digest = hashlib.sha256("".join(f"{each.name}/{each.stat().st_size}\n" for each in frames).encode())
        for each in (frames[0], frames[-1]):
            with each.open("rb") as file:
                digest.update(_ends(file))
        return digest.digest()
    except (OSError, MediaError, LookupError, UnicodeEncodeError):
        return path.encode()  # extraction meets the error again and records it


def _ends(file: BinaryIO) -> bytes:
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(_PIECE)
    file.seek(max(0, size - _PIECE))
    return hashlib.sha256(size.to_bytes(8) + start + file.read(_PIECE)).digest()
