"""Words for people, printed on a console: what a command found or did. Prints only; who calls decides the exit code.

Nothing here imports what made a result, so that every result can say itself, in a terminal and in a notebook.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import Any

from rich.console import Console
from rich.markup import escape

SHOWN = 20
EXAMPLES = 5
LITTER = "files that programs left behind (._*, .DS_Store, Thumbs.db, @eaDir, .git, .cache ...), passed by"


def document(console: Console, value: Any) -> None:
    """One JSON document, and nothing else, on stdout."""
    console.file.write(json.dumps(value, indent=1, ensure_ascii=True, default=str) + "\n")


_BRACKET = re.compile(r"\\\[(?![a-z#/@][^\[]*?\])")
"""A backslash before a bracket that opens no tag: rich's `escape` forgets it, and its printing eats it."""


def plain(text: str) -> str:
    """Text from outside as a terminal may show it: no escape sequence, no markup."""
    return escape(_BRACKET.sub(r"\\\\[", printable(text)))


def printable(text: str) -> str:
    """Text without anything that a terminal would obey, where nobody reads markup."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shell_word(text: str) -> str:
    """Text as one word that can be pasted into a shell (bash, zsh), whatever is in it; a terminal shows all of it."""
    if text.isprintable():
        return shlex.quote(text)
    return f"$'{''.join(map(_in_shell, text))}'"


def _in_shell(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def elapsed(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def duration(hours: float) -> str:
    """A forecast, in hours or minutes."""
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def plain_lines(text: str) -> str:
    """`plain` for a text of several lines."""
    return "\n".join(plain(line) for line in text.split("\n"))
