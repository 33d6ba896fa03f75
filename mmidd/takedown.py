"""The takedown list: which media no command may use again, and what follows from its lines (docs/takedown.md).

Pure functions over rows of the index, or of a corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, cast, get_args

from mmidd.errors import ManifestError, UsageError
from mmidd.manifest import bundled, find_manifest
from mmidd.media import Name, composed

How = Literal["named", "person", "same clip", "same bytes", "same pixels", "same photo", "made from it"]
HOWS: tuple[How, ...] = get_args(How)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The digest of no bytes at all: files that hold nothing are not copies of each other."""

Of = Callable[[Name], str | None]
"""A digest of a medium, by its name; None where it is not known."""


@dataclass(frozen=True)
class Hit:
    """A medium that a line took down, as it was then: it stays down under any name, whatever becomes of its file.

    `sha256` are the digests that its bytes had, `pixels` those of its samples.
    """

    dataset: str
    media: str
    line: str
    how: How
    sha256: tuple[str, ...] = ()
    pixels: tuple[str, ...] = ()

    @property
    def name(self) -> Name:
        return self.dataset, self.media


@dataclass(frozen=True)
class Cover:
    """Why a medium is taken down: the line of the list, and how it comes to it."""

    line: str
    how: How


@dataclass(frozen=True)
class Exclusions:
    """A takedown list: digests, media and identities that no command may use again, and the media that these were."""

    sha256: frozenset[str] = frozenset()
    media: frozenset[Name] = frozenset()
    identities: frozenset[Name] = frozenset()
    hits: tuple[Hit, ...] = ()

    @classmethod
    def parse(cls, text: str, source: str) -> Exclusions:
        """Lines `sha256:HEX`, `media:DATASET/PATH`, `identity:DATASET/ID`; `#` begins a comment."""
        found: dict[str, set[Any]] = {"sha256": set(), "media": set(), "identity": set()}
        for number, raw in enumerate(composed(text).split("\n"), 1):  # a name may hold what else ends a line to `splitlines`
            line = raw.split(" #")[0].strip()
            if not line or line.startswith("#"):
                continue
            kind, colon, value = line.partition(":")
            dataset, slash, rest = value.partition("/")
            digest_ok = kind == "sha256" and is_sha256(value.lower())
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
        lines = self.sha256 | other.sha256, self.media | other.media, self.identities | other.identities
        return Exclusions(*lines, self.hits).hitting(other.hits)

    def hitting(self, hits: Iterable[Hit]) -> Exclusions:
        """With these hits as well: of a medium all digests stay that it ever had."""
        found = {hit.name: hit for hit in self.hits}
        for hit in hits:
            old = found.get(hit.name, hit)
            both = (tuple(sorted({*getattr(old, name), *getattr(hit, name)})) for name in ("sha256", "pixels"))
            found[hit.name] = Hit(*hit.name, old.line, old.how, *both)
        return replace(self, hits=tuple(found[name] for name in sorted(found)))

    def lines(self) -> list[str]:
        """The list again, sorted."""
        return [
            *(f"sha256:{value}" for value in sorted(self.sha256)),
            *(f"media:{dataset}/{path}" for dataset, path in sorted(self.media)),
            *(f"identity:{dataset}/{name}" for dataset, name in sorted(self.identities)),
        ]


def is_sha256(text: str | None) -> bool:
    """Is this a digest? (Of a file that could not be read another word is noted.)"""
    return text is not None and len(text) == 64 and not set(text) - set("0123456789abcdef")


def _dataset(name: str, place: str) -> str:
    """The dataset's own name, so that no line of a takedown list misses its medium by the spelling."""
    try:
        return find_manifest(name).name
    except ManifestError as error:
        raise UsageError(f"{place}: {error}") from error


def taken_down(
    rows: Collection[Mapping[str, Any]], sha256: Of, excluded: Exclusions, pixels: Of = lambda name: None
) -> dict[Name, Cover]:
    """The media that a takedown list covers, each with why.

    A line hits what it names. What has the bytes or the samples of a medium that is covered, or is the same clip at
    another place or in another compression, is covered as well, and so is every fake that was made from one (whose target
    it is).
    """
    if excluded == Exclusions():
        return {}
    found: dict[Name, Cover] = {}
    roots = _Roots.of(excluded)
    while True:  # what a row is covered by may stand behind it
        fresh = {}
        for row in rows:
            name = (row["dataset"], row["media"])
            if name not in found:
                contents = _contents(row, sha256(name), pixels(name))
                if (cover := roots.cover(row, contents)) is not None:
                    fresh[name] = cover, contents
        if not fresh:
            return found
        for name, (cover, contents) in fresh.items():
            roots.add(name, cover.line, contents)
            found[name] = cover


def _contents(row: Mapping[str, Any], sha256: str | None, pixels: str | None) -> dict[str, How]:
    """What media of one content share: the digests of bytes and of samples, and the photo that another dataset knows."""
    found: dict[str, How] = {sha256: "same bytes"} if sha256 is not None and is_sha256(sha256) and sha256 != EMPTY else {}
    if pixels is not None:
        found[pixels] = "same pixels"
    found.update({key: "same photo" for key in row.get("group_keys") or () if "/image/" in key})
    return found


def _namer() -> Callable[[Name], Name]:
    """Gives one name for a clip wherever it lies and however it is compressed (`Manifest.clip_of`). What was asked lately is
    known: a million media have few reals, and rows of one clip follow each other."""
    manifests = bundled()

    @lru_cache(maxsize=1 << 16)
    def clip_of(name: Name) -> Name:
        manifest = manifests.get(name[0])  # none: of a corpus that another mmidd wrote
        return name if manifest is None else (name[0], manifest.clip_of(name[1]))

    return clip_of


@dataclass
class _Roots:
    """What covers others, by the line that it came from: clips, digests of bytes or of samples, and people."""

    media: dict[Name, Cover] = field(default_factory=dict)
    clips: dict[Name, str] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    people: dict[Name, str] = field(default_factory=dict)
    clip_of: Callable[[Name], Name] = field(default_factory=_namer)

    @classmethod
    def of(cls, excluded: Exclusions) -> _Roots:
        found = cls(people={name: "identity:{}/{}".format(*name) for name in excluded.identities})
        found.contents.update({value: f"sha256:{value}" for value in excluded.sha256})
        for name in sorted(excluded.media):
            line = "media:{}/{}".format(*name)
            found.media[name] = Cover(line, "named")
            found.clips.setdefault(found.clip_of(name), line)
        for hit in excluded.hits:
            found.media.setdefault(hit.name, Cover(hit.line, hit.how))
            found.add(hit.name, hit.line, (*hit.sha256, *hit.pixels))
        return found

    def add(self, name: Name, line: str, contents: Iterable[str]) -> None:
        self.clips.setdefault(self.clip_of(name), line)
        for each in contents:
            self.contents.setdefault(each, line)

    def cover(self, row: Mapping[str, Any], contents: Mapping[str, How]) -> Cover | None:
        """Why this medium is covered, as far as is known by now."""
        name = (row["dataset"], row["media"])
        if (mine := self.media.get(name)) is not None:
            return mine
        for each, how in contents.items():
            if (line := self.contents.get(each)) is not None:
                return Cover(line, "named" if line == f"sha256:{each}" else how)
        if (line := next((self.people[who] for who in people(row) if who in self.people), None)) is not None:
            return Cover(line, "person")
        if (line := self.clips.get(self.clip_of(name)) if self.clips else None) is not None:
            return Cover(line, "same clip")
        lines = (self.clips.get(self.clip_of(origin)) for origin in sorted(origins(row) if self.clips else ()))
        return next((Cover(line, "made from it") for line in lines if line is not None), None)


def people(row: Mapping[str, Any]) -> Iterator[Name]:
    """Who is in a medium: shown or donating, and by the name that another dataset has for them."""
    yield from ((row["dataset"], row[who]) for who in ("target_id", "source_id") if row[who])
    keys = (key.partition("/identity/") for key in row.get("group_keys") or ())
    yield from ((dataset, who) for dataset, cut, who in keys if cut)


def origins(row: Mapping[str, Any]) -> frozenset[Name]:
    """All names that the real of a fake may have: its pair, where else it was looked for, and, where there is none, what
    keeps it with its siblings."""
    places = [each.partition(":")[::2] for each in row.get("pair_candidates") or ()]
    keys = [key.partition("/media/") for key in row.get("group_keys") or ()]
    places += [(dataset, media) for dataset, cut, media in keys if cut]
    if row["pair_media"]:
        places.append((row["pair_dataset"] or row["dataset"], row["pair_media"]))
    return frozenset((dataset, media) for dataset, media in places)


def corpus_rows(rows: Iterable[Mapping[str, Any]]) -> dict[Name, dict[str, Any]]:
    """Rows of a corpus (of `media.parquet`, or samples) by their medium, as a takedown list is asked for them: the pair's
    dataset (null if the row's own) and path apart."""
    listed = {(row["dataset"], row["media"]): dict(row) for row in rows}
    datasets = {dataset for dataset, _ in listed} | set(bundled())
    for row in listed.values():
        dataset, colon, path = (row["pair_media"] or "").partition(":")
        if other := bool(colon) and dataset in datasets:
            row["pair_media"] = path
        row["pair_dataset"] = dataset if other else None
    return listed


def idle_lines(rows: Collection[Mapping[str, Any]], sha256: Of, excluded: Exclusions) -> list[str]:
    """The lines of a takedown list that hit no medium. Lines of datasets that have no row are left out: nobody can tell."""
    if excluded == Exclusions():
        return []
    names = {(row["dataset"], row["media"]) for row in rows}
    here, clip_of = {dataset for dataset, _ in names}, _namer()
    known = {clip_of(name) for name in names.union(*map(origins, rows), (hit.name for hit in excluded.hits))}
    here_too = set(chain.from_iterable(map(people, rows)))
    told = {hit.line for hit in excluded.hits}
    idle = Exclusions(
        excluded.sha256 - {sha256(name) for name in names},
        frozenset(name for name in excluded.media if name[0] in here and clip_of(name) not in known),
        frozenset(name for name in excluded.identities - here_too if name[0] in here),
    )
    return [line for line in idle.lines() if line not in told]


def hits_of(covered: Mapping[Name, Cover], sha256: Of, pixels: Of) -> Iterator[Hit]:
    """What is to be kept of media that are covered."""
    for name, cover in covered.items():
        mine, samples = sha256(name), pixels(name)
        digests = (cast(str, mine),) if is_sha256(mine) and mine != EMPTY else ()
        yield Hit(*name, cover.line, cover.how, digests, (samples,) if samples else ())
