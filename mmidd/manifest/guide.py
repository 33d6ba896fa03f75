"""What a layout knows of paths, without a look into label files: who would take one, and where else one may lie."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from mmidd.manifest.accounting import SPLITS, Heads, Layout, Rule, frame_number
from mmidd.manifest.layout import Field, LayoutError, Pattern, Template, compile_pattern

SET_ASIDE = frozenset(
    {"trash", "bin", "deleted", "removed", "rejected", "excluded", "exclude", "unused", "old", "older", "backup", "backups"}
    | {"bak", "bad", "broken", "corrupt", "corrupted", "damaged", "duplicate", "duplicates", "takedown", "takedowns"}
    | {"quarantine", "tmp", "temp"}
)
"""Folders that people move files to so that nobody uses them: what lies in one stays unused."""
_SAYING = frozenset({*SPLITS, "real", "fake"})
"""Folders that say something whatever the dataset."""
_ANYTHING = ("x", "Some folder", "a_b-c.d")
"""A field that takes one of these takes anything."""


@dataclass(frozen=True)
class Take:
    """A place that would take a file, and what would be said of it there. `folder`: it is a frame of that clip. `telling`:
    one of its folders is one of some choices, so that what is said does not hang on the folders above."""

    path: str
    order: int
    says: tuple[Any, ...]
    telling: bool
    folder: str | None = None

    @property
    def medium(self) -> bool:
        """Is it no label file, and no mask?"""
        return len(self.says) > 1


@dataclass(frozen=True)
class Way:
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

    def take(self, path: str) -> Take | None:
        """What the first rule (or table) says that takes this path; None where none does."""
        numbered: bool | None = None
        for match, (order, item) in self.takes.matches(path):
            if isinstance(item, str):
                return Take(path, order, (item,), True)
            folder, _, name = path.rpartition("/")
            if item.kind == "frames" and numbered is None:
                numbered = frame_number(name) is not None
            if item.kind != "frames" or numbered:
                clip = folder if item.kind == "frames" else None
                return Take(path, order, self._says(item, match.groupdict()), self.telling[order], clip)
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
            rule.label, method.id if method else named, rule.kind, rule.faces, rule.turn, text(rule.compression),
            text(rule.target_id), text(rule.source_id), text(rule.split), rule.inside,
        )  # fmt: skip

    def ways(self, folders: tuple[str, ...], stem: int | None) -> list[Way]:
        """Where a file of these folders may be taken to lie; `stem` is the place among them of an archive's name."""
        ways: list[Way] = []
        if stem is not None:
            ways += [self._way(folders, {stem}, first=True), Way("/".join(folders), first=True)]
        for count in range(1, len(folders) + 1):
            ways.append(self._way(folders, set(range(count))))
            if stem is not None and count <= stem:
                ways.append(self._way(folders, {*range(count), stem}))
        twice = [place for place, (a, b) in enumerate(pairwise(folders), 1) if a.casefold() == b.casefold()]
        ways += [self._way(folders, {place}) for place in twice if place > 0]
        ways += [Way("/".join((head, *kept)), above=True) for kept in starts(folders, stem) for head in self._above(kept)]
        seen: dict[str, Way] = {}
        for way in ways:
            if self._idle(way):
                seen.setdefault(way.folder, way)
        return list(seen.values())

    def _way(self, folders: tuple[str, ...], gone: set[int], *, first: bool = False) -> Way:
        kept = [name for place, name in enumerate(folders) if place not in gone]
        return Way("/".join(kept), tuple(folders[place] for place in sorted(gone)), first)

    def _above(self, folders: tuple[str, ...]) -> Iterable[str]:
        """The folders that may be missing above these: such as do not decide whether a medium is real."""
        heads: Collection[tuple[str, str]] = self.heads.get(folders[0].casefold(), ()) if folders else ()
        return sorted({head for head, _ in heads}) if len({label for _, label in heads}) == 1 else ()

    def _idle(self, way: Way) -> bool:
        """Do the removed folders say nothing? A name that rules know says something, unless it is still above the file."""
        names = [name.casefold() for name in self.strange(way)]
        return not any(name in self.saying or not name[0].isalnum() for name in names)

    def strange(self, way: Way) -> list[str]:
        """The removed folders that are not above the file any more and bear no name of the dataset."""
        kept = {name.casefold() for name in way.folder.split("/")} | self.names
        return [name for name in way.removed if name.casefold() not in kept]

    def cost(self, way: Way) -> int:
        """How many folders the way removes, those of the dataset's own name aside."""
        return sum(name.casefold() not in self.names for name in way.removed)

    def formed(self, way: Way) -> bool:
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


def starts(folders: tuple[str, ...], stem: int | None) -> Iterator[tuple[str, ...]]:
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
