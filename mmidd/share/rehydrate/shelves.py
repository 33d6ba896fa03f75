"""What lies under the user's data root: the datasets' folders as a build sees them, and every file by its bare place.

A publication's names are only ever looked up among names that were listed here: no path is made of them. What is listed
lies under the data root; links are treated as a build treats them (`raw.disk`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmidd.errors import DataError, UsageError
from mmidd.manifest import Manifest, bundled
from mmidd.manifest.accounting import frame_number
from mmidd.manifest.files import Files
from mmidd.manifest.listed import listed
from mmidd.raw import listing
from mmidd.raw.archives import is_archive, is_sequential
from mmidd.raw.bytes import MediaFile
from mmidd.raw.junk import is_litter
from mmidd.raw.listing import Listing, Stat
from mmidd.raw.path import Place

ARCHIVES = "archives"
"""The folder of the work folder in which what archives hold is kept."""


@dataclass(frozen=True)
class Shelf:
    """A folder that was listed: of a dataset (`manifest`), as its rules see it, or of whatever, as it lies."""

    root: Place
    listing: Listing
    manifest: Manifest | None = None

    @cached_property
    def numbered(self) -> frozenset[str]:
        """The folders that hold numbered images."""
        split = (path.rpartition("/") for path in self.listing.files)
        return frozenset(folder for folder, _, name in split if folder and frame_number(name) is not None)

    @cached_property
    def listed_as(self) -> dict[str, str]:
        """What a file is listed as that lies elsewhere, by where it lies."""
        return {lies: path for path, lies in self.listing.lies.items()}

    def files(self, folders: Collection[str]) -> Files:
        """The files, and those of these folders that hold frames."""
        return Files.of(self.root, self.listing, {folder for folder in folders if folder in self.numbered})

    def refused(self, path: str) -> str | None:
        """Why a path, or what it lies in, was refused; None where it was not."""
        while path:
            if path in self.listing.refused:
                return self.listing.refused[path]
            path = path.rpartition("/")[0]
        return None


def check_places(data: Place, work: Path) -> Place:
    """The data root in full. Raises DataError where it is no folder, UsageError where it and the work folder lie in each
    other."""
    if not data.is_dir():
        raise DataError(f"the data root {data} is not a folder; give the folder that holds the datasets' folders")
    if not isinstance(data, Path):
        return data
    root, own = data.resolve(), work.resolve()
    if own.is_relative_to(root):
        raise UsageError(f"the work folder {work} lies inside the data root {data}; choose another place for the corpus")
    if root.is_relative_to(own):
        raise UsageError(f"the data root {data} lies inside the work folder {work}; choose another place for the corpus")
    return root


def dataset_shelves(
    datasets: Collection[str], data: Place, work: Path, follow: Sequence[Path] = (), *, keep: bool = True
) -> dict[str, Shelf]:
    """Those of these datasets that have a manifest and a folder under the data root, listed as a build lists them.

    Raises DataError for a folder that cannot be read, and for a dataset that is there twice.
    """
    under = listing.entries(data)
    manifests = (bundled().get(name) for name in sorted(datasets))
    found = {}
    for manifest in (each for each in manifests if each is not None):
        root = listing.locate(manifest.name, manifest.folders, data, under)
        if root is not None:
            seen = listed(manifest, root, work / ARCHIVES, follow, keep=keep)
            found[manifest.name] = Shelf(root, seen, manifest)
    return found


def bare_shelves(data: Place, known: Collection[Shelf], follow: Sequence[Path] = ()) -> list[Shelf]:
    """Everything under the data root as it lies, archives closed (see `opened`): one shelf for each dataset's folder, and
    one for all the rest.

    A link to a folder is followed where a build follows it: if it is a dataset's. What cannot be listed is refused there.
    """
    of = {str(shelf.root): shelf for shelf in known}
    found: list[Shelf] = []
    files: dict[str, Stat] = {}
    refused: dict[str, str] = {}
    at: dict[str, str] = {}
    for entry in listing.entries(data):
        is_folder = entry.is_dir()
        linked = isinstance(entry, Path) and entry.is_symlink()
        if is_litter(f"{entry.name}/" if is_folder else entry.name):
            continue
        if str(entry) in of:
            found.append(Shelf(entry, listing.walk(entry, follow), of[str(entry)].manifest))
        elif linked:
            refused[entry.name] = "a link beside the datasets' folders: not followed"
        elif is_folder:
            try:
                below = listing.walk(entry, follow)
            except DataError as error:
                refused[entry.name] = str(error)
                continue
            files.update((f"{entry.name}/{path}", about) for path, about in below.files.items())
            refused.update((f"{entry.name}/{path}", why) for path, why in below.refused.items())
            for path, place in below.at.items():
                at[f"{entry.name}/{path}"] = place if place.startswith("/") else f"{entry.name}/{place}"
        elif entry.is_file():
            about = entry.stat()
            files[entry.name] = Stat(about.st_size, about.st_mtime_ns, ctime_ns=getattr(about, "st_ctime_ns", None))
    return [*found, Shelf(data, Listing(files, refused, at=at))]


def opened(shelf: Shelf, work: Path, *, packed: bool, keep: bool = True) -> Shelf:
    """The shelf with its zips and tars opened; `packed`: its compressed tars too, which have to be unpacked to be listed."""
    every = (path for path, about in shelf.listing.files.items() if about.archive is None and is_archive(path))
    found = sorted(path for path in every if is_sequential(path) == packed)
    name = shelf.manifest.name if shelf.manifest else "."
    inside = listing.open_archives(name, found, shelf.root, shelf.listing, work / ARCHIVES, keep=keep)
    return Shelf(shelf.root, inside, shelf.manifest)


def bare_path(file: MediaFile) -> str:
    """Where a file of a bare shelf lies below its root, an archive's name a part of that; of frames their folder."""
    if file.archive is None:
        return file.name
    first = file.parts[0].name
    return f"{file.name}/{first.rpartition('/')[0] if file.kind == 'frames' else first}".rstrip("/")
