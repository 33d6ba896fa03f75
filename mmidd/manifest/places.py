"""Files that lie beside their place: in an archive, or with a folder too many or too few above them.

Pure: names in, names out. An archive `d/x.zip` is read as if it were unpacked beside itself (`d/...`) or into a folder of
its name (`d/x/...`). What no rule takes as it lies is tried without folders that say nothing, or below one that is missing.
A file is used where all places that a rule would take it at say the same of it; else it is not used, and that is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from mmidd.manifest.accounting import SPLITS, SUFFIXES, Heads, Layout, Rule, frame_number, unpacked
from mmidd.manifest.layout import Field, LayoutError, Pattern, Template, compile_pattern

SET_ASIDE = frozenset(
    {"trash", "bin", "deleted", "removed", "rejected", "excluded", "exclude", "unused", "old", "older", "backup", "backups"}
    | {"bak", "bad", "broken", "corrupt", "corrupted", "damaged", "duplicate", "duplicates", "takedown", "takedowns"}
    | {"quarantine", "tmp", "temp"}
)
"""Folders that people move files to so that nobody uses them: what lies in one stays unused."""
LIES = "lies at "
"""What the reason of an indexed medium begins with that is read from elsewhere than where its rule looks."""
_SAYING = frozenset({*SPLITS, "real", "fake"})
"""Folders that say something whatever the dataset."""
_ANYTHING = ("x", "Some folder", "a_b-c.d")
"""A field that takes one of these takes anything."""
_MOST_FOLDERS = 24


@dataclass(frozen=True)
class Settled:
    """`lies`: where a rule looks for a file (or a folder of frames) -> where it lies, an archive's name a part of that.
    `twice` are members of archives whose place is taken, `unused` archives that nothing is read from; `told` is what is
    not used (or was unpacked in part), with the reason.
    """

    lies: Mapping[str, str]
    twice: frozenset[str]
    unused: frozenset[str]
    told: Mapping[str, str]


def settle(
    layout: Layout,
    names: Collection[str],
    foreign: Collection[str],
    plain: Mapping[str, int],
    inside: Mapping[str, Mapping[str, int]],
) -> Settled:
    """Find the place of every file that no rule takes as it lies.

    `names` are the dataset's names, `foreign` those of others (in lower case), `plain` the files with their sizes, and
    `inside` the members of every archive that was opened.
    """
    return _Settling(Guide(layout, frozenset(each.casefold() for each in names), frozenset(foreign)), plain).all(inside)


@dataclass(frozen=True)
class _Take:
    """A place that would take a file, and what would be said of it there. `folder`: it is a frame of that clip. `telling`:
    one of its folders is one of some choices, so that what is said does not hang on the folders above."""

    path: str
    order: int
    says: tuple[Any, ...]
    telling: bool
    folder: str | None = None


@dataclass(frozen=True)
class _Way:
    """How a file is taken to lie: in `folder`, without the folders `removed` above it. The `first` ways are what unpacking
    gives; the others are tried only if none of these fits."""

    folder: str
    removed: tuple[str, ...] = ()
    first: bool = False
    above: bool = False

    def of(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


class Guide:
    """What a layout knows of paths, without looking into a label file."""

    def __init__(self, layout: Layout, names: frozenset[str] = frozenset(), foreign: frozenset[str] = frozenset()) -> None:
        self.layout = layout
        self.names = names
        rules = [(pattern, rule) for rule in layout.rules for pattern in rule.paths]
        labels = [(pattern, spec.name) for spec in layout.tables for pattern in spec.files]
        patterns: list[tuple[Pattern, Rule | str]] = [*labels, *rules, *_masks(layout)]
        self.takes = Heads[tuple[int, Rule | str]]([(p, (order, item)) for order, (p, item) in enumerate(patterns)])
        sidecars = [pattern for pattern in layout.ignore if not pattern.text.startswith("**")]
        self.other = Heads([(pattern, True) for pattern in (*sidecars, *layout.archives)])
        self.ignored = Heads([(pattern, pattern.text) for pattern in layout.ignore])
        words = {word for pattern, _ in patterns for word in _words(pattern.text, layout.fields)}
        self.saying = (words | foreign | _SAYING | SET_ASIDE) - names
        closed = [re.compile(each.regex, re.ASCII) for each in layout.fields.values() if each.choices is None]
        self.forms = [regex for regex in closed if not any(map(regex.fullmatch, _ANYTHING))]
        self.heads = _heads([(pattern.text, rule.label) for pattern, rule in rules], layout.fields)
        self.loose = [_loosened(pattern, layout.fields) for pattern, _ in rules]
        self.telling = tuple(isinstance(item, str) or bool(_choices(p.text, layout.fields)) for p, item in patterns)

    def take(self, path: str) -> _Take | None:
        """What the first rule (or table) says that takes this path; None where none does."""
        numbered: bool | None = None
        for match, (order, item) in self.takes.matches(path):
            if isinstance(item, str):
                return _Take(path, order, (item,), True)
            folder, _, name = path.rpartition("/")
            if item.kind == "frames" and numbered is None:
                numbered = frame_number(name) is not None
            if item.kind != "frames" or numbered:
                clip = folder if item.kind == "frames" else None
                return _Take(path, order, self._says(item, match.groupdict()), self.telling[order], clip)
        return None

    def knows(self, path: str) -> bool:
        """Is it a medium, a frame, a label file or a sidecar as it lies? (Not one that is a sidecar wherever it lies.)"""
        return self.take(path) is not None or self.other.first(path) is not None

    def _says(self, rule: Rule, raw: Mapping[str, str]) -> tuple[Any, ...]:
        """What a rule says of a medium, but for pair and groups, which move with it; a table's columns by their names."""
        values = _Open(raw)
        for name, each in self.layout.fields.items():
            if name in raw:
                values[name] = each.meaning(raw[name])

        def text(template: Template | None) -> str | None:
            return None if template is None else template.render(values)

        named = text(rule.method)
        method = self.layout.find_method(named) if named and "{" not in named else None
        return (
            rule.label, method.id if method else named, rule.kind, rule.faces, text(rule.compression), text(rule.target_id),
            text(rule.source_id), text(rule.split),
        )  # fmt: skip

    def ways(self, folders: tuple[str, ...], stem: int | None) -> list[_Way]:
        """Where a file of these folders may be taken to lie; `stem` is the place among them of an archive's name."""
        ways: list[_Way] = []
        if stem is not None:
            ways += [self._way(folders, {stem}, first=True), _Way("/".join(folders), first=True)]
        for count in range(1, len(folders) + 1):
            ways.append(self._way(folders, set(range(count))))
            if stem is not None and count <= stem:
                ways.append(self._way(folders, {*range(count), stem}))
        twice = [place for place, (a, b) in enumerate(pairwise(folders), 1) if a.casefold() == b.casefold()]
        ways += [self._way(folders, {place}) for place in twice if place > 0]
        ways += [_Way("/".join((head, *kept)), above=True) for kept in _starts(folders, stem) for head in self._above(kept)]
        seen: dict[str, _Way] = {}
        for way in ways:
            if self._idle(way):
                seen.setdefault(way.folder, way)
        return list(seen.values())

    def _way(self, folders: tuple[str, ...], gone: set[int], *, first: bool = False) -> _Way:
        kept = [name for place, name in enumerate(folders) if place not in gone]
        return _Way("/".join(kept), tuple(folders[place] for place in sorted(gone)), first)

    def _above(self, folders: tuple[str, ...]) -> Iterable[str]:
        """The folders that may be missing above these: such as do not decide whether a medium is real."""
        heads: Collection[tuple[str, str]] = self.heads.get(folders[0].casefold(), ()) if folders else ()
        return sorted({head for head, _ in heads}) if len({label for _, label in heads}) == 1 else ()

    def _idle(self, way: _Way) -> bool:
        """Do the removed folders say nothing? A name that rules know says something, unless it is still above the file."""
        names = [name.casefold() for name in self.strange(way)]
        return not any(name in self.saying or not name[0].isalnum() for name in names)

    def strange(self, way: _Way) -> list[str]:
        """The removed folders that are not above the file any more and bear no name of the dataset."""
        kept = {name.casefold() for name in way.folder.split("/")} | self.names
        return [name for name in way.removed if name.casefold() not in kept]

    def cost(self, way: _Way) -> int:
        """How many folders the way removes, those of the dataset's own name aside."""
        return sum(name.casefold() not in self.names for name in way.removed)

    def formed(self, way: _Way) -> bool:
        """Does the way remove a folder that could be the value of a field?"""
        return any(form.fullmatch(name) for name in self.strange(way) for form in self.forms)

    def unknown(self, path: str) -> bool:
        """Does the path lie as a medium would, but for a name in place of a choice? That name is then not to be left out."""
        return any(regex.regex.fullmatch(path) for regex in self.loose)


class _Open(dict[str, str]):
    """Values of fields; what a label file would say is its own name."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _masks(layout: Layout) -> Iterator[tuple[Pattern, str]]:
    """Where masks lie, as patterns; not those whose place only a label file tells."""
    for text in dict.fromkeys(mask.text for rule in layout.rules for mask in rule.masks):
        with suppress(LayoutError):
            yield compile_pattern(text, layout.fields), "mask"


def _choices(text: str, fields: Mapping[str, Field]) -> set[str]:
    """The fields of a pattern that are a whole folder, and one of some choices."""
    folders = (each[1:-1] for each in text.split("/")[:-1] if each.startswith("{"))
    return {name for name in folders if name in fields and fields[name].choices}


def _words(text: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """The names that folders have in a pattern, in lower case: fixed ones and choices."""
    for segment in text.split("/")[:-1]:
        each = fields.get(segment[1:-1]) if segment.startswith("{") else None
        if each is not None:
            yield from (part.casefold() for choice in each.choices or () for part in choice.split("/"))
        elif not any(mark in segment for mark in "{*"):
            yield segment.casefold()


def _heads(patterns: Iterable[tuple[str, str]], fields: Mapping[str, Field]) -> dict[str, set[tuple[str, str]]]:
    """The second folder of a pattern, in lower case -> its fixed first folder, and the label."""
    found: dict[str, set[tuple[str, str]]] = {}
    for text, label in patterns:
        first, *others = text.split("/")
        if len(others) > 1 and not any(mark in first for mark in "{*"):
            for word in _words(f"{others[0]}/x", fields):
                found.setdefault(word, set()).add((first, label))
    return found


def _starts(folders: tuple[str, ...], stem: int | None) -> Iterator[tuple[str, ...]]:
    if stem is not None:
        yield (*folders[:stem], *folders[stem + 1 :])
    yield folders


def _loosened(pattern: Pattern, fields: Mapping[str, Field]) -> Pattern:
    """The pattern with any name in place of a folder that is one of some choices."""
    closed = _choices(pattern.text, fields)
    loose = {
        name: replace(each, regex="[^/]+", choices=None, any_case=False) if name in closed else each
        for name, each in fields.items()
    }
    try:
        return compile_pattern(pattern.text, loose)
    except LayoutError:  # it would fit a name in too many ways
        return pattern


@dataclass
class _Found:
    """What came of the members of one archive."""

    lies: dict[str, str] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    there: int = 0
    differ: int = 0
    ambiguous: dict[str, str] = field(default_factory=dict)


class _Settling:
    """One dataset's files being settled: no two files come to one place, no clip has frames of two sources."""

    def __init__(self, guide: Guide, plain: Mapping[str, int]) -> None:
        self.guide = guide
        self.plain = plain
        self.lies: dict[str, str] = {}
        self.twice: set[str] = set()
        self.told: dict[str, str] = {}
        self.sizes = dict(plain)
        self.clips = {folder: folder for folder, _, name in (path.rpartition("/") for path in plain) if _is_frame(name)}
        self.ways = lru_cache(maxsize=4096)(guide.ways)
        self.named: dict[tuple[Any, ...], bool] = {}

    def all(self, inside: Mapping[str, Mapping[str, int]]) -> Settled:
        """Settle plain files first, then the archives in the order of their names."""
        hopeless: set[tuple[str, str]] = set()
        for path in self._strange():
            folder, _, name = path.rpartition("/")
            kind = (folder, name.rpartition(".")[2])
            if kind not in hopeless and not self._plain(path):
                hopeless.add(kind)
        unused = frozenset(archive for archive in sorted(inside) if not self._archive(archive, inside[archive]))
        return Settled(self.lies, frozenset(self.twice), unused, self.told)

    def _strange(self) -> Iterator[str]:
        """The files that nobody knows as they lie. One file of a folder and an ending speaks for all of these."""
        spoken: dict[tuple[str, str], bool] = {}
        for path in sorted(self.plain):
            folder, _, name = path.rpartition("/")
            if name.startswith(".") or not folder:
                continue
            kind = (folder, name.rpartition(".")[2])
            if kind not in spoken:
                spoken[kind] = self.guide.knows(path)
            if not spoken[kind] and not self.guide.knows(path):
                yield path

    def _plain(self, path: str) -> bool:
        """Is there something to be said of this file? One of a folder and an ending speaks for all of these."""
        folder, _, name = path.rpartition("/")
        take, _, reason = self._place(tuple(folder.split("/")), None, name)
        if take is None:
            self.told.update({path: reason} if reason else {})
        elif self._taken(take, folder):
            self.told[path] = f"the same as {take.path}, which is used: remove one of them"
        else:
            self._put(take, path, folder, self.plain[path])
        return take is not None or reason is not None

    def _taken(self, take: _Take, source: str) -> bool:
        """Is there a file, or a clip of another source, at this place already?"""
        return take.path in self.sizes or (take.folder is not None and self.clips.get(take.folder, source) != source)

    def _put(self, take: _Take, path: str, source: str, size: int) -> None:
        self.lies[take.path] = path
        self.sizes[take.path] = size
        if take.folder is not None:
            self.clips[take.folder] = source
            self.lies[take.folder] = path.rpartition("/")[0]

    def _archive(self, archive: str, members: Mapping[str, int]) -> bool:
        """Is anything read from this archive?"""
        found, root = _Found(), unpacked(archive).split("/")
        for member, size in sorted(members.items()):
            folder, _, name = member.rpartition("/")
            folders = (*root, *(folder.split("/") if folder else ()))
            take, way, reason = self._place(folders, len(root) - 1, name)
            if take is None or way is None:
                found.left.append(member)
                found.ambiguous.update({member: reason} if reason else {})
            elif self._taken(take, f"{archive}/{folder}"):
                found.there += 1
                found.differ += self.sizes.get(take.path) != size
                self.twice.add(f"{archive}/{member}")
            else:
                found.ways[_shape(folders, way)] += 1
                found.lies[take.path] = f"{archive}/{member}"
                self._put(take, f"{archive}/{member}", f"{archive}/{folder}", size)
        self._sidecars(archive, root, found)
        self._tell(archive, found)
        return bool(found.lies)

    def _sidecars(self, archive: str, root: list[str], found: _Found) -> None:
        """What no rule takes, where its neighbours say it lies, if `ignore` knows it there."""
        if not found.ways:
            return
        count, _, start = found.ways.most_common(1)[0][0].partition(":")
        left, found.left = found.left, []
        for member in left:
            folders = [*root, *member.split("/")]
            place = "/".join(filter(None, (start, *folders[int(count) :])))
            if place and place not in self.sizes and self.guide.ignored.first(place) is not None:
                found.lies[place] = self.lies[place] = f"{archive}/{member}"
            else:
                found.left.append(member)

    def _tell(self, archive: str, found: _Found) -> None:
        """What is to be known of an archive that is not simply read, or simply unpacked."""
        if found.ambiguous:
            member, reason = min(found.ambiguous.items())
            self.told[archive] = f"{len(found.ambiguous)} of its files are not used, such as {member}: {reason}"
        elif found.differ:
            self.told[archive] = (
                f"{found.differ} of its files are not those that lie unpacked, which are used: was unpacking cut? unpack it "
                "again, or remove what was unpacked"
            )
        elif found.there and found.lies:
            self.told[archive] = f"{found.there} of its files lie elsewhere too and are used from there; the others are read"
        elif not found.lies and not found.there:
            media = [each for each in found.left if _is_medium(each)]
            if media and not self._ignored(archive, media):
                self.told[archive] = f"none of its {len(media)} media is in a rule, such as {media[0]}: unpack it"

    def _ignored(self, archive: str, members: list[str]) -> bool:
        """Would all of these be sidecars, were the archive unpacked?"""
        root = unpacked(archive)
        above = root.rpartition("/")[0]
        bases = (f"{above}/" if above else "", f"{root}/")
        return all(any(self.guide.ignored.first(base + each) is not None for base in bases) for each in members)

    def _place(
        self, folders: tuple[str, ...], stem: int | None, name: str
    ) -> tuple[_Take, _Way, None] | tuple[None, None, str | None]:
        """The one place that takes a file, and the way there; or why there is none, if a person should know."""
        if len(folders) > _MOST_FOLDERS or name.startswith("."):
            return None, None, None
        offered = self.ways(folders, stem)
        for first in (True, False):
            ways = [(take, w) for w in offered if w.first is first and (take := self.guide.take(w.of(name))) is not None]
            if not ways:
                continue
            if any(not take.telling and self._named(folders, stem, way, name) for take, way in ways):
                return None, None, None
            if len({take.says for take, _ in ways}) > 1:
                ways = [(take, way) for take, way in ways if not self.guide.formed(way)] or ways
            if len({take.says for take, _ in ways}) > 1:
                places = " or ".join(sorted({take.path for take, _ in ways})[:3])
                return None, None, f"ambiguous: it could be {places}; put it where it belongs"
            take, way = ways[0] if first else min(ways, key=lambda each: (self.guide.cost(each[1]), each[0].order))
            return take, way, None
        return None, None, None

    def _named(self, folders: tuple[str, ...], stem: int | None, way: _Way, name: str) -> bool:
        """Is one of the folders that the way removes a name that stands in place of one that rules know? One file of a
        folder and an ending speaks for all of these."""
        key = (folders, way.folder, name.rpartition(".")[2])
        if key not in self.named:
            gone = set(self.guide.strange(way))
            longer = (
                "/".join((*start[at:], name))
                for start in (_starts(folders, stem) if gone else ())
                for at, folder in enumerate(start)
                if folder in gone
            )
            self.named[key] = any(
                len(path) > len(way.of(name)) and self.guide.unknown(path) and self.guide.take(path) is None
                for path in longer
            )
        return self.named[key]


def _shape(folders: tuple[str, ...], way: _Way) -> str:
    """A way as what its folder begins with, and how many of the file's own folders follow: what its neighbours share."""
    own, kept = list(folders), way.folder.split("/") if way.folder else []
    same = 0
    while same < min(len(own), len(kept)) and own[-1 - same] == kept[-1 - same]:
        same += 1
    return f"{len(own) - same}:{'/'.join(kept[: len(kept) - same])}"


def summary(lies: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """What lies beside its place, in short: (the folder or archive it lies in, the folder it is read as, how many)."""
    found: Counter[tuple[str, str]] = Counter()
    for place, path in lies.items():
        wanted, there = place.split("/"), path.split("/")
        while wanted and there and wanted[-1] == there[-1]:
            wanted.pop(), there.pop()
        found["/".join(there), "/".join(wanted)] += 1
    return [(there, wanted, count) for (there, wanted), count in sorted(found.items())]


def _is_frame(name: str) -> bool:
    return frame_number(name) is not None


def _is_medium(member: str) -> bool:
    name = member.rpartition("/")[2]
    return not name.startswith(".") and any(name.lower().endswith(suffix) for suffix in SUFFIXES)
