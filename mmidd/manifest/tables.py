"""Label files (JSON, CSV, TXT) as tables: a key per row and the columns that a manifest takes from it.

Label files are hostile input: sizes and nesting are bounded, nothing is evaluated, and a fault names the file, the
line and the way out. All values are text or null, exactly as written; an empty one is none.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mmidd.errors import ManifestError
from mmidd.manifest.layout import Field, Pattern, Template, expansions

MAX_LABEL_BYTES = 256 * 1024 * 1024
MAX_COLUMNS = 4096

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character: sound only in pairs."""

TableSource = Mapping[str, str | None]
Row = tuple["str | BadValue | None", ...]


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

    @property
    def reads(self) -> frozenset[str]:
        """The names in a row that its keys and columns ask for."""
        asked = (*self.keys, *(column.template for column in self.columns.values()))
        return frozenset(name for template in asked for name in template.names)

    def fields_of(self, path: str) -> dict[str, str] | None:
        """The fields of a label file's path; None where it is no file of this table."""
        return next((found for found in (each.match(path) for each in self.files) if found is not None), None)


@dataclass(frozen=True)
class Table:
    """The rows of all label files of a table that are there. `order` gives a column's place in a row."""

    spec: TableSpec
    order: Mapping[str, int]
    rows: Mapping[str, Row]
    files: tuple[str, ...]

    def row(self, key: str) -> Row | None:
        """The row of a key, or the row for unlisted keys; None where there is none."""
        found = self.rows.get(key)
        if found is None and self.spec.unlisted is not None:
            return tuple(self.spec.unlisted.get(name) for name in self.order)
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
    files: list[str] = []
    for path in sorted(paths):
        fields = spec.fields_of(path)
        if fields is None:
            continue
        files.append(path)
        for place, source in _sources(spec, path, read(path)):
            keys, row = _row(spec, place, {**source, **fields})
            row = shared.setdefault(row, row)
            for key in keys:
                if rows.setdefault(key, row) != row:
                    raise ManifestError(
                        f"{place}: '{key}' says other things than in {places.get(key, path)}; remove one of them"
                    )
        places.update(dict.fromkeys(rows.keys() - places.keys(), path))
    return Table(spec, order, rows, tuple(files))


def listed_keys(spec: TableSpec, paths: Iterable[str], read: Callable[[str], bytes]) -> Iterator[tuple[str | None, ...]]:
    """The keys of every row of the table's label files among `paths`, one for each of `spec.keys`.

    Raises ManifestError as `read_table` does.
    """
    for path in sorted(paths):
        fields = spec.fields_of(path)
        for place, source in _sources(spec, path, read(path)) if fields is not None else ():
            yield _keys(spec, place, {**source, **(fields or {})})


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


def _keys(spec: TableSpec, place: str, source: TableSource) -> tuple[str | None, ...]:
    try:
        return tuple(each.render(source) for each in spec.keys)
    except KeyError as error:
        raise _lacks(spec, place, source, error) from None


def _row(spec: TableSpec, place: str, source: TableSource) -> tuple[list[str], Row]:
    keys = _keys(spec, place, source)
    try:
        row = tuple(_value(column, place, source) for column in spec.columns.values())
    except KeyError as error:
        raise _lacks(spec, place, source, error) from None
    return [key for key in keys if key is not None], row


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
        return text
    return column.rename[text] if text in column.rename else BadValue(text, place)


def _sources(spec: TableSpec, path: str, data: bytes) -> Iterator[tuple[str, TableSource]]:
    if len(data) > MAX_LABEL_BYTES:
        raise ManifestError(f"{path}: a label file of {len(data):,} bytes; at most {MAX_LABEL_BYTES:,} are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text at byte {error.start}; download it again") from None
    form = path.rpartition(".")[2].lower()
    if form == "json":
        return _json_sources(spec, path, text)
    return _csv_sources(spec, path, text) if form == "csv" else _text_sources(spec, path, text)


def _json_sources(spec: TableSpec, path: str, text: str) -> Iterator[tuple[str, TableSource]]:
    data = _parse_json(path, text)
    for name in spec.at:
        if not isinstance(data, dict) or name not in data:
            raise ManifestError(f"{path}: no '{name}' in the JSON; is it the official file?")
        data = data[name]
    if spec.rows == "object":
        if not isinstance(data, dict):
            raise ManifestError(f"{path}: expected a JSON object of names, found {_shape(data)}")
        for key, value in data.items():
            yield f"{path}: '{key}'", {**_members(value), "key": key}
    else:
        if not isinstance(data, list):
            raise ManifestError(f"{path}: expected a JSON list, found {_shape(data)}")
        for index, value in enumerate(data):
            yield f"{path}: item {index}", _members(value)


def _parse_json(path: str, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ManifestError(f"{path}: '{twice}' stands twice in one JSON object; remove one of them")
        return found

    try:
        data = json.loads(text, object_pairs_hook=once, parse_int=str, parse_float=str, parse_constant=str)
        if _HALF.search(text):
            json.dumps(data, ensure_ascii=False).encode()
        return data
    except UnicodeEncodeError:
        raise ManifestError(
            f"{path}: holds half a character (an escape like \\ud800 alone); is it the official file?"
        ) from None
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise ManifestError(f"{where}: broken JSON ({error.msg}); download it again") from None
    except RecursionError:
        raise ManifestError(f"{path}: JSON nested too deep; is it the official file?") from None


def _members(value: Any) -> dict[str, str | None]:
    """A JSON value's plain members by name or position; a plain value itself as `value`."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if not isinstance(each, dict | list)}
    if isinstance(value, list):
        return {str(index): _plain(each) for index, each in enumerate(value) if not isinstance(each, dict | list)}
    return {"value": _plain(value)}


def _plain(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value).strip() and str(value)


def _shape(data: Any) -> str:
    return "an object" if isinstance(data, dict) else "a list" if isinstance(data, list) else "a plain value"


def _csv_sources(spec: TableSpec, path: str, text: str) -> Iterator[tuple[str, TableSource]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if not cells:
                continue
            if len(cells) > MAX_COLUMNS:
                raise ManifestError(f"{place}: {len(cells)} columns; is it the official file?")
            if spec.header and names is None:
                names = [cell.strip() for cell in cells]
                twice = {name for name, count in Counter(names).items() if count > 1} & spec.reads
                if twice:
                    raise ManifestError(f"{place}: column '{min(twice)}' is there twice; is it the official file?")
                continue
            if names is not None and len(cells) != len(names):
                raise ManifestError(f"{place}: {len(cells)} columns where the header has {len(names)}")
            yield place, _cells([cell.strip() for cell in cells], names)
    except csv.Error as error:
        raise ManifestError(f"{path}:{reader.line_num}: broken CSV ({error}); download it again") from None


def _text_sources(spec: TableSpec, path: str, text: str) -> Iterator[tuple[str, TableSource]]:
    count = spec.columns_in_line
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.split(None, count - 1) if count else line.split()
        if not cells:
            continue
        cells[-1] = cells[-1].rstrip()
        if count and len(cells) != count:
            raise ManifestError(f"{path}:{number}: {len(cells)} columns, expected {count}; is it the official file?")
        yield f"{path}:{number}", _cells(cells, None)


def _cells(cells: list[str], names: list[str] | None) -> dict[str, str | None]:
    found: dict[str, str | None] = {str(index): cell for index, cell in enumerate(cells)}
    if names:
        found.update(zip(names, cells, strict=True))
    return found
