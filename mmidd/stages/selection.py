"""Which indexed media a recipe takes: its compression, its subset and caps, and never what was taken down.

Pure functions over the index. What is not taken gets a reason, so that every medium is accounted for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmidd.errors import RecipeError, UsageError
from mmidd.recipe import DatasetEntry

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Selected:
    """A medium that will be extracted, with what the later stages need of it."""

    dataset: str
    media: str
    kind: Literal["video", "image"]
    label: Literal["real", "fake"]
    method: str | None
    pair_dataset: str | None
    pair_media: str | None
    aligned: bool
    path: Path
    bytes: int
    mtime_ns: int

    @property
    def name(self) -> Name:
        return self.dataset, self.media

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
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.split(" #")[0].strip()
            if not line or line.startswith("#"):
                continue
            kind, colon, value = line.partition(":")
            dataset, slash, rest = value.partition("/")
            digest_ok = kind == "sha256" and len(value) == 64 and not set(value.lower()) - set("0123456789abcdef")
            if colon and digest_ok:
                found[kind].add(value.lower())
            elif colon and kind in ("media", "identity") and slash and dataset and rest:
                found[kind].add((dataset, rest))
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
        """Is this medium on the list: itself, its bytes, a person in it, or the real it was made from?"""
        dataset = row["dataset"]
        pair = (row["pair_dataset"] or dataset, row["pair_media"])
        people = {(dataset, row["target_id"]), (dataset, row["source_id"])}
        return (
            (dataset, row["media"]) in self.media
            or pair in self.media
            or bool(people & self.identities)
            or (sha256 is not None and sha256 in self.sha256)
        )


def compression_taken(entry: DatasetEntry, offered: Sequence[str], present: Iterable[str]) -> str | None:
    """Which of a dataset's compressions to take: the recipe's, else the manifest's first that is on disk."""
    here = set(present)
    if entry.compression is not None:
        if entry.compression not in offered:
            known = ", ".join(offered) or "none"
            raise RecipeError(f"{entry.name}: no compression {entry.compression!r}; the manifest offers: {known}")
        if here and entry.compression not in here:
            found = ", ".join(sorted(here))
            raise RecipeError(f"{entry.name}: compression {entry.compression} is not on disk, only {found}; set that one")
        return entry.compression
    return next((name for name in offered if name in here), None)


def drops(rows: Sequence[Mapping[str, Any]], entry: DatasetEntry, compression: str | None, seed: int) -> dict[str, str]:
    """Media of one dataset that the recipe does not take, with the reason; subsets and caps keep pairs together."""
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
        methods: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in kept:
            methods[row["method"] or "REAL"].append(row)
        for members in methods.values():
            members.sort(key=lambda row: (_lot(row, seed), row["media"]))
            dropped.update((row["media"], "over_cap") for row in members[entry.cap_per_method :])
    return dropped


def _lot(row: Mapping[str, Any], seed: int) -> float:
    """A number in [0,1) that a pair draws together."""
    root = f"{row['pair_dataset'] or row['dataset']}\0{row['pair_media'] or row['media']}"
    return int(hashlib.sha256(f"{seed}\0{root}".encode()).hexdigest()[:13], 16) / 16**13
