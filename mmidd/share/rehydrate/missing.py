"""What was not found, by dataset, and how to get it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmidd.errors import DataError
from mmidd.manifest import Manifest, bundled
from mmidd.manifest.strays import near_folder
from mmidd.raw.listing import entries
from mmidd.raw.path import Place
from mmidd.results import Result
from mmidd.share.rehydrate.found import Lost, Wanted
from mmidd.show import finding as show
from mmidd.show import printable

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3


@dataclass(frozen=True, repr=False)
class Missing(Result):
    """What of one dataset is missing: so many media and rows, of those that had to be found. `folder`: where the dataset
    lies under the data root, `folders` what it may be called there; `why` counts media by reason, `first` are some of them.
    `slug`, `access`, `licence` and `url` are its manifest's, None where there is none. `hints`: what may be meant for it.
    """

    dataset: str
    slug: str | None
    media: int
    of_media: int
    rows: int
    of_rows: int
    why: Mapping[str, int]
    first: tuple[str, ...]
    folder: str | None
    folders: tuple[str, ...]
    access: str | None
    licence: str | None
    url: str | None
    hints: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the rows that had to be found, 0..1."""
        return self.rows / self.of_rows if self.of_rows else 0.0

    def tell(self, console: Console) -> None:
        show.missing(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        lists = {name: list(getattr(self, name)) for name in ("first", "folders", "hints")}
        return {**vars(self), "why": dict(self.why), **lists, "share": round(self.share, 4)}


def missing(
    lost: Sequence[Lost], wanted: Sequence[Wanted], folders: Mapping[str, str | None], data: Place
) -> tuple[Missing, ...]:
    """What of the datasets is missing; nothing of a dataset that is whole. `folders`: where each lies (see `find`)."""
    by: dict[str, list[Lost]] = defaultdict(list)
    for each in lost:
        by[each.wanted.name[0]].append(each)
    media, rows = Counter[str](), Counter[str]()
    for one in wanted:
        if not one.pixels:
            media[one.name[0]] += 1
            rows[one.name[0]] += one.rows
    absent = [name for name in by if folders.get(name) is None]
    hints = _hints(absent, data)
    return tuple(
        _missing(name, mine, media[name], rows[name], folders.get(name), hints.get(name, ()))
        for name, mine in sorted(by.items())
    )


def _missing(
    name: str, lost: Sequence[Lost], of_media: int, of_rows: int, folder: str | None, hints: Sequence[str]
) -> Missing:
    manifest = bundled().get(name)
    licence = manifest.licence if manifest else None
    return Missing(
        name, manifest.slug if manifest else None, len(lost), of_media, sum(each.wanted.rows for each in lost), of_rows,
        dict(Counter(each.why for each in lost).most_common()), tuple(each.wanted.name[1] for each in lost[:_SHOWN]),
        folder, tuple(manifest.folders) if manifest else (), " ".join(manifest.access.split()) if manifest else None,
        licence.name if licence else None, licence.url if licence else None, tuple(hints),
    )  # fmt: skip


def _hints(absent: Collection[str], data: Place) -> dict[str, list[str]]:
    """What under the data root, or the data root itself, may be meant for a dataset that has no folder there."""
    manifests = [each for each in (bundled().get(name) for name in absent) if each is not None]
    theirs = {folder: each for each in manifests for folder in each.folders}
    found: dict[str, list[str]] = defaultdict(list)
    for each in manifests:
        if data.name.casefold() in {folder.casefold() for folder in each.folders}:
            found[each.name].append("the data root looks like this dataset itself: give the folder above it")
    for name in _unclaimed(data) if theirs else ():
        near = near_folder(name, theirs)
        if near is not None:
            found[theirs[near].name].append(_renamed(name, theirs[near]))
    return found


def _renamed(name: str, manifest: Manifest) -> str:
    return f"is {printable(name)}/ meant for it? Called {manifest.folders[0]}/, it is found by its paths, and its masks too"


def _unclaimed(data: Place) -> Iterator[str]:
    """The folders under the data root that bear no dataset's name."""
    claimed = {name.casefold() for manifest in bundled().values() for name in manifest.folders}
    try:
        under = entries(data)
    except DataError:
        return
    for entry in under:
        if entry.name.casefold() not in claimed and not entry.name.startswith(".") and entry.is_dir():
            yield entry.name
