"""What a check found: one shape for `verify`, `index --check`, `audit` and `export`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something a person has to look at.

    `check`: which check found it. `what`: what it is, with its figures. `where`: the files or names it is about, all of
    them. `advice`: what to do; empty where `what` says enough. The documents of `--json` name these as their readers know
    them: each result's `document()` says how.
    """

    check: str
    what: str
    where: tuple[str, ...] = ()
    advice: str = ""
