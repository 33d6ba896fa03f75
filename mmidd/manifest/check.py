"""What a person should know of a dataset on disk: counts against the official release, and all that does not fit.

Pure: it sees the index of one dataset, and reads label files and pieces of suspects through the functions it is given.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from mmidd.findings import Finding
from mmidd.manifest.accounting import Rule
from mmidd.manifest.format import Manifest
from mmidd.manifest.lists import Listed
from mmidd.manifest.methods import registry
from mmidd.manifest.places import LIES, summary
from mmidd.manifest.spec import Expected
from mmidd.manifest.strays import PLAIN, Strays
from mmidd.manifest.tables import TableSpec, listed_keys

FindingKind = Literal[
    "missing label file", "label file not whole", "listed but not on disk", "in no rule", "no label",
    "label file contradicts the tree", "label files contradict each other", "refused", "real not on disk", "same file twice",
    "empty file", "empty folder", "no media",
]  # fmt: skip

ADVICE: Mapping[FindingKind, str] = {
    "missing label file": "download it; what it says of the media is unknown without it",
    "label file not whole": "no split is official by it, and what it does not name is split by hash: download it again",
    "listed but not on disk": "download them; if you have all, label file and media are of two versions",
    "in no rule": "not used: move them away, or add them to the manifest's rules or `ignore`",
    "no label": "not used: the label file that should name them is absent, or of another version; download it again",
    "label file contradicts the tree": "not used: one of the two is of another version; download both again from one place",
    "label files contradict each other": "not used: keep the label file that is right",
    "refused": "not used: allow the folder that a link leads to with --follow-links, get the file for a pointer, mend names "
    "and permissions, download a damaged archive again",
    "real not on disk": "these fakes are used without a pair; get the dataset that their reals are in",
    "same file twice": "keep the one that lies in its right place",
    "empty file": "download it again; it will fail",
    "empty folder": "download what belongs there, or remove it",
    "no media": "a build stops at it: mend what lies there, or leave the dataset out with --only",
}
"""What to do about a finding."""
TWIN_BYTES = 2**20
"""From this size on two files of one size are compared even if their names differ; smaller ones if the names agree."""

_CONTRADICTS = re.compile(r"(?P<what>[a-z]\w*\.\w+) is '.*', which rule '(?P<rule>.*)' does not take", re.DOTALL)
_CONTRADICT = re.compile(r"two label files contradict each other: (?P<what>\w+) is .*", re.DOTALL)
_UNLABELLED = re.compile(r"no row in |no label file |bad \w+ value |\w+\.\w+ has no value")
_VARYING = re.compile(r"(bad \w+ value|unknown method) '|(a second frame) \d")
_ABOVE = re.compile(r"there would be a rule without the folder '(?P<folder>.*)/' above it", re.DOTALL)
_SAME = re.compile(r"the same as .*, which is used", re.DOTALL)
_MOST_FOLDERS = 3
"""So many folders that are one too many are told each for itself."""


class Entry(NamedTuple):
    """One row of an index, as far as it is checked; `status` is media, label file, unmatched, unlabelled or refused."""

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
    mask: str | None = None


class CountedPlace(NamedTuple):
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
class Checked:
    """One dataset: `counts` is all that is there, `compared` what the manifest expects, `findings` what does not fit: each
    is of a kind (its `check`), of files (or names that a label file gives) with one and the same thing about them, sorted.

    `masks`: of how many fakes whose rule knows where masks lie, how many have one. `moved`: what is read from an archive, or
    from a folder too deep or not deep enough (see `places.summary`): told, no finding. `lists`: what came of each label
    file.
    """

    dataset: str
    verified: bool
    counts: tuple[tuple[CountedPlace, int], ...]
    compared: tuple[Compared, ...]
    findings: tuple[Finding, ...]
    ignored: Mapping[str, int]
    known_defects: tuple[str, ...]
    masks: tuple[int, int] = (0, 0)
    moved: tuple[tuple[str, str, int], ...] = ()
    lists: tuple[Listed, ...] = ()

    def document(self) -> dict[str, Any]:
        """Everything as JSON: all names, none left out."""
        return {
            "dataset": self.dataset,
            "verified": self.verified,
            "counts": [{**place._asdict(), "found": count} for place, count in self.counts],
            "expected": [asdict(each) for each in self.compared],
            "findings": [
                {"kind": e.check, "reason": e.what, "count": len(e.where), "names": list(e.where), "advice": e.advice}
                for e in self.findings
            ],
            "ignored": dict(self.ignored),
            "known_defects": list(self.known_defects),
            "lists": [asdict(each) for each in self.lists],
            "masks": dict(zip(("fakes", "found"), self.masks, strict=True)),
            "read_from": [list(each) for each in self.moved],
            "clean": self.clean,
        }

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
    manifest: Manifest,
    entries: Iterable[Entry],
    disk: Disk,
    *,
    missing: Sequence[str],
    ignored: Mapping[str, int],
    empty: Sequence[str] = (),
    lists: Sequence[Listed] = (),
) -> Checked:
    """Compare one dataset's index with its manifest. `missing` are label files ("table: path"), `ignored` sidecars,
    `empty` folders with nothing in them, `lists` what came of each label file.

    Raises ManifestError for a label file that cannot be used, and whatever `disk` raises.
    """
    seen = _Seen(manifest)
    for entry in entries:
        seen.add(entry)
    found = list(_missing(missing))
    found += [_finding("label file not whole", *_lacking(each)) for each in lists if each.partial]
    found += _listed(manifest, seen, disk)
    found += [_finding(kind, reason, names) for (kind, reason), names in sorted(_by_kind(seen.odd).items())]
    found += _unpaired(seen, disk)
    found += _twice(seen, disk)
    if not seen.counts:
        found.append(_finding("no media", "nothing in its folder is a medium", sorted(seen.tops) or ["."]))
    known = [folder for folder in empty if any(each.match(folder) is not None for each in manifest.layout.empty_folders)]
    strange = sorted(set(empty) - set(known))
    found += [_finding("empty folder", "nothing in it: was the download cut?", strange)] if strange else []
    return Checked(
        manifest.name,
        manifest.verified,
        tuple(sorted(seen.counts.items(), key=lambda pair: tuple(str(each or "") for each in pair[0]))),
        tuple(each for expected in manifest.expected for each in _compare(manifest, expected, seen.counts)),
        tuple(found),
        dict(sorted(ignored.items())),
        (*manifest.known_defects, *_known_empty(known)),
        (seen.maskable, seen.masked),
        tuple(summary(seen.lies)),
        tuple(lists),
    )


def _lacking(listed: Listed) -> tuple[str, tuple[str, ...]]:
    """What a label file lacks, and its name."""
    if listed.expected is not None and listed.rows - listed.strange < listed.expected:
        return f"{listed.rows - listed.strange:,} rows of {listed.expected:,} that the official file has", (listed.path,)
    return f"{listed.unnamed:,} media are in no row of table '{listed.table}'", (listed.path,)


def _known_empty(folders: Sequence[str]) -> Iterator[str]:
    """The empty folders of the official release that are here."""
    if folders:
        more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
        yield f"empty folders here: {len(folders)} ({', '.join(folders[:5])}{more})"


def _missing(told: Iterable[str]) -> Iterator[Finding]:
    """One finding for each table, of what is told as "table: path"."""
    tables: dict[str, list[str]] = defaultdict(list)
    for table, _, path in (each.partition(": ") for each in told):
        tables[table].append(path)
    return (_finding("missing label file", f"table '{table}' needs it", paths) for table, paths in sorted(tables.items()))


def _finding(kind: FindingKind, reason: str, names: Iterable[str]) -> Finding:
    return Finding(kind, reason, tuple(sorted(names)), ADVICE[kind])


@dataclass
class _Seen:
    """One pass over the index: counts, and what may be wrong."""

    manifest: Manifest
    counts: Counter[CountedPlace] = field(default_factory=Counter)
    odd: dict[tuple[FindingKind, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    alone: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    abroad: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    alike: dict[tuple[str | None, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    label_files: list[str] = field(default_factory=list)
    lies: dict[str, str] = field(default_factory=dict)
    tops: set[str] = field(default_factory=set)
    maskable: int = 0
    masked: int = 0

    def __post_init__(self) -> None:
        self.rules = {rule.id: rule for rule in self.manifest.layout.rules}
        self.strays = Strays(self.manifest)
        paths = {path: rule.id for rule in self.manifest.rules for path in rule.path}
        self.as_rule = {rule.id: paths[path] for rule in self.manifest.rules for path in rule.unless if path in paths}
        """A rule for another form of the same media, counted as theirs."""

    def add(self, entry: Entry) -> None:
        self.tops.add(entry.media.partition("/")[0])
        if entry.status == "media" and entry.rule is not None:
            if entry.reason is not None:
                self.lies[entry.media] = entry.reason.removeprefix(LIES)
            self._medium(entry, self.rules[entry.rule])
        elif entry.status == "label file":
            self.label_files.append(entry.media)
        elif entry.status == "refused":
            reason = entry.reason or ""
            same = one_kind(reason)
            self.odd["refused", same].append(entry.media if same == reason else f"{entry.media} ({reason})")
        elif entry.reason in (None, PLAIN):
            self.odd["in no rule", self.strays.reason(entry.media)].append(entry.media)
        else:
            self.odd[_sort(str(entry.reason))].append(_shown(entry.media, str(entry.reason)))
            for rule in self.rules.values():
                self._ask(rule, entry.media)

    def _ask(self, rule: Rule, path: str) -> None:
        """What the file (of a clip any frame) asks label files for: also one that no rule takes is on disk."""
        raw = next((found for found in (each.match(path) for each in rule.paths) if found is not None), None)
        if raw is None:
            return
        for table, key in rule.look_up:
            self.asked[table].add(str(key.render(raw)))

    def _medium(self, entry: Entry, rule: Rule) -> None:
        self.counts[
            CountedPlace(self.as_rule.get(rule.id, rule.id), entry.label, entry.method, entry.split, entry.compression)
        ] += 1
        self.maskable += bool(rule.masks)
        self.masked += entry.mask is not None
        if rule.look_up:
            self._ask(rule, f"{entry.media}/0" if rule.kind == "frames" else entry.media)
        if rule.pairs and entry.pair_media is None:
            self.alone[rule.pairs[0].dataset or self.manifest.name].append(entry.media)
        elif entry.pair_media is not None and entry.pair_dataset not in (None, self.manifest.name):
            self.abroad[str(entry.pair_dataset)].append((entry.media, entry.pair_media))
        if entry.bytes:
            name = entry.media.rpartition("/")[2] if entry.bytes < TWIN_BYTES else None
            self.alike[name, entry.bytes].append(entry.media)
        elif entry.bytes == 0:
            self.odd["empty file", "no bytes: was the download cut?"].append(entry.media)


def one_kind(reason: str) -> str:
    """A reason without what only one file has: its value, its number, or the folder that it is too deep by."""
    if _ABOVE.fullmatch(reason):
        return "there would be a rule without some of the folders above it"
    return "the same as another file, which is used" if _SAME.match(reason) else _sort(reason)[1]


def _by_kind(odd: Mapping[tuple[FindingKind, str], list[str]]) -> dict[tuple[FindingKind, str], list[str]]:
    """Files a folder too deep stand together where each would have a finding of its own."""
    deep = {key: found["folder"] for key in odd if (found := _ABOVE.fullmatch(key[1]))}
    if len(deep) <= _MOST_FOLDERS:
        return dict(odd)
    names = [f"{name} (without '{folder}/')" for key, folder in deep.items() for name in odd[key]]
    rest = {key: names for key, names in odd.items() if key not in deep}
    return {**rest, ("in no rule", "there would be a rule without some of the folders above it"): names}


def _sort(reason: str) -> tuple[FindingKind, str]:
    """A reason without the value that only one file has, so that files with the same fault stand together."""
    contradicts = _CONTRADICTS.fullmatch(reason)
    rivals = _CONTRADICT.fullmatch(reason)
    if rivals:
        return "label files contradict each other", f"of two tables each gives another {rivals['what']}"
    if contradicts:
        return "label file contradicts the tree", f"{contradicts['what']} is not what rule '{contradicts['rule']}' takes"
    varying = _VARYING.match(reason)
    same = next(filter(None, varying.groups())) if varying else reason
    return "no label" if _UNLABELLED.match(reason) else "in no rule", same


def _shown(media: str, reason: str) -> str:
    """The file, with its own reason where that says more than the one it stands under."""
    return media if _sort(reason)[1] == reason else f"{media} ({reason})"


def _listed(manifest: Manifest, seen: _Seen, disk: Disk) -> Iterator[Finding]:
    """Names in label files that no medium on disk has. A table that no rule of the media asks says nothing of them."""
    for spec in manifest.layout.tables:
        asked = seen.asked.get(spec.name, set())
        if not spec.lists_more and (asked or not seen.counts):
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


def _unpaired(seen: _Seen, disk: Disk) -> Iterator[Finding]:
    for dataset in sorted({*seen.alone, *seen.abroad}):
        pairs, lost = seen.abroad.get(dataset, []), seen.alone.get(dataset, [])
        there = disk.media_of(dataset) if pairs else ()
        if there is None:
            yield _finding(
                "real not on disk", f"fakes of reals in {dataset}, which is not indexed", (each for each, _ in pairs)
            )
        else:
            lost = lost + [media for media, pair in pairs if pair not in there]
        if lost:
            yield _finding("real not on disk", f"fakes whose real in {dataset} is absent", lost)


def _twice(seen: _Seen, disk: Disk) -> Iterator[Finding]:
    """One content in two places: a folder copied under another method, a file under a second name, two versions mixed."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for paths in seen.alike.values():
        for path in paths if len(paths) > 1 else ():
            groups[disk.piece(path)].append(path)
    twice = [" = ".join(sorted(paths)) for paths in groups.values() if len(paths) > 1]
    if twice:
        yield _finding("same file twice", "one size, start and end in two places", twice)


def _compare(manifest: Manifest, expected: Expected, counts: Mapping[CountedPlace, int]) -> Iterator[Compared]:
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
