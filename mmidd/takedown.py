"""The takedown list: which media no command may use again, by their bytes, their name, or a person in them.

Pure functions over rows of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mmidd.errors import ManifestError, UsageError
from mmidd.manifest import find_manifest
from mmidd.media import Name


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
