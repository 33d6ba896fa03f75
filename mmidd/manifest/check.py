"""What a person should know of a dataset on disk: counts against the official release, and all that does not fit.

Pure: it sees the index of one dataset, and reads label files and pieces of suspects through the functions it is given.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mmidd.manifest.accounting import Rule
from mmidd.manifest.format import Expected, Manifest
from mmidd.manifest.methods import registry
from mmidd.manifest.tables import TableSpec, listed_keys

Kind = Literal[
    "missing label file", "listed but not on disk", "in no rule", "label file contradicts the tree", "refused",
    "real not on disk", "same file twice", "empty file",
]  # fmt: skip

_CONTRADICTS = re.compile(r"(?P<what>[a-z]\w*\.\w+) is '.*', which rule '(?P<rule>.*)' does not take", re.DOTALL)
_VARYING = re.compile(r"(bad \w+ value|unknown method) '")


class Entry(NamedTuple):
    """One row of an index, as far as it is checked; `status` is media, label file, unmatched or refused."""

    media: str
    status: str
    reason: str | None
    bytes: int | None
    rule: str | None
    label: str | None
    method: str | None
    split: str | None
    compression: str | None
    pair_dataset: str | None
    pair_media: str | None


class Place(NamedTuple):
    """What a medium is counted by."""

    rule: str | None
    label: str | None
    method: str | None
    split: str | None
    compression: str | None


@dataclass(frozen=True)
class Compared:
    """What is there beside what the official release has; None stands for any rule, label, method or split."""

    rule: str | None
    label: str | None
    method: str | None
    split: str | None
    compression: str | None
    found: int
    expected: int
    difference: int


@dataclass(frozen=True)
class Finding:
    """Files (or names that a label file gives) with one and the same thing about them, all of them, sorted."""

    kind: Kind
    reason: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """One dataset: `counts` is all that is there, `compared` what the manifest expects, `findings` what does not fit."""

    dataset: str
    verified: bool
    counts: tuple[tuple[Place, int], ...]
    compared: tuple[Compared, ...]
    findings: tuple[Finding, ...]
    ignored: Mapping[str, int]
    known_defects: tuple[str, ...]

    @property
    def differences(self) -> tuple[Compared, ...]:
        """The comparisons that do not agree."""
        return tuple(each for each in self.compared if each.difference)

    @property
    def clean(self) -> bool:
        """Is all as in the official release?"""
        return not self.differences and not self.findings


@dataclass(frozen=True)
class Disk:
    """What may be asked of the disk: a label file's bytes, a piece of a file that tells it from others (equal pieces:
    equal files), and the media of another dataset (None: it is not there)."""

    read: Callable[[str], bytes]
    piece: Callable[[str], bytes]
    media_of: Callable[[str], Collection[str] | None]


def check(
    manifest: Manifest, entries: Iterable[Entry], disk: Disk, *, missing: Sequence[str], ignored: Mapping[str, int]
) -> Checked:
    """Compare one dataset's index with its manifest. `missing` are label files ("table: path"), `ignored` sidecars.

    Raises ManifestError for a label file that cannot be used, and whatever `disk` raises.
    """
    seen = _Seen(manifest)
    for entry in entries:
        seen.add(entry)
    found = [Finding("missing label file", *_told(each.partition(": ")[::2])) for each in missing]
    found += _listed(manifest, seen, disk)
    found += [_finding(kind, reason, names) for (kind, reason), names in sorted(seen.odd.items())]
    found += _unpaired(manifest, seen, disk)
    found += _twice(seen, disk)
    return Checked(
        manifest.name,
        manifest.verified,
        tuple(sorted(seen.counts.items(), key=lambda pair: tuple(str(each or "") for each in pair[0]))),
        tuple(each for expected in manifest.expected for each in _compare(manifest, expected, seen.counts)),
        tuple(found),
        dict(sorted(ignored.items())),
        manifest.known_defects,
    )


def _told(pair: Sequence[str]) -> tuple[str, int, tuple[str, ...]]:
    table, path = pair
    return f"table '{table}' needs it", 1, (path,)


def _finding(kind: Kind, reason: str, names: Iterable[str]) -> Finding:
    listed = tuple(sorted(names))
    return Finding(kind, reason, len(listed), listed)


@dataclass
class _Seen:
    """One pass over the index: counts, and what may be wrong."""

    manifest: Manifest
    counts: Counter[Place] = field(default_factory=Counter)
    odd: dict[tuple[Kind, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    alone: list[str] = field(default_factory=list)
    abroad: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    alike: dict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    label_files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules = {rule.id: rule for rule in self.manifest.layout.rules}

    def add(self, entry: Entry) -> None:
        if entry.status == "media" and entry.rule is not None:
            self._medium(entry, self.rules[entry.rule])
        elif entry.status == "label file":
            self.label_files.append(entry.media)
        elif entry.status == "refused":
            self.odd["refused", entry.reason or ""].append(entry.media)
        else:
            self.odd[_sort(entry.reason or "no rule")].append(_shown(entry))

    def _medium(self, entry: Entry, rule: Rule) -> None:
        self.counts[Place(entry.rule, entry.label, entry.method, entry.split, entry.compression)] += 1
        if rule.look_up:
            raw = next(found for found in (each.match(entry.media) for each in rule.paths) if found is not None)
            for table, key in rule.look_up:
                self.asked[table].add(str(key.render(raw)))
        if rule.pairs and entry.pair_media is None:
            self.alone.append(entry.media)
        elif entry.pair_media is not None and entry.pair_dataset not in (None, self.manifest.name):
            self.abroad[str(entry.pair_dataset)].append((entry.media, entry.pair_media))
        if entry.bytes:
            self.alike[entry.media.rpartition("/")[2], entry.bytes].append(entry.media)
        elif entry.bytes == 0:
            self.odd["empty file", "no bytes: was the download cut?"].append(entry.media)


def _sort(reason: str) -> tuple[Kind, str]:
    """A reason without the value that only one file has, so that files with the same fault stand together."""
    contradicts = _CONTRADICTS.fullmatch(reason)
    if contradicts:
        return "label file contradicts the tree", f"{contradicts['what']} is not what rule '{contradicts['rule']}' takes"
    varying = _VARYING.match(reason)
    return "in no rule", varying[1] if varying else reason


def _shown(entry: Entry) -> str:
    """The file, with its own reason where that says more than the one it stands under."""
    reason = entry.reason or "no rule"
    return entry.media if _sort(reason)[1] == reason else f"{entry.media} ({reason})"


def _listed(manifest: Manifest, seen: _Seen, disk: Disk) -> Iterator[Finding]:
    """Names in label files that no medium on disk has. A table that no rule of the media asks says nothing of them."""
    for spec in manifest.layout.tables:
        asked = seen.asked.get(spec.name, set())
        if asked or not seen.counts:
            names = _absent(spec, _rows(manifest, spec, seen.label_files, disk.read), asked)
            if names:
                yield _finding("listed but not on disk", f"table '{spec.name}' lists it", names)


def _rows(
    manifest: Manifest, spec: TableSpec, files: Sequence[str], read: Callable[[str], bytes]
) -> list[tuple[str | None, ...]]:
    own = list(listed_keys(spec, files, read))
    ships = manifest.layout.bundled.get(spec.name, {})
    return own or list(listed_keys(spec, ships, ships.__getitem__))


def _absent(spec: TableSpec, rows: Sequence[tuple[str | None, ...]], asked: set[str]) -> set[str]:
    """The keys of rows that nothing asked for. Of several keys of a row, those that no row is asked by are spellings
    that this copy does not use."""
    live = [place for place in range(len(spec.keys)) if any(row[place] in asked for row in rows)] or [0]
    return {key for row in rows for key in (row[place] for place in live) if key is not None and key not in asked}


def _unpaired(manifest: Manifest, seen: _Seen, disk: Disk) -> Iterator[Finding]:
    if seen.alone:
        yield _finding("real not on disk", f"fakes whose real in {manifest.name} is absent", seen.alone)
    for dataset, pairs in sorted(seen.abroad.items()):
        there = disk.media_of(dataset)
        if there is None:
            yield _finding(
                "real not on disk", f"fakes of reals in {dataset}, which is not indexed", (each for each, _ in pairs)
            )
            continue
        lost = [media for media, pair in pairs if pair not in there]
        if lost:
            yield _finding("real not on disk", f"fakes whose real in {dataset} is absent", lost)


def _twice(seen: _Seen, disk: Disk) -> Iterator[Finding]:
    """One name, size and content in two folders: a folder copied under another method, or two versions mixed."""
    suspects = [paths for paths in seen.alike.values() if len(paths) > 1]
    groups: dict[tuple[str, bytes], list[str]] = defaultdict(list)
    for paths in suspects:
        for path in paths:
            groups[path.rpartition("/")[2], disk.piece(path)].append(path)
    twice = [" = ".join(sorted(paths)) for paths in groups.values() if len(paths) > 1]
    if twice:
        yield _finding("same file twice", "one name, size, start and end in two places", twice)


def _compare(manifest: Manifest, expected: Expected, counts: Mapping[Place, int]) -> Iterator[Compared]:
    """The official count beside what is there, for each compression on disk."""
    method = registry().find(expected.method) if expected.method else None
    wanted = (expected.rule, expected.label, method.id if method else expected.method, expected.split)
    found: Counter[str | None] = Counter()
    for place, count in counts.items():
        if all(want is None or want == have for want, have in zip(wanted, place[:4], strict=True)):
            found[place.compression] += count
    here = {place.compression for place in counts}
    on_disk = [name for name in manifest.compressions if name in here]
    for compression in [None] if None in found or not on_disk else on_disk:
        number = found[compression]
        yield Compared(*wanted, compression, number, expected.count, number - expected.count)
