"""What a rehydration could do with the user's files, before any work: by paths and sizes, or by digests if asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mmidd.media import Name
from mmidd.raw.path import Place
from mmidd.results import Result
from mmidd.share.rehydrate.finding import at_their_paths, find, judged, manifest_notes, once, why
from mmidd.share.rehydrate.found import Lost, Wanted
from mmidd.share.rehydrate.hashing import Digests
from mmidd.share.rehydrate.hunting import Hunt
from mmidd.share.rehydrate.missing import Missing, missing
from mmidd.share.rehydrate.shelves import check_places, dataset_shelves
from mmidd.show import finding as show
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from rich.console import Console

CROPS = ("dataset", "media", "image_bytes")
"""The columns of `labels/` that say how much disk the crops take."""


@dataclass(frozen=True)
class Possible:
    """Rows of one dataset, and of how many media they are. `included`: their pixels are in the publication. `sure`: their
    medium is at its path with its size, or its digest is known. `likely`: a file of another size lies at its path, whose
    frames may be equal, or a file of its size elsewhere, whose digest nobody has asked. `missing`: nothing is there."""

    dataset: str
    included: int = 0
    sure: int = 0
    likely: int = 0
    missing: int = 0
    media: int = 0
    media_missing: int = 0

    @property
    def rows(self) -> int:
        return self.included + self.sure + self.likely + self.missing


@dataclass(frozen=True, repr=False)
class Checked(Result):
    """What would be possible, by dataset; `disk`: bytes of the crops that would be written, `to_read`: of the files that
    would be read. `digests`: were files read to be known? `absent` says how to get what is missing."""

    datasets: tuple[Possible, ...]
    disk: int
    to_read: int
    digests: bool
    absent: tuple[Missing, ...]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Is every row possible for sure?"""
        return all(each.rows == each.included + each.sure for each in self.datasets)

    def total(self, what: str) -> int:
        """A figure of `Possible`, of all datasets."""
        return sum(getattr(each, what) for each in self.datasets)

    def tell(self, console: Console) -> None:
        show.checked(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "complete": self.complete,
            "rows": {name: self.total(name) for name in ("rows", "included", "sure", "likely", "missing")},
            "datasets": [{**asdict(each), "rows": each.rows} for each in self.datasets],
            "disk_bytes": self.disk,
            "to_read_bytes": self.to_read,
            "digests": self.digests,
            "missing": [each.document() for each in self.absent],
            "notes": list(self.notes),
        }


def crop_bytes(labels: Iterable[pa.Table]) -> dict[Name, int]:
    """The bytes of each medium's crops, by tables that have the columns `CROPS`."""
    found: dict[Name, int] = defaultdict(int)
    for table in labels:
        by = table.select(CROPS).group_by(["dataset", "media"]).aggregate([("image_bytes", "sum")]).to_pydict()
        for dataset, media, size in zip(by["dataset"], by["media"], by["image_bytes_sum"], strict=True):
            found[dataset, media] += max(0, size or 0)
    return found


def check(
    wanted: Sequence[Wanted],
    data: Place,
    work: Path,
    *,
    crops: Mapping[Name, int] | None = None,
    built_with: Mapping[str, str] | None = None,
    follow: Sequence[Path] = (),
    digests: bool = False,
    watch: Watch = NOBODY,
) -> Checked:
    """Say what is possible. Without `digests` no file of the user's is read but lists of archives, and nothing is written;
    with it all that may be wanted is, and kept in `work` for the rehydration. `crops`: see `crop_bytes`.

    Raises as `find`.
    """
    asked = once(wanted)
    if digests:
        found = find(wanted, data, work, built_with=built_with, follow=follow, read_all=True, watch=watch)
        sure = {each.wanted.name for each in found.media if each.same is not False}
        likely = {each.wanted.name for each in found.media} - sure
        lost, folders, notes = found.lost, found.folders, found.notes
        to_read = sum(each.file.bytes for each in found.media)
    else:
        root = check_places(data, work)
        shelves = dataset_shelves({each.name[0] for each in asked}, root, work, follow, keep=False)
        known, there = Digests(work, root), at_their_paths(asked, shelves)
        media, sought = judged(asked, there, known)
        hunt = Hunt(root, work, follow, known, tuple(shelves.values()), watch=watch, keep=False)
        sizes = hunt.unread(sought)
        sure = {*media, *hunt.found}
        likely = {each.name for each in sought if each in there or each.name in sizes} - sure
        some = sure | likely
        lost = tuple(Lost(each, why(each, shelves.get(each.name[0]))) for each in sought if each.name not in some)
        folders = {name: shelves[name].root.name if name in shelves else None for name in {e.name[0] for e in asked}}
        notes = (*manifest_notes(sorted(folders), built_with or {}), *hunt.notes())
        to_read = sum(each.bytes for each in asked if each.name in some)
    written = sure | likely | {each.name for each in wanted if each.pixels}
    disk = sum(size for name, size in (crops or {}).items() if name in written)
    return Checked(_possible(wanted, sure, likely), disk, to_read, digests, missing(lost, asked, folders, data), notes)


def _possible(wanted: Sequence[Wanted], sure: set[Name], likely: set[Name]) -> tuple[Possible, ...]:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in {each.name: each for each in wanted}.values():
        name = each.name
        what = "included" if each.pixels else "sure" if name in sure else "likely" if name in likely else "missing"
        mine = counts[name[0]]
        mine[what] += each.rows
        mine["media"] += 1
        mine["media_missing"] += what == "missing"
    return tuple(Possible(name, **mine) for name, mine in sorted(counts.items()))
