"""How the report of `mmidd doctor` is printed: what matters most comes first, what is well takes one line a group."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from mmidd.show import plain, printable

if TYPE_CHECKING:
    from mmidd.doctor.report import Check, Examination

_STYLE = {"problem": "red", "warning": "yellow", "note": None}
_INDENT = 9
_TOLD = ("python", "gpu", "data", "work")
"""Groups of which what was found is worth a line even where it is well; --json tells it of all."""


def examined(console: Console, report: Examination) -> None:
    """Every problem, warning and note with its way out, then what is well."""
    for state, style in _STYLE.items():
        for check in _merged(report.of(state)):  # type: ignore[arg-type]
            _line(console, state, f"{check.group}, {check.name}: {check.found}", style)
            if check.advice:
                _line(console, "", f"-> {check.advice}", None)
    well: dict[str, list[Check]] = {}
    for check in report.of("ok"):
        well.setdefault(check.group, []).append(check)
    for group, checks in well.items():
        told = [f"{each.name} {each.found}" for each in checks] if group in _TOLD else _names(checks)
        _line(console, "ok", f"{group}: {('; ' if group in _TOLD else ', ').join(told)}", None)
    console.print(plain(report.verdict()), style="green" if report.sound else "red")


def _merged(checks: Sequence[Check]) -> list[Check]:
    """Extras that nobody installed are worth one line, not one each."""
    absent = [check for check in checks if check.group == "extras" and check.state == "note"]
    if len(absent) < 2:
        return list(checks)
    found = "; ".join(f"{check.name} {check.found}" for check in absent)
    advice = "pip install 'mmidd[NAME]', for what you want of them"
    one = replace(absent[0], name="not installed", found=found, advice=advice)
    place = checks.index(absent[0])
    return [*checks[:place], one, *(check for check in checks[place:] if check not in absent)]


def _names(checks: Sequence[Check]) -> list[str]:
    """Names; those of one place (`out: space`, `out: locks`) behind it."""
    places: dict[str, list[str]] = {}
    for check in checks:
        head, _, tail = check.name.partition(": ")
        places.setdefault(head, []).extend([tail] if tail else [])
    return [f"{head} ({', '.join(tails)})" if tails else head for head, tails in places.items()]


def _line(console: Console, head: str, text: str, style: str | None) -> None:
    """On a terminal folded between words under its head; in a pipe one line, for `grep`."""
    text = printable(text)
    wide = max(console.width - _INDENT, 20)
    lines = textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False) if console.is_terminal else [text]
    for place, line in enumerate(lines):
        console.print(plain(f"{'' if place else head:{_INDENT}}{line}"), style=style)
