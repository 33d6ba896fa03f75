"""How the report of `mmidd doctor` is printed: what matters most comes first, what is well takes one line a group."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console

from mmidd.cli.show import COMPLETE, FINDINGS, document, plain, printable

if TYPE_CHECKING:
    from mmidd.doctor import Report

_STYLE = {"problem": "red", "warning": "yellow", "note": None}
_INDENT = 9


def examined(console: Console, report: Report, *, as_json: bool) -> int:
    """Every problem, warning and note with its way out, then what is well; 4 if there are problems."""
    code = COMPLETE if report.sound else FINDINGS
    if as_json:
        document(console, report.document())
        return code
    for state, style in _STYLE.items():
        for check in report.of(state):  # type: ignore[arg-type]
            _line(console, state, f"{check.group}, {check.name}: {check.found}", style)
            if check.advice:
                _line(console, "", f"-> {check.advice}", None)
    well: dict[str, list[str]] = {}
    for check in report.of("ok"):
        well.setdefault(check.group, []).append(check.name)
    for group, names in well.items():
        _line(console, "ok", f"{group}: {', '.join(names)}", None)
    console.print(plain(report.verdict()), style="green" if report.sound else "red")
    return code


def _line(console: Console, head: str, text: str, style: str | None) -> None:
    """On a terminal folded between words under its head; in a pipe one line, for `grep`."""
    text = printable(text)
    wide = max(console.width - _INDENT, 20)
    lines = textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False) if console.is_terminal else [text]
    for place, line in enumerate(lines):
        console.print(plain(f"{'' if place else head:{_INDENT}}{line}"), style=style)
