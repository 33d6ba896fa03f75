"""How often a path pattern can be tried in vain: a bound on backtracking, so that no file name makes matching run away."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_BITS = 24
"""At most 2**24 ways to lay a pattern over a path: a few seconds for the worst name, hardly any for others."""

_TOKEN = re.compile(
    r"(?P<folders>\(\?:\[\^/\]\+/\)\*)|(?P<back>\(\?P=\w+\))|(?P<open>\(\?P<\w+>|\(\?:)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<atom>\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|[^\\])",
    re.DOTALL,
)
_REPEAT = re.compile(r"\{(\d*)(,?)(\d*)\}|[*+?]")
_IN_NAME, _ACROSS, _FOLDERS = 8, 12, 4  # names have up to 2**8 characters, paths up to 2**12


def bits(regex: str) -> int:
    """The base-2 logarithm of the ways in which `regex` (as `compile_pattern` writes it) can be laid over a path.

    A repeat adds nothing where whatever may follow it cannot be a part of it, as in `[0-9]+_`: it ends in one place only.
    """
    tokens = _tokens(regex)
    ends = _ends(tokens)
    return sum(_cost(*each, [tokens[other][0] for other in _next(place, tokens, ends)]) for place, each in enumerate(tokens))


_Tokens = list[tuple[re.Match[str], str]]


def _tokens(regex: str) -> _Tokens:
    """Each token with its repeat."""
    found: _Tokens = []
    at = 0
    while at < len(regex) and (token := _TOKEN.match(regex, at)):
        repeat = _REPEAT.match(regex, token.end()) if token["atom"] or token["close"] else None
        at = (repeat or token).end()
        found.append((token, repeat[0] if repeat else ""))
    return found


def _ends(tokens: _Tokens) -> dict[int, int]:
    """The place of each group's end by that of its beginning."""
    found: dict[int, int] = {}
    inside: list[int] = []
    for place, (token, _) in enumerate(tokens):
        if token["open"]:
            inside.append(place)
        elif token["close"]:
            found[inside.pop()] = place
    return found


def _next(place: int, tokens: _Tokens, ends: dict[int, int]) -> Iterator[int]:
    """The places of what may follow a token: several where something may be left out."""
    seen: set[int] = set()
    ahead = [place + 1]
    while ahead:
        at = ahead.pop()
        if at in seen or at >= len(tokens):
            continue
        seen.add(at)
        token, repeat = tokens[at]
        if token["open"] and tokens[ends[at]][1]:
            ahead.append(ends[at])
        if token["open"] or token["close"] or token["folders"] or _may_lack(repeat):
            ahead.append(at + 1)
        if not token["open"] and not token["close"]:
            yield at


def _may_lack(repeat: str) -> bool:
    return repeat[:1] in ("*", "?") if repeat[:1] != "{" else repeat.startswith(("{0", "{,"))


def _cost(token: re.Match[str], repeat: str, following: list[re.Match[str]]) -> int:
    if token["folders"]:
        return _FOLDERS
    if token["or"]:
        return 0 if _told_apart(token) else 1
    ways = _ways(repeat)
    if ways <= 1 or all(token["atom"] and each["atom"] and _apart(token[0], each[0]) for each in following):
        return 0
    most = _ACROSS if token["atom"] and re.fullmatch(token[0], "/", re.DOTALL) else _IN_NAME
    return min(most, (ways - 1).bit_length())


def _ways(repeat: str) -> int:
    """How many lengths a repeat can have."""
    if not repeat or repeat == "?":
        return 2 if repeat else 1
    bounds = re.fullmatch(r"\{(\d*)(,?)(\d*)\}", repeat)
    if bounds is None or (bounds[2] and not bounds[3]):
        return 1 << _ACROSS
    return int(bounds[3]) - int(bounds[1] or 0) + 1 if bounds[2] else 1


def _told_apart(bar: re.Match[str]) -> bool:
    """Do the alternatives beside a `|` begin with different letters or digits?"""
    text, at = bar.string, bar.start()
    before = re.search(r"(?:[(|]|\(\?:|>)([A-Za-z0-9])(?:\\.|[^()|\\])*$", text[:at])
    after = re.match(r"\|([A-Za-z0-9])", text[at:])
    return bool(before and after and before[1] != after[1])


def _apart(one: str, other: str) -> bool:
    """Can no character be both? Judged over ASCII and whatever the two spell out."""
    characters = {*map(chr, range(128)), "é", *one, *other}
    try:
        first, second = (re.compile(each, re.ASCII | re.DOTALL) for each in (one, other))
    except re.error:  # a piece of something stranger than the pieces told apart here
        return False
    return not any(first.fullmatch(each) and second.fullmatch(each) for each in characters)
