"""Which of a user's files is which medium of a publication: by its path, as a build looks for it, else by its digest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmidd.errors import ShareError
from mmidd.extraction.masks import MaskFile
from mmidd.manifest import bundled, kind_of, names_a_folder
from mmidd.manifest.insides import inside_of
from mmidd.manifest.maskpaths import mask_paths
from mmidd.media import Name
from mmidd.raw.bytes import MediaFile
from mmidd.raw.path import Place
from mmidd.share.rehydrate.found import FoundMedium, Lost, Wanted
from mmidd.share.rehydrate.hashing import Digests
from mmidd.share.rehydrate.hunting import Hunt
from mmidd.share.rehydrate.shelves import Shelf, bare_path, check_places, dataset_shelves
from mmidd.watch import NOBODY, Watch

NOT_THERE = "not there"


@dataclass(frozen=True)
class Found:
    """What was found of what was wanted, and what was not, with the reason; both in the order of the names.

    `folders`: where each dataset lies, None where it has no folder. `notes`: what is to be known beside that, one line each.
    `hashed` files of `hashed_bytes` were read for it. `digests` knows more of them, and takes what others read.
    """

    media: tuple[FoundMedium, ...]
    lost: tuple[Lost, ...]
    folders: Mapping[str, str | None]
    notes: tuple[str, ...]
    digests: Digests = field(repr=False, compare=False)

    @property
    def hashed(self) -> tuple[int, int]:
        """How many files were read to be known, and their bytes."""
        return self.digests.files, self.digests.bytes


def find(
    wanted: Sequence[Wanted],
    data: Place,
    work: Path,
    *,
    built_with: Mapping[str, str] | None = None,
    follow: Sequence[Path] = (),
    read_all: bool = False,
    watch: Watch = NOBODY,
) -> Found:
    """Find the wanted media under the data root; those whose pixels are in the publication are not looked for.

    A file at a medium's path that has its size is taken unread, unless its digest is known already (`read_all` reads them
    all). What is not there, or has another size, is sought by size and digest among all other files, members of archives
    and folders of frames. A file at the path with other bytes is given where nothing better is found. `built_with`: the
    digests of the manifests that the corpus was built with, by dataset. `work` keeps digests and what archives hold.

    Raises ShareError for a medium that is wanted twice, as two; DataError for a data root that cannot be listed; UsageError
    where the work folder lies in it.
    """
    root = check_places(data, work)
    asked = once(wanted)
    watch.begin("list the data root", 1, 0, "folder")
    shelves = dataset_shelves({each.name[0] for each in asked}, root, work, follow)
    watch.end()
    digests = Digests(work, root)
    there = at_their_paths(asked, shelves)
    if read_all:
        digests.learn((file for each, file in there.items() if each.sha256 and file.bytes == each.bytes), watch)
    found, sought = judged(asked, there, digests)
    taken = frozenset(digests.where(each.file) for each in found.values())
    hunt = Hunt(root, work, follow, digests, tuple(shelves.values()), taken, watch)
    hunt.seek(sought)
    for each in sought:
        other = hunt.found.get(each.name)
        if other is not None:
            found[each.name] = FoundMedium(each, other.file, "digest", True)
        elif each in there:
            found[each.name] = FoundMedium(each, there[each], "path", False)
    lost = [Lost(each, why(each, shelves.get(each.name[0]))) for each in asked if each.name not in found]
    masks = _masks(found, shelves, hunt)
    media = tuple(_whole(found[each.name], masks.get(each.name)) for each in asked if each.name in found)
    folders = {name: shelves[name].root.name if name in shelves else None for name in sorted({e.name[0] for e in asked})}
    notes = (*manifest_notes(folders, built_with or {}), *hunt.notes())
    return Found(media, tuple(lost), folders, notes, digests)


def once(wanted: Iterable[Wanted]) -> list[Wanted]:
    """What is looked for, each medium once, by name."""
    found: dict[Name, Wanted] = {}
    for each in wanted:
        if found.setdefault(each.name, each) != each:
            raise ShareError(f"{each.name!r} is wanted twice, with other bytes each time: the publication is damaged")
    return sorted((each for each in found.values() if not each.pixels), key=lambda each: each.name)


def at_their_paths(asked: Sequence[Wanted], shelves: Mapping[str, Shelf]) -> dict[Wanted, MediaFile]:
    """What lies where a build would look for these media."""
    by: dict[str, list[Wanted]] = defaultdict(list)
    for each in asked:
        by[each.name[0]].append(each)
    found: dict[Wanted, MediaFile] = {}
    for dataset, mine in by.items():
        if dataset in shelves:
            files = shelves[dataset].files({each.name[1] for each in mine if each.kind == "frames"})
            for each in mine:
                path = each.name[1]
                if path in files.stats and (path in files.clips) == (each.kind == "frames"):
                    found[each] = files.file(path, each.kind)
    return found


def judged(
    asked: Sequence[Wanted], there: Mapping[Wanted, MediaFile], digests: Digests
) -> tuple[dict[Name, FoundMedium], list[Wanted]]:
    """The media that are taken as they lie at their paths, or at that of one with the same bytes; and those to be sought."""
    found: dict[Name, FoundMedium] = {}
    for each, file in there.items():
        known = digests.of(file) if file.bytes == each.bytes else None
        if file.bytes == each.bytes and (not each.sha256 or known in (None, each.sha256)):
            found[each.name] = FoundMedium(each, file, "path", True if known and each.sha256 else None)
    twins = {each.wanted.sha256: each for each in found.values() if each.wanted.sha256}
    sought = []
    for each in asked:
        twin = twins.get(each.sha256)
        if each.name not in found and twin is not None and twin.wanted.kind == each.kind:
            found[each.name] = FoundMedium(each, twin.file, "digest", twin.same)
        elif each.name not in found:
            sought.append(each)
    return found, sought


def why(each: Wanted, shelf: Shelf | None) -> str:
    """Why a medium was not found."""
    refused = shelf.refused(each.name[1]) if shelf is not None else None
    return f"refused: {refused}" if refused else NOT_THERE


def _masks(found: Mapping[Name, FoundMedium], shelves: Mapping[str, Shelf], hunt: Hunt) -> dict[Name, MaskFile]:
    """The masks of those media that have some: where the dataset's rules look by the medium's name, or by the place at which
    it was found, in the dataset's folder or in whatever folder or archive has the same layout."""
    looked: dict[int, tuple[Shelf, list[tuple[Name, str]]]] = {}
    for name, each in found.items():
        if each.wanted.mask:
            for shelf, path in _mask_places(each, shelves.get(name[0]), hunt):
                looked.setdefault(id(shelf), (shelf, []))[1].append((name, path))
    masks: dict[Name, MaskFile] = {}
    for shelf, places in looked.values():
        files = shelf.files({path for _, path in places if names_a_folder(path)})
        for name, path in places:
            if name not in masks and path in files.stats and (path in files.clips) == names_a_folder(path):
                file = files.file(path, "frames" if names_a_folder(path) else kind_of(path))
                masks[name] = MaskFile(name[0], path, file, own=True)
    return masks


def _mask_places(each: FoundMedium, shelf: Shelf | None, hunt: Hunt) -> Iterator[tuple[Shelf, str]]:
    """Where a medium's mask may lie, what is surest first."""
    (dataset, media), kind = each.wanted.name, each.wanted.kind
    manifest = bundled().get(dataset)
    if manifest is None:
        return
    named = mask_paths(manifest.layout, media, kind)
    if shelf is not None:
        yield from ((shelf, path) for path in named)
    other = hunt.found.get(each.wanted.name)
    if other is None:
        return
    bare = bare_path(other.file)
    if shelf is not None and str(other.shelf.root) == str(shelf.root):
        seen = shelf.listed_as.get(bare, bare)
        yield from ((shelf, path) for path in mask_paths(manifest.layout, seen, kind))
    for at in [0, *(place + 1 for place, letter in enumerate(bare) if letter == "/")]:
        yield from ((other.shelf, f"{bare[:at]}{path}") for path in mask_paths(manifest.layout, bare[at:], kind))


def _whole(each: FoundMedium, mask: MaskFile | None) -> FoundMedium:
    """With its mask, and of an HDF5 file with where its frames are in it, which its dataset's rules say."""
    file, manifest = each.file, bundled().get(each.wanted.name[0])
    if file.kind == "hdf5" and manifest is not None:
        file = replace(file, inside=inside_of(manifest.layout, each.wanted.name[1]))
    return FoundMedium(each.wanted, file, each.by, each.same, mask)


def manifest_notes(datasets: Iterable[str], built_with: Mapping[str, str]) -> Iterator[str]:
    """What this mmidd knows otherwise of a dataset's layout than the one that built the corpus."""
    for name in datasets:
        manifest = bundled().get(name)
        if manifest is None:
            yield f"{name}: this mmidd has no manifest of it, so its media are found by their digests alone, and no masks"
        elif built_with.get(name, manifest.digest) != manifest.digest:
            yield f"{name}: the corpus was built with another manifest; media that lie elsewhere by it are found by digest"
