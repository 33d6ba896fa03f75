"""One name for a clip wherever it may lie, by what its dataset's rules say of paths: for takedowns, which give one of them.

A rule has several paths for one clip where these differ in folders that wrap others, or in an archive. `unless` is the path
by which another rule takes the same clip (the video of frames). A field of the path may say in which compression it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmidd.manifest.accounting import Heads, Layout, Rule
from mmidd.manifest.layout import Pattern, Template, compile_template
from mmidd.raw.archives import SUFFIXES

_MOST_STEPS = 8
"""Rules may name each other's paths in a circle."""


class Namer:
    """Gives a clip's name by any path of it, also by one of its frames: equal names, equal clip."""

    def __init__(self, layout: Layout) -> None:
        self._files = Heads([each for rule in layout.rules if rule.kind != "frames" for each in _better(rule)])
        self._folders = Heads([each for rule in layout.rules if rule.kind == "frames" for each in _better(rule)])
        self._compressed = list(_compressed(layout))

    def __call__(self, media: str) -> str:
        for _ in range(_MOST_STEPS):
            if (better := self._step(media)) == media:
                break
            media = better
        for regex, field, rest in self._compressed:
            if found := regex.fullmatch(media + rest):
                return f"{media[: found.start(field)]}{{compression}}{media[found.end(field) :]}"
        return media

    def _step(self, media: str) -> str:
        for known, path in ((self._files, media), (self._folders, f"{media}/0")):
            for found, better in known.matches(path):
                return (better.render(found.groupdict()) if better is not None else None) or media
        return media.rpartition("/")[0] if next(self._folders.matches(media), None) else media


def _better(rule: Rule) -> Iterator[tuple[Pattern, Template | None]]:
    """By each pattern of a rule the clip's better name, if there is one."""
    inside = "/*" if rule.kind == "frames" else ""
    texts = [pattern.text.removesuffix(inside) for pattern in rule.paths]
    for pattern, text in zip(rule.paths, texts, strict=True):
        others = (each for each in texts if _wraps(text, each))
        shortest = min((text, *others), key=lambda each: (each.count("/"), len(each)))
        better = compile_template(shortest) if shortest != text and "*" not in text else None
        yield pattern, rule.unless[0] if rule.unless else better


def _wraps(text: str, other: str) -> bool:
    """Is `other` the same path without some folders, or with a folder for an archive of its name?"""
    folders = iter(text.split("/"))
    wanted = ({name, *(f"{name}{end}" for end in SUFFIXES)} for name in other.split("/"))
    return all(any(each in names for each in folders) for names in wanted)


def _compressed(layout: Layout) -> Iterator[tuple[re.Pattern[str], str, str]]:
    """The rules' paths that a field gives the compression of: the expression, the field, what a medium's name lacks."""
    for rule in layout.rules:
        if rule.compression is not None and rule.compression.parts[::2] == ("", ""):
            (field,) = rule.compression.names
            rest = "/0" if rule.kind == "frames" else ""
            yield from ((pattern.regex, field, rest) for pattern in rule.paths if field in pattern.fields)
