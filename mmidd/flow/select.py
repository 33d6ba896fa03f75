"""Which indexed media a recipe takes: its compression, its subset and caps, and never what was taken down.

Pure functions over the index. What is not taken gets a reason, so that every medium is accounted for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmidd.errors import ManifestError, RecipeError, UsageError
from mmidd.extraction.masks import MaskFile
from mmidd.manifest import find_manifest
from mmidd.media import FaceMode, Kind, Name
from mmidd.raw.bytes import MediaFile
from mmidd.recipe import DatasetEntry


@dataclass(frozen=True, slots=True)
class Selected:
    """A medium that will be extracted, with what the later stages need of it.

    `mask` says whom it is about: its own, or that of a fake of it.
    """

    dataset: str
    media: str
    file: MediaFile
    label: Literal["real", "fake"]
    method: str | None
    pair_dataset: str | None
    pair_media: str | None
    aligned: bool
    faces: FaceMode = "detect"
    mask: MaskFile | None = None

    @property
    def name(self) -> Name:
        return self.dataset, self.media

    @property
    def kind(self) -> Kind:
        return self.file.kind

    @property
    def pair_name(self) -> Name:
        """The medium it was made from; itself where there is none."""
        return (self.pair_dataset or self.dataset, self.pair_media) if self.pair_media else self.name


@dataclass(frozen=True)
class Exclusions:
    """A takedown list: digests, media and identities that no command may use again."""

    sha256: frozenset[str] = frozenset()
    media: frozenset[Name] = frozenset()
    identities: frozenset[Name] = frozenset()

    @classmethod
    def parse(cls, text: str, source: str) -> Exclusions:
        """Lines `sha256:HEX`, `media:DATASET/PATH`, `identity:DATASET/ID`; `#` begins a comment."""
        found: dict[str, set[Any]] = {"sha256": set(), "media": set(), "identity": set()}
        for number, raw in enumerate(text.split("\n"), 1):  # a name may hold what else ends a line to `splitlines`
            line = raw.split(" #")[0].strip()
            if not line or line.startswith("#"):
                continue
            kind, colon, value = line.partition(":")
            dataset, slash, rest = value.partition("/")
            digest_ok = kind == "sha256" and len(value) == 64 and not set(value.lower()) - set("0123456789abcdef")
            if colon and digest_ok:
                found[kind].add(value.lower())
            elif colon and kind in ("media", "identity") and slash and dataset and rest:
                found[kind].add((_dataset(dataset, f"{source}:{number}"), rest))
            else:
                raise UsageError(
                    f"{source}:{number}: {line[:80]!r} is none of sha256:HEX, media:DATASET/PATH, identity:DATASET/ID"
                )
        return cls(frozenset(found["sha256"]), frozenset(found["media"]), frozenset(found["identity"]))

    def union(self, other: Exclusions) -> Exclusions:
        return Exclusions(self.sha256 | other.sha256, self.media | other.media, self.identities | other.identities)

    def lines(self) -> list[str]:
        """The list again, sorted."""
        return [
            *(f"sha256:{value}" for value in sorted(self.sha256)),
            *(f"media:{dataset}/{path}" for dataset, path in sorted(self.media)),
            *(f"identity:{dataset}/{name}" for dataset, name in sorted(self.identities)),
        ]

    def hits(self, row: Mapping[str, Any], sha256: str | None) -> bool:
        """Is this medium on the list: itself, its bytes, a person in it, or the name of the real it was made from?"""
        dataset = row["dataset"]
        people = {(dataset, row["target_id"]), (dataset, row["source_id"])}
        return (
            (dataset, row["media"]) in self.media
            or bool(_origins(row) & self.media)
            or bool(people & self.identities)
            or (sha256 is not None and sha256 in self.sha256)
        )


def _origins(row: Mapping[str, Any]) -> frozenset[Name]:
    """All names that the real of a fake may have: its pair, and where else it was looked for."""
    places = (each.partition(":") for each in row.get("pair_candidates") or ())
    others = frozenset((dataset, media) for dataset, _, media in places)
    return others | {(row["pair_dataset"] or row["dataset"], row["pair_media"])} if row["pair_media"] else others


def _dataset(name: str, place: str) -> str:
    """The dataset's own name, so that no line of a takedown list misses its medium by the spelling."""
    try:
        return find_manifest(name).name
    except ManifestError as error:
        raise UsageError(f"{place}: {error}") from error


def taken_down(
    rows: Collection[Mapping[str, Any]], sha256: Callable[[Name], str | None], excluded: Exclusions
) -> frozenset[Name]:
    """The media that a takedown list hits, with all fakes that were made from one of them. `sha256`: None if unknown."""
    if excluded == Exclusions():
        return frozenset()
    origins = {(row["dataset"], row["media"]): _origins(row) for row in rows}
    hit = {name for name, row in zip(origins, rows, strict=True) if excluded.hits(row, sha256(name))}
    return frozenset(hit | {name for name, places in origins.items() if places & hit})


def idle_lines(rows: Collection[Mapping[str, Any]], sha256: Callable[[Name], str | None], excluded: Exclusions) -> list[str]:
    """The lines of a takedown list that hit no medium. Lines of datasets that have no row are left out: nobody can tell."""
    if excluded == Exclusions():
        return []
    names = {(row["dataset"], row["media"]) for row in rows}
    here = {dataset for dataset, _ in names}
    known = names.union(*map(_origins, rows))
    people = {(row["dataset"], row[who]) for row in rows for who in ("target_id", "source_id")}
    idle = Exclusions(
        excluded.sha256 - {sha256(name) for name in names},
        frozenset(name for name in excluded.media - known if name[0] in here),
        frozenset(name for name in excluded.identities - people if name[0] in here),
    )
    return idle.lines()


def compression_taken(entry: DatasetEntry, offered: Sequence[str], present: Iterable[str]) -> str | None:
    """Which of a dataset's compressions to take: the recipe's, else the manifest's first that is on disk."""
    here = set(present)
    if entry.compression is not None:
        if entry.compression not in offered:
            known = ", ".join(offered) or "none"
            raise RecipeError(f"{entry.name}: no compression {entry.compression!r}; the manifest offers: {known}")
        if here and entry.compression not in here:
            found = ", ".join(sorted(here))
            raise RecipeError(
                f"{entry.name}: compression {entry.compression} is not on disk, only {found}; set one of these in the "
                f"recipe, or: --set 'datasets=[{{name: {entry.name}, compression: {sorted(here)[0]}}}]'"
            )
        return entry.compression
    return next((name for name in offered if name in here), None)


def drops(rows: Sequence[Mapping[str, Any]], entry: DatasetEntry, compression: str | None, seed: int) -> dict[str, str]:
    """Media of one dataset that the recipe does not take, with the reason.

    Subsets and caps keep pairs together: a fake is taken or left with its real, and the real of every fake that is taken
    is taken, even where the reals' cap is full.
    """
    dropped: dict[str, str] = {}
    kept: list[Mapping[str, Any]] = []
    for row in rows:
        if row["compression"] is not None and compression is not None and row["compression"] != compression:
            dropped[row["media"]] = "other_compression"
        elif entry.subset < 1 and _lot(row, seed) >= entry.subset:
            dropped[row["media"]] = "not_in_subset"
        else:
            kept.append(row)
    if entry.cap_per_method is not None:
        dropped.update((name, "over_cap") for name in _over_cap(kept, entry.cap_per_method, seed))
    return dropped


def _over_cap(rows: Sequence[Mapping[str, Any]], cap: int, seed: int) -> set[str]:
    methods: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (_lot(row, seed), row["media"])):
        methods[row["method"] if row["label"] == "fake" else None].append(row)
    reals = methods.pop(None, [])
    taken = [row for members in methods.values() for row in members[:cap]]
    needed = {row["pair_media"] for row in taken if row["pair_dataset"] in (None, row["dataset"])}
    reals.sort(key=lambda row: row["media"] not in needed)
    taken += reals[: max(cap, sum(row["media"] in needed for row in reals))]
    return {row["media"] for row in rows} - {row["media"] for row in taken}


def _lot(row: Mapping[str, Any], seed: int) -> float:
    """A number in [0,1) that a pair draws together."""
    root = f"{row['pair_dataset'] or row['dataset']}\0{row['pair_media'] or row['media']}"
    return int(hashlib.sha256(f"{seed}\0{root}".encode()).hexdigest()[:13], 16) / 16**13
