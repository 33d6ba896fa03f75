"""YAML as plain data with line numbers: the front door of recipes and manifests.

Only scalars, lists and mappings come through; everything in YAML that can surprise (anchors, tags, duplicate keys,
`no` meaning false, `12:30` meaning 750) is an error or plain text. Faults name the file and the line.
"""

from __future__ import annotations

import errno
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from mmidd.errors import MmiddError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: twenty times as fast."""

MAX_BYTES = 256_000
MAX_DEPTH = 32

Path = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_HALF = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 40
_MOST_FAULTS = 20
_MOST_SHOWN = 200


class YamlError(MmiddError):
    """A YAML text that is not the plain subset mmidd reads. `source` is the file's name, `line` counts from 1."""

    def __init__(self, source: str, line: int | None, message: str) -> None:
        super().__init__(f"{place(source, line)}: {message}")
        self.source = source
        self.line = line


@dataclass(frozen=True)
class Document:
    """Parsed YAML (a mapping, a list or a scalar) and the line (from 1) of each of its keys and list items."""

    data: Any
    lines: dict[Path, int] = field(repr=False)

    def line(self, path: Path) -> int | None:
        """The line of the key or item at `path`; None where the document has none."""
        return self.lines.get(path)

    def nearest_line(self, path: Path) -> int | None:
        """The line of the deepest part of `path` that the document has."""
        found = (self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)
        return next(found, None)


def place(source: str, line: int | None) -> str:
    """`file:line`, or the file alone where the line is unknown."""
    return source if line is None else f"{source}:{line}"


def read_text(path: pathlib.Path) -> str:
    """The text of a YAML file. Raises UnicodeDecodeError, and OSError also for what is no regular file; of a file that is
    too large for `load` it gives no more than shows that."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 4)
    return data.decode("utf-8", "strict" if len(data) <= MAX_BYTES else "ignore")


def load(text: str, source: str) -> Document:
    """Parse one YAML document.

    Scalars are typed as in YAML 1.2's core schema: true/false, null, integers, decimal floats; all else, and
    everything quoted, is text. Keys are always the written text. Raises YamlError for broken YAML, anchors, aliases,
    tags, duplicate keys, nesting beyond MAX_DEPTH and texts beyond MAX_BYTES.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise YamlError(source, None, f"larger than {MAX_BYTES:,} bytes")
    if (half := _HALF.search(text)) is not None:
        raise YamlError(source, text.count("\n", 0, half.start()) + 1, "not text: half a character")
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "broken YAML"
        raise YamlError(source, mark.line + 1 if mark else None, problem) from None
    except yaml.YAMLError as error:
        raise YamlError(source, None, str(error).splitlines()[0]) from None
    return Document(builder.root, builder.lines)


def scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted YAML scalar under the core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


@dataclass
class _Open:
    """A mapping or list that is still being read."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


class _Builder:
    """Builds plain data from YAML events without recursion, so that no nesting can exhaust the stack."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Any = None
        self.lines: dict[Path, int] = {}
        self.stack: list[_Open] = []
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise YamlError(self.source, line, "more than one document (`---`) in the file")
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._refuse(event, line)
            self._node(event, line)

    def _refuse(self, event: yaml.NodeEvent, line: int) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise YamlError(self.source, line, "anchors and aliases (`&name`, `*name`) are not allowed; write it out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise YamlError(self.source, line, f"tags ({_short(event.tag)}) are not allowed")

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, top, line)
            return
        path = self._place(top, line)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = scalar(event.value) if event.implicit[0] else event.value
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        if top is None:
            self.root = value
        elif isinstance(top.value, dict):
            top.value[str(top.key)] = value
            top.key = None
        else:
            top.value.append(value)
        if isinstance(value, dict | list):
            self._open(_Open(value, path), line)

    def _key(self, event: yaml.NodeEvent, top: _Open, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError(self.source, line, "a key must be plain text")
        if event.value in top.value:
            first = self.lines[(*top.path, event.value)]
            raise YamlError(self.source, line, f"key '{_short(event.value)}' is already on line {first}")
        top.key = event.value
        self.lines[(*top.path, event.value)] = line

    def _place(self, top: _Open | None, line: int) -> Path:
        if top is None:
            self.lines[()] = line
            return ()
        if isinstance(top.value, dict):
            return (*top.path, str(top.key))
        path = (*top.path, len(top.value))
        self.lines[path] = line
        return path

    def _open(self, opened: _Open, line: int) -> None:
        self.stack.append(opened)
        if len(self.stack) > MAX_DEPTH:
            raise YamlError(self.source, line, f"nested deeper than {MAX_DEPTH} levels")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely means, whatever the case; None when none is close."""
    by_fold: dict[str, str] = {}
    for candidate in known:
        by_fold.setdefault(candidate.casefold(), candidate)
    close = get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence for an unknown name: the nearest known one, or the list of them all."""
    names = sorted(known)
    close = nearest(name, names)
    way_out = f"did you mean '{close}'?" if close else f"known: {', '.join(names) or 'none'}"
    return f"{kind} '{name}': unknown; {way_out}"


def dotted(path: Iterable[str | int]) -> str:
    """A place in a document as people write it: `rules[2].path`."""
    return "".join(_dotted_parts(path))


def _dotted_parts(path: Iterable[str | int]) -> Iterator[str]:
    for index, part in enumerate(path):
        if isinstance(part, int):
            yield f"[{part}]"
        else:
            yield f".{part}" if index else part


def explain(error: ValidationError, document: Document, source: str, fields: type[BaseModel]) -> str:
    """A pydantic error as lines a person can act on, e.g. `r.yaml:3: key 'fram': unknown; did you mean 'frames'?`.

    `fields` is the model that `document` was validated against: its tree says which keys are known at each place.
    """
    lines: dict[tuple[int, str], None] = {}
    items = error.errors(include_url=False, include_context=False)
    for item in items[:_MOST_FAULTS]:
        where = _keys(item["loc"], document.data, fields, absent=item["type"] in ("missing", "extra_forbidden"))
        line = document.nearest_line(where)
        lines[line or 0, f"{place(source, line)}: {_sentence(item, where, fields)}"] = None
    more = [f"{source}: and {len(items) - _MOST_FAULTS} more faults"] if len(items) > _MOST_FAULTS else []
    return "\n".join([*(text for _, text in sorted(lines)), *more])


def _keys(loc: Sequence[str | int], data: Any, fields: type[BaseModel], *, absent: bool) -> Path:
    """The error's place without the names that pydantic adds for members of a union.

    Keys that are not in the document (a default, a setting from elsewhere) count where the model tree knows them, and
    the last one if the error is about an `absent` or unknown key.
    """
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(data, dict) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif isinstance(part, int) or part in known_keys(fields, tuple(path)) or (absent and index == len(loc) - 1):
            data = None
        else:
            continue
        path.append(part)
    return tuple(path)


def _sentence(item: Any, where: Path, fields: type[BaseModel]) -> str:
    key = _short(dotted(where))
    if item["type"] == "extra_forbidden":
        name = str(where[-1])
        elsewhere = _one_below(fields, name) if len(where) == 1 else None
        if elsewhere is not None:
            return f"key '{_short(name)}': unknown; did you mean '{elsewhere}'?"
        return unknown("key", _short(name), known_keys(fields, where[:-1]))
    if item["type"] == "missing":
        return f"key '{key}': missing"
    if item["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key or 'the file'}: expected keys with values (`key: value`)"
    message = "input should be a list" if item["type"] == "tuple_type" else item["msg"].removeprefix("Value error, ")
    message = _short(message, 2000)
    given = item.get("input")
    shown = (
        ""
        if where[-1:] == ("base_url",)  # it may hold a key
        else f" (got {_short(repr(given))})"
        if isinstance(given, str | int | float | bool)
        else " (got nothing)"
        if given is None
        else ""
    )
    return f"key '{key}': {message[:1].lower()}{message[1:]}{shown}" if key else message


def _one_below(fields: type[BaseModel], name: str) -> str | None:
    """The one key of exactly this name a level below the top, as `crop.border` for `border`."""
    found = [dotted((above, name)) for above in known_keys(fields, ()) if name in known_keys(fields, (above,))]
    return found[0] if len(found) == 1 else None


def _short(text: str, most: int = _MOST_SHOWN) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def known_keys(fields: type[BaseModel], path: Path) -> set[str]:
    """The keys that the model tree `fields` allows at `path`."""
    kinds: list[Any] = [fields]
    for part in path:
        kinds = [inner for kind in kinds for inner in _step(kind, part)]
    models = [kind for kind in kinds if _is_model(kind)]
    return {info.alias or name for model in models for name, info in model.model_fields.items()}


def _step(kind: Any, part: str | int) -> Iterator[Any]:
    """The types that a key or an index of a value of type `kind` may have."""
    if _is_model(kind):
        for name, info in kind.model_fields.items():
            if part in (name, info.alias):
                yield from _members(info.annotation)
    elif isinstance(part, int):
        yield from (inner for argument in get_args(kind) for inner in _members(argument))
    elif get_origin(kind) is not None and len(get_args(kind)) == 2:
        yield from _members(get_args(kind)[1])


def _members(kind: Any) -> Iterator[Any]:
    """`kind` itself, or the members of a union, without `Annotated` around them."""
    if get_origin(kind) is Annotated:
        yield from _members(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        yield from (inner for member in get_args(kind) for inner in _members(member))
    else:
        yield kind


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
