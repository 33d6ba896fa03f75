"""Media that are not at their paths, sought by size and digest among everything that lies under the data root.

Only what has a wanted size is read. What lies open is asked first, then zips and tars, and compressed tars, which have to be
unpacked to be listed, only for what is still not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mmidd.media import Kind, Name
from mmidd.raw.archives import NESTED, is_archive
from mmidd.raw.bytes import MediaFile
from mmidd.raw.path import Place
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.hashing import Digests
from mmidd.share.rehydrate.shelves import Shelf, bare_shelves, opened
from mmidd.show import printable
from mmidd.watch import NOBODY, Watch

_SHOWN = 3
OTHER_KIND = "an archive of a kind that is not read in place: unpack it"
CLOSED = "a compressed tar: it would have to be unpacked to be listed"


class Elsewhere(NamedTuple):
    """A file that has a wanted digest, and the bare shelf that it lies on."""

    file: MediaFile
    shelf: Shelf


class Sort(NamedTuple):
    """What a file is told from others by, unread."""

    frames: bool
    bytes: int


@dataclass
class Hunt:
    """One search. `shelves` are the datasets' folders; `taken` are files that are known to be other media, by where they
    lie. `found` has what came of it."""

    data: Place
    work: Path
    follow: Sequence[Path]
    digests: Digests
    shelves: Collection[Shelf] = ()
    taken: Collection[str] = frozenset()
    watch: Watch = NOBODY
    keep: bool = True
    found: dict[Name, Elsewhere] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def seek(self, wanted: Sequence[Wanted]) -> None:
        """Look for what is wanted by its digest, and read whatever has its size."""
        left = [each for each in wanted if each.sha256]
        shelves: list[Shelf] = []
        for shelves in self._steps() if left else ():
            files = list(self._alike(shelves, left))
            self.digests.learn((each.file for each in files), self.watch, "read files of wanted sizes")
            self._match(files, left)
            left = [each for each in left if each.name not in self.found]
            if not left:
                return
        self._tell_unseen(shelves)

    def _tell_unseen(self, shelves: Sequence[Shelf]) -> None:
        """What was passed by, where something is still not found: names, links and folders that are refused, and archives of
        other kinds."""
        for shelf in shelves:
            listing = shelf.listing
            closed = {path: OTHER_KIND for path in listing.files if path.lower().endswith(NESTED) and not is_archive(path)}
            self.refused.update((self._name(shelf, path), why) for path, why in {**closed, **listing.refused}.items())

    def unread(self, wanted: Sequence[Wanted]) -> set[Name]:
        """Those of which there is a file of the right size that nobody has read yet: nothing is read, compressed tars stay
        closed (and are in `refused`). `found` has those whose bytes are known to be there."""
        there: set[Sort] = set()
        every: list[Shelf] = []
        left = [each for each in wanted if each.sha256]
        for every in islice(self._steps(), 2) if left else ():
            files = list(self._alike(every, left))
            self._match(files, left)
            there |= {_sort(each.file) for each in files if self.digests.of(each.file) is None}
        for shelf in every:
            packed = (path for path in shelf.listing.files if path not in self.taken and is_archive(path))
            self.refused.update((self._name(shelf, path), CLOSED) for path in packed)
        mine = (each for each in left if each.name not in self.found)
        return {each.name for each in mine if Sort(each.kind == "frames", each.bytes) in there}

    def notes(self) -> Iterator[str]:
        """What could not be looked into, in a line each kind."""
        for faults, what in (
            (self.digests.faults, "of a wanted size could not be read"),
            (self.refused, "could not be looked into"),
        ):
            first = [f"{printable(path)} ({why})" for path, why in sorted(faults.items())[:_SHOWN]]
            more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
            if faults:
                yield f"{len(faults)} file{'s' * (len(faults) > 1)} {what}: {', '.join(first)}{more}"

    def _steps(self) -> Iterator[list[Shelf]]:
        """Everything as it lies; then with zips and tars opened; then with compressed tars too."""
        self.watch.begin("list the data root as it lies", 1, 0, "folder")
        every = bare_shelves(self.data, self.shelves, self.follow)
        self.watch.end()
        yield every
        for packed, what in ((False, "open zips and tars"), (True, "list compressed tars")):
            self.watch.begin(what, len(every), 0, "folders")
            for number, shelf in enumerate(every):
                every[number] = opened(shelf, self.work, packed=packed, keep=self.keep)
                self.watch.at(number + 1, every[number].root.name)
            self.watch.end()
            for shelf in every:
                archives = ((path, why) for path, why in shelf.listing.refused.items() if is_archive(path))
                self.refused.update((self._name(shelf, path), why) for path, why in archives)
            yield every

    def _name(self, shelf: Shelf, path: str) -> str:
        return f"{shelf.root}/{path}".removeprefix(f"{self.data}/")

    def _alike(self, shelves: Sequence[Shelf], wanted: Sequence[Wanted]) -> Iterator[Elsewhere]:
        """The files that have the size of something wanted, and are not known to be other media, or not to be read."""
        kinds: dict[Sort, set[Kind]] = defaultdict(set)
        for each in wanted:
            kinds[Sort(each.kind == "frames", each.bytes)].add(each.kind)
        clips = any(sort.frames for sort in kinds)
        for shelf in shelves:
            files = shelf.files(shelf.numbered if clips else ())
            for path, about in files.stats.items():
                for kind in kinds.get(Sort(path in files.clips, about.bytes), ()):
                    file = files.file(path, kind)
                    place = self.digests.where(file)
                    if place not in self.taken and place not in self.digests.faults:
                        yield Elsewhere(file, shelf)

    def _match(self, files: Sequence[Elsewhere], wanted: Sequence[Wanted]) -> None:
        """Of several files with the digest the one that has the medium's own name is taken, then the first by place."""
        by: dict[str, list[Elsewhere]] = defaultdict(list)
        for each in files:
            by[self.digests.of(each.file) or ""].append(each)
        for one in wanted:
            same = [each for each in by.get(one.sha256, ()) if each.file.kind == one.kind]
            if same and one.name not in self.found:
                self.found[one.name] = min(same, key=partial(self._order, one.name[1]))

    def _order(self, media: str, each: Elsewhere) -> tuple[bool, bool, str]:
        place = self.digests.where(each.file)
        return not f"/{place}".endswith(f"/{media}"), place.rpartition("/")[2] != media.rpartition("/")[2], place


def _sort(file: MediaFile) -> Sort:
    return Sort(file.kind == "frames", file.bytes)
