"""What a command found or did: one document for programs, words for people, in a terminal and in a notebook."""

from __future__ import annotations

from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 120


class Result:
    """Base of every result: a subclass gives its document and says itself on a console."""

    def document(self) -> Any:
        """Everything as JSON values: exactly what `--json` prints."""
        raise TypeError(f"{type(self).__name__} gives no document")

    def tell(self, console: Console) -> None:
        """Say it in words: what the command prints."""
        raise TypeError(f"{type(self).__name__} has no words")

    def headline(self) -> str:
        """What matters, in one line: of most results the last that is said but for what is to be done next."""
        lines = [line.strip() for line in str(self).splitlines()]
        told = [line for line in lines if not line.startswith(("next:", "look at:"))]
        return (told or lines or [""])[-1]

    def __repr__(self) -> str:
        """One line: what a result is, and what matters of it. Its fields would fill a terminal."""
        return f"<{type(self).__name__}: {self.headline()}>"

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), width=WIDTH, highlight=False, emoji=False, soft_wrap=True)
        self.tell(console)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined, no-any-return]

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
