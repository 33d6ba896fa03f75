"""Label files as tables: a key per row and the columns that a manifest takes from it. `labelfiles` reads their forms.

All values are text or null, as written but for blanks around them; an empty one is none, and so is NaN where the column may
say anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from mmidd.errors import ManifestError
from mmidd.manifest.labelfiles import Opened, TableSource, open_labels
from mmidd.manifest.layout import Field, Pattern, Template, expansions

MAX_LABEL_BYTES = 256 * 1024 * 1024

Keys = tuple[str | None, ...]
Row = tuple["str | BadValue | None", ...]


_NOT_A_NUMBER = ("NaN", "nan")
"""What pandas writes for none."""


class BadValue(NamedTuple):
    """A label file's value that the manifest's `as` does not know; what asks for it becomes unmatched."""

    text: str
    place: str


@dataclass(frozen=True)
class TableColumn:
    """One column: how to build it from a row, and the only values it may have where `rename` is given.

    A row that lacks an `optional` column has None there; of any other it is a fault of the file.
    """

    template: Template
    rename: Mapping[str, str] | None
    optional: bool


@dataclass(frozen=True)
class TableSpec:
    """How to read one table of a manifest.

    `files` are variants of where its label files lie. A row is addressed by `{0}`, `{1}` (positions), by its
    members or CSV headers, by the fields of the file's own path, in a JSON object also by `{key}`, and where a JSON
    value is plain by `{value}`. `unlisted` are the columns of keys without a row (None: such media are unmatched).
    `lists_more`: there are rows of files that the rules do not ask for, so a row says of no file that it is missing.
    `expects` are the rows that the official files have, by their paths. `forms` are the patterns of what the rules look up:
    a key that fits none of them can name no medium (none: nothing is known of keys).
    """

    name: str
    files: tuple[Pattern, ...]
    rows: Literal["list", "object"]
    at: tuple[str, ...]
    header: bool
    columns_in_line: int | None
    keys: tuple[Template, ...]
    columns: Mapping[str, TableColumn]
    required: bool
    unlisted: Mapping[str, str | None] | None
    lists_more: bool = False
    expects: Mapping[str, int] = field(default_factory=dict)
    forms: tuple[Pattern, ...] = ()

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names in a row that its keys and columns ask for."""
        asked = (*self.keys, *(column.template for column in self.columns.values()))
        return frozenset(name for template in asked for name in template.names)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Those of them that every row must have."""
        asked = (*self.keys, *(column.template for column in self.columns.values() if not column.optional))
        return frozenset(name for template in asked for name in template.names)

    def can_name(self, key: str) -> bool:
        """Does the key look like one that a rule may ask for?"""
        return not self.forms or any(form.regex.fullmatch(key) is not None for form in self.forms)

    def fields_of(self, path: str) -> dict[str, str] | None:
        """The fields of a label file's path; None where it is no file of this table."""
        return next((found for found in (each.match(path) for each in self.files) if found is not None), None)


@dataclass(frozen=True)
class LabelFile:
    """One label file as it was parsed: the sha256 of those very bytes, the keys of each row in order (one for each of
    `spec.keys`), and what was read otherwise than as written. `open_end`: its last line has no end."""

    path: str
    sha256: str
    keys: tuple[Keys, ...]
    notes: tuple[str, ...]
    open_end: bool


@dataclass(frozen=True)
class Table:
    """The rows of all label files of a table that are there. `order` gives a column's place in a row.

    `short`: the files have fewer rows than the official ones, so what no row names may have been in those that are gone.
    """

    spec: TableSpec
    order: Mapping[str, int]
    rows: Mapping[str, Row]
    files: tuple[LabelFile, ...]
    short: bool = False

    def row(self, key: str) -> Row | None:
        """The row of a key, or the row for unlisted keys; None where there is none."""
        found = self.rows.get(key)
        if found is None and self.spec.unlisted is not None:
            return tuple(None if self.short else self.spec.unlisted.get(name) for name in self.order)
        return found


def read_table(spec: TableSpec, paths: Iterable[str], read: Callable[[str], bytes]) -> Table:
    """Read every label file among `paths` (sorted here) into one table.

    The same key twice must say the same twice. Raises ManifestError for a file that is too large, broken, of another
    shape, or at odds with itself or another one.
    """
    order = {name: index for index, name in enumerate(spec.columns)}
    rows: dict[str, Row] = {}
    shared: dict[Row, Row] = {}
    places: dict[str, str] = {}
    files: list[LabelFile] = []
    for path in sorted(paths):
        fields = spec.fields_of(path)
        if fields is None:
            continue
        data = read(path)
        opened, slips = _open(spec, path, data, fields), Slips()
        listed: list[Keys] = []
        for place, source in opened.rows:
            found = {**source, **fields}
            keys, row = _keys(spec, place, found, fields, slips), _row(spec, place, found)
            row = shared.setdefault(row, row)
            listed.append(keys)
            for key in keys:
                if key is not None and rows.setdefault(key, row) != row:
                    raise ManifestError(
                        f"{place}: '{key}' says other things than in {places.get(key, path)}; remove one of them"
                    )
        places.update(dict.fromkeys(rows.keys() - places.keys(), path))
        notes = (*opened.notes, *slips.notes())
        files.append(LabelFile(path, hashlib.sha256(data).hexdigest(), tuple(listed), notes, opened.open_end))
    return Table(spec, order, rows, tuple(files))


def listed_keys(spec: TableSpec, paths: Iterable[str], read: Callable[[str], bytes]) -> Iterator[Keys]:
    """The keys of every row of the table's label files among `paths`, one for each of `spec.keys`.

    Raises ManifestError as `read_table` does.
    """
    for path in sorted(paths):
        fields = spec.fields_of(path)
        if fields is not None:
            for place, source in _open(spec, path, read(path), fields).rows:
                yield _keys(spec, place, {**source, **fields}, fields, Slips())


def _open(spec: TableSpec, path: str, data: bytes, fields: Mapping[str, str]) -> Opened:
    if len(data) > MAX_LABEL_BYTES:
        raise ManifestError(f"{path}: a label file of {len(data):,} bytes; at most {MAX_LABEL_BYTES:,} are read")
    return open_labels(spec, path, data, fields)


def missing_files(spec: TableSpec, fields: Mapping[str, Field], present: Iterable[str]) -> list[str]:
    """The label files that a table should have and `present` lacks: one path for each set of field values.

    A variant with fewer fields (one file for all splits) stands for every set it agrees with. Open fields say nothing.
    """
    there = set(present)
    variants = [each for pattern in spec.files for each in expansions(pattern.text, fields) or ()]
    wanted: dict[frozenset[tuple[str, str]], str] = {}
    served: set[frozenset[tuple[str, str]]] = set()
    for chosen, path in variants:
        values = frozenset((name, fields[name].rename.get(value, value)) for name, value in chosen.items())
        wanted.setdefault(values, path)
        if path in there:
            served.add(values)
    return sorted(
        path
        for values, path in wanted.items()
        if not any(values < other for other in wanted) and not any(each <= values for each in served)
    )


@dataclass
class Slips:
    """Names in one label file that were read as other tools write paths: how many, and the first."""

    count: int = 0
    first: str = ""

    def notes(self) -> tuple[str, ...]:
        """What is to be said of them."""
        told = f"{self.count:,} names read as paths, without backslashes, ./ or quotes, the first {self.first!r}"
        return (told,) if self.count else ()


def _keys(spec: TableSpec, place: str, source: TableSource, fields: Mapping[str, str], slips: Slips) -> Keys:
    """The keys of a row. Names that are spelled as no path here is, and fit one in its spelling, are read as that."""
    try:
        keys = tuple(each.render(source) for each in spec.keys)
        if not any(key and ("\\" in key or "./" in key or '"' in key) for key in keys):
            return keys
        mended = {name: text and _as_path(text) for name, text in source.items()} | dict(fields)
        others = tuple(each.render(mended) for each in spec.keys)
    except KeyError as error:
        raise _lacks(spec, place, source, error) from None
    if others == keys or any(key and spec.forms and spec.can_name(key) for key in keys):
        return keys
    if not any(key and spec.can_name(key) for key in others):
        return keys
    slips.count, slips.first = slips.count + 1, slips.first or next(key for key in keys if key)
    return others


def _as_path(text: str) -> str:
    name = text.strip('" ').replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name


def _row(spec: TableSpec, place: str, source: TableSource) -> Row:
    try:
        return tuple(_value(column, place, source) for column in spec.columns.values())
    except KeyError as error:
        raise _lacks(spec, place, source, error) from None


def _lacks(spec: TableSpec, place: str, source: TableSource, error: KeyError) -> ManifestError:
    has = ", ".join(sorted(source)[:12]) or "nothing"
    return ManifestError(f"{place}: no '{error.args[0]}' here (table '{spec.name}'); has {has}; is it the official file?")


def _value(column: TableColumn, place: str, source: TableSource) -> str | BadValue | None:
    if column.optional and any(name not in source for name in column.template.names):
        return None
    text = column.template.render(source)
    if column.rename is not None and any(source[name] == "" for name in column.template.names):
        return BadValue("", place)
    if column.rename is None or text is None:
        return None if text in _NOT_A_NUMBER else text
    return column.rename[text] if text in column.rename else BadValue(text, place)
