"""Where the command line speaks: results on stdout, words and progress on stderr; and how commands end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from mmidd.show import document

if TYPE_CHECKING:
    from mmidd.engine.run import Progress
    from mmidd.results import Result

COMPLETE, ERROR, USAGE, WITH_FAILURES, FINDINGS, INTERRUPTED = 0, 1, 2, 3, 4, 130

_WIDE = None if sys.stdout and sys.stdout.isatty() else 160  # a table in a pipe or a log is not folded to 80 columns
out = Console(highlight=False, emoji=False, soft_wrap=True, width=_WIDE)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def say(result: Result, *, as_json: bool, words: Console = out) -> None:
    """Print a result: as one JSON document on stdout, or in words."""
    if as_json:
        document(out, result.document())
    else:
        result.tell(words)


def tell(line: str) -> None:
    """A line for whoever watches."""
    err.print(escape(line))


def progress(*, quiet: bool = False) -> Progress:
    """Who watches long work: bars on a terminal, lines in a log, nobody under --json."""
    from mmidd.cli.progress import Bars, Lines
    from mmidd.engine.run import Silent

    if quiet:
        return Silent()
    return Bars(err) if err.is_terminal else Lines(tell)
