"""A label file's bytes as rows of text: JSON, CSV or TXT, in the encodings and forms that people's tools write.

Label files are hostile input: nesting and columns are bounded, nothing is evaluated, and a fault names the file, the
line and the way out. What is read otherwise than as written (another encoding, semicolons) is noted.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mmidd.errors import ManifestError
from mmidd.media import composed

MAX_COLUMNS = 4096

TableSource = Mapping[str, str | None]

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character: sound only in pairs."""

_MARKS = {
    codecs.BOM_UTF8: ("utf-8", None),
    codecs.BOM_UTF16_LE: ("utf-16-le", "read as UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16-be", "read as UTF-16"),
}
_SEP = re.compile(r"\s*sep=([;,\t])\s*")
"""Excel's first line that says what cuts the columns."""


class Shape(Protocol):
    """What is to be known of a table to read its files: `tables.TableSpec` is one."""

    @property
    def rows(self) -> Literal["list", "object"]: ...
    @property
    def at(self) -> tuple[str, ...]: ...
    @property
    def header(self) -> bool: ...
    @property
    def columns_in_line(self) -> int | None: ...
    @property
    def reads(self) -> frozenset[str]:
        """The names in a row that the table asks for."""

    @property
    def needs(self) -> frozenset[str]:
        """Those of them that every row must have."""


@dataclass(frozen=True)
class Opened:
    """A label file's rows as they come, each with its place; `notes` says what was read otherwise than as written.

    `open_end`: the last line has no end, as where a download was cut (and in some sound files).
    """

    rows: Iterator[tuple[str, TableSource]]
    notes: tuple[str, ...]
    open_end: bool


def open_labels(spec: Shape, path: str, data: bytes, fields: Collection[str]) -> Opened:
    """Read a label file's bytes; `fields` are the names that its path gives. Raises ManifestError, also while rows come."""
    form = path.rpartition(".")[2].lower()
    needed = spec.needs - set(fields)
    text, note = _decoded(path, data, needed)
    text = composed(text)
    notes = [note] if note else []
    if form == "json":
        return Opened(_json_sources(spec, path, text), tuple(notes), open_end=False)
    open_end = bool(text) and text[-1] not in "\r\n"
    if form != "csv":
        return Opened(_text_sources(spec, path, text), tuple(notes), open_end)
    delimiter, begin = _delimiter(text, needed, header=spec.header)
    if delimiter != ",":
        notes.append("read with tabs between columns" if delimiter == "\t" else "read with ; between columns")
    return Opened(_csv_sources(spec, path, text[begin:], delimiter), tuple(notes), open_end)


def _decoded(path: str, data: bytes, needed: Collection[str]) -> tuple[str, str | None]:
    """The text of a label file, and what is to be said of its encoding."""
    for mark, (encoding, note) in _MARKS.items():
        if data.startswith(mark):
            return _strictly(path, data, encoding, len(mark)), note
    if b"\0" in data:
        low, high = data[0::2].count(0), data[1::2].count(0)  # of UTF-16, ASCII has all zeros on one side
        return _strictly(path, data, "utf-16-le" if high > low else "utf-16-be"), "read as UTF-16, which nothing in it says"
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        korean = _korean(data)
        foreign = [name for name in needed if not name.isascii()]
        if korean is not None and foreign and all(name in korean.lstrip().partition("\n")[0] for name in foreign):
            return korean, "read as CP949"
        way = "download it again" if korean is None else "if it was saved in another encoding (CP949?), save it as UTF-8"
        raise ManifestError(f"{path}: not UTF-8 text at byte {error.start}; {way}") from None


def _strictly(path: str, data: bytes, encoding: str, begin: int = 0) -> str:
    try:
        text = data[begin:].decode(encoding)
    except UnicodeDecodeError as error:
        at = 0 if encoding != "utf-8" else begin + error.start
        raise ManifestError(f"{path}: not UTF-8 text at byte {at}, nor sound UTF-16; download it again") from None
    if "\0" in text:
        raise ManifestError(f"{path}: holds zero bytes and is no text; download it again")
    return text


def _korean(data: bytes) -> str | None:
    try:
        return data.decode("cp949")
    except UnicodeDecodeError:
        return None


def _json_sources(spec: Shape, path: str, text: str) -> Iterator[tuple[str, TableSource]]:
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
        data = json.loads(text, object_pairs_hook=once, parse_int=str, parse_float=str, parse_constant=lambda _: None)
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
    return None if value is None else str(value).strip()


def _shape(data: Any) -> str:
    return "an object" if isinstance(data, dict) else "a list" if isinstance(data, list) else "a plain value"


def _delimiter(text: str, needed: AbstractSet[str], *, header: bool) -> tuple[str, int]:
    """What cuts the columns: the first of comma, semicolon and tab that gives all that is needed; and where they begin."""
    begin = len(text) - len(text.lstrip())
    first = text[begin:].partition("\n")[0].rstrip("\r")
    stated = _SEP.fullmatch(first)
    if stated:
        return stated[1], begin + len(first)
    for each in ",;\t":
        try:
            cells = [cell.strip() for cell in next(csv.reader([first], delimiter=each), [])]
        except csv.Error:
            break
        names = {str(index) for index in range(len(cells))} | set(cells if header else ())
        if needed <= names:
            return each, 0
    return ",", 0


def _csv_sources(spec: Shape, path: str, text: str, delimiter: str) -> Iterator[tuple[str, TableSource]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
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


def _text_sources(spec: Shape, path: str, text: str) -> Iterator[tuple[str, TableSource]]:
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
