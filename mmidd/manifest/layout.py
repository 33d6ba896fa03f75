"""The path language of manifests: fields, patterns that recognise paths, templates that build text from fields.

A pattern is literal text, `{field}`, `*` (inside one folder or file name) and `**` (any folders). It is compiled once
to an anchored, case-sensitive regular expression in which no repeat holds another, so matching stays polynomial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from mmidd.manifest.ambiguity import MOST_BITS, bits
from mmidd.media import composed

MAX_REGEX = 200
MAX_EXPANSIONS = 256
MAX_SEGMENT = 255

_TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*/)|(\*\*)|(\*)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ANY_NAME = r"[^/]*"


class LayoutError(ValueError):
    """A field, pattern or template of a manifest that cannot be compiled; the message says why."""


@dataclass(frozen=True)
class Field:
    """What a `{field}` of a pattern may hold: a regular expression, for choices also the list of them.

    `rename` maps spellings found on disk to the values that rules see (c0 -> raw). With `any_case` a choice may be
    spelled in any case; rules see the choice.
    """

    name: str
    regex: str
    choices: tuple[str, ...] | None
    rename: Mapping[str, str]
    any_case: bool = False

    def meaning(self, found: str) -> str:
        """What rules see of a value that was found in a path."""
        if self.any_case:
            found = next(each for each in self.choices or () if each.casefold() == found.casefold())
        return self.rename.get(found, found)

    def values(self) -> frozenset[str] | None:
        """Every value rules can see of this field; None where it is open."""
        return None if self.choices is None else frozenset(self.rename.get(each, each) for each in self.choices)


@dataclass(frozen=True)
class Pattern:
    """A compiled path pattern. `heads` are its possible first path segments in lower case, None where they are open."""

    text: str
    regex: re.Pattern[str]
    fields: frozenset[str]
    heads: frozenset[str] | None

    def match(self, path: str) -> dict[str, str] | None:
        """The fields of a path that matches as a whole, spelled as on disk; None where it does not match."""
        found = self.regex.fullmatch(path)
        return found.groupdict() if found else None


def make_field(
    name: str,
    pattern: str | None,
    choices: Iterable[str] | None = None,
    rename: Mapping[str, str] | None = None,
    *,
    path: bool = False,
    any_case: bool = False,
) -> Field:
    """A field from a regular expression or a list of choices; only a `path` field may span folders.

    Raises LayoutError for names, expressions or choices that are not allowed.
    """
    if not _NAME.fullmatch(name):
        raise LayoutError(f"field name '{name}' must be lower-case letters, digits and _ ")
    if (pattern is None) == (choices is None):
        raise LayoutError(f"field '{name}' needs either a pattern or choices")
    if any_case and not all(each.isascii() for each in choices or ("é",)):
        raise LayoutError(f"field '{name}': 'any_case' is for choices of ASCII letters")
    if pattern is not None:
        _check_regex(name, pattern, path)
        return Field(name, pattern, None, dict(rename or {}))
    listed = tuple(choices or ())
    if not listed or any(not each or ("/" in each and not path) for each in listed):
        raise LayoutError(f"field '{name}': choices must be names without '/'")
    strange = set(rename or {}) - set(listed)
    if strange:
        raise LayoutError(f"field '{name}': 'as' names no choice: {', '.join(sorted(strange))}")
    if any_case and len({each.casefold() for each in listed}) < len(listed):
        raise LayoutError(f"field '{name}': with 'any_case' two choices are the same")
    spelled = _in_any_case if any_case else re.escape
    regex = "|".join(spelled(each) for each in sorted(listed, key=lambda each: (-len(each), each)))
    return Field(name, regex, listed, dict(rename or {}), any_case)


def _in_any_case(text: str) -> str:
    return "".join(f"[{each.lower()}{each.upper()}]" if each.isalpha() else re.escape(each) for each in text)


def _check_regex(name: str, pattern: str, path: bool) -> None:
    """Refuse what could run away or cross folders: groups that capture or repeat, look-arounds, `.` and the like."""
    try:
        compiled = re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise LayoutError(f"field '{name}': '{pattern}' is no regular expression: {error}") from None
    bare = re.sub(r"\\.", "~", re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "~", pattern))
    if len(pattern) > MAX_REGEX or compiled.groups or re.search(r"\(\?(?!:)|\)[*+{]", bare):
        raise LayoutError(
            f"field '{name}': only plain expressions are allowed: no capturing or repeated groups, "
            f"no look-around, at most {MAX_REGEX} characters"
        )
    if compiled.fullmatch(""):
        raise LayoutError(f"field '{name}': '{pattern}' matches nothing at all; a field must hold something")
    open_class = any("/" not in each for each in re.findall(r"(?<!\\)\[\^((?:\\.|[^\]\\])*)\]", pattern))
    crosses = "." in bare or "/" in bare or open_class or re.search(r"\\[SDW]", pattern)
    if crosses and not path:
        raise LayoutError(f"field '{name}': '{pattern}' could match '/'; write '[^/]+' or declare `path: true`")


def compile_pattern(text: str, fields: Mapping[str, Field]) -> Pattern:
    """Compile a path pattern; raises LayoutError for an unknown field or a path that is not plain and relative."""
    _check_path(text)
    pieces: list[str] = []
    seen: set[str] = set()
    end = 0
    for token in _TOKEN.finditer(text):
        pieces.append(re.escape(text[end : token.start()]))
        pieces.append(_piece(token, fields, seen))
        end = token.end()
    pieces.append(re.escape(text[end:]))
    if text.count("**") > 2:
        raise LayoutError(f"'{text}': at most two ** in a pattern")
    regex = "".join(pieces)
    if bits(regex) > MOST_BITS:
        raise LayoutError(f"'{text}' fits a name in too many ways; put fixed text between its open parts, or fewer of them")
    return Pattern(text, re.compile(regex, re.ASCII | re.DOTALL), frozenset(seen), _heads(text, fields))


def _check_path(text: str) -> None:
    parts = text.split("/")
    if not text or "\\" in text or any(part in ("", ".", "..") for part in parts):
        raise LayoutError(f"'{text}' is no plain relative path with '/'")
    if "{" in _TOKEN.sub("", text) or "}" in _TOKEN.sub("", text):
        raise LayoutError(f"'{text}': a brace is not closed")


def _piece(token: re.Match[str], fields: Mapping[str, Field], seen: set[str]) -> str:
    name = token.group(1)
    if name is None:
        if token.group(2):
            return "(?:[^/]+/)*"
        return ".+" if token.group(3) else _ANY_NAME
    if name not in fields:
        raise LayoutError(f"no field '{name}'; fields: {', '.join(sorted(fields)) or 'none'}")
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{fields[name].regex})"


def _heads(text: str, fields: Mapping[str, Field]) -> frozenset[str] | None:
    plain = {name: replace(field, any_case=False) for name, field in fields.items()}
    found = expansions(text.split("/")[0], plain)
    return None if found is None else frozenset(head.split("/")[0].lower() for _, head in found)


def expansions(text: str, fields: Mapping[str, Field]) -> list[tuple[dict[str, str], str]] | None:
    """Every path a pattern can stand for with its field values, or None where a part is open or they are too many."""
    names = list(dict.fromkeys(token.group(1) for token in _TOKEN.finditer(text)))
    choices = [fields[name].choices if name in fields and not fields[name].any_case else None for name in names]
    count = 1
    for each in choices:
        if each is None:
            return None
        count *= len(each)
    if count > MAX_EXPANSIONS:
        return None
    combinations = (dict(zip(names, chosen, strict=True)) for chosen in product(*(each or () for each in choices)))
    return [(chosen, _TOKEN.sub(lambda token: chosen[token.group(1)], text)) for chosen in combinations]  # noqa: B023


@dataclass(frozen=True)
class Template:
    """Text with `{name}` places. `parts` alternates literal text and names, beginning with text."""

    text: str
    parts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the template reads, in order."""
        return self.parts[1::2]

    def render(self, values: Mapping[str, str | None]) -> str | None:
        """The filled text, composed (Unicode's NFC); None where one of its names has no value, or an empty one.

        Raises KeyError for a name that `values` lacks.
        """
        parts = self.parts
        if len(parts) == 3 and not parts[0] and not parts[2]:
            return composed(values[parts[1]] or "") or None
        out = [parts[0]]
        for index in range(1, len(parts), 2):
            value = values[parts[index]]
            if not value:
                return None
            out.append(value)
            out.append(parts[index + 1])
        return composed("".join(out))


@lru_cache(maxsize=4096)
def compile_template(text: str) -> Template:
    """Split a template at its `{name}` places; raises LayoutError where a brace is not closed or a name is empty."""
    parts = re.split(r"\{([^{}]*)\}", text)
    if any("{" in part or "}" in part for part in parts[0::2]) or "" in parts[1::2]:
        raise LayoutError(f"'{text}': a brace is not closed, or a name is missing")
    return Template(text, tuple(parts))


def path_fault(path: str) -> str | None:
    """Why a path cannot name a medium (not relative, leaves its root, not UTF-8, too long a name); None if it can."""
    if not path.isascii() and not _is_utf8(path):
        return "name is not UTF-8"
    if not path or path[0] == "/" or "\0" in path:
        return "not a plain relative path"
    if "." in path and any(part in (".", "..") for part in path.split("/")):
        return "not a plain relative path"
    if "//" in path or path[-1] == "/":
        return "not a plain relative path"
    if len(path) > MAX_SEGMENT and max(map(len, path.split("/"))) > MAX_SEGMENT:
        return f"a name longer than {MAX_SEGMENT} characters"
    return None


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
