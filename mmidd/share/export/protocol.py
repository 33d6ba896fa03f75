"""What an exporter is, and which there are: a new one is one module with `layout`, and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from mmidd.errors import UsageError

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus

EXPORTERS: dict[str, tuple[str, str]] = {
    "imagefolder": ("mmidd.share.export.imagefolder", "image files by split and label, with metadata.jsonl"),
}
"""Name: the module that makes the layout, and what it is, in a line."""


class Sink(Protocol):
    """Where an exporter's files go. Names are POSIX paths of plain words (letters, digits, dot, dash, underscore), made
    from ids and our own words: none that a corpus holds. Another name, and a file twice, are errors."""

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file."""

    def add(self, name: str, data: bytes) -> None:
        """Write on at the end of a file that grows with the rows."""


class Exporter(Protocol):
    """The layout of one kind of export."""

    def layout(self, corpus: Corpus, sink: Sink) -> tuple[str, ...]:
        """Give every row of the corpus to the sink, row group by row group, in an order that the corpus alone decides.

        Returns the columns that this layout cannot hold, which whoever exports is told. Raises CorpusError for a corpus
        that cannot be laid out so.
        """


def exporter(name: str) -> Exporter:
    """The exporter of this name. Raises UsageError for none."""
    if name not in EXPORTERS:
        raise UsageError(f"there is no exporter {name!r}; there are: {', '.join(sorted(EXPORTERS))}")
    found: Exporter = import_module(EXPORTERS[name][0])
    return found
