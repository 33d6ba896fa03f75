"""What an exporter is, and which there are: a new one is one file with an `EXPORTER`, and one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mmidd.errors import UsageError
from mmidd.registry import Registry, Row

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus

EXPORTERS: Registry[None] = Registry(
    "exporter",
    "mmidd.exporters",
    "EXPORTER",
    (Row("imagefolder", "mmidd.share.export.imagefolder", "image files by split and label, with metadata.jsonl", None),),
)


class Sink(Protocol):
    """Where an exporter's files go. Names are POSIX paths of plain words (letters, digits, dot, dash, underscore), made
    from ids and our own words: none that a corpus holds. Another name, and a file twice, are errors."""

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file."""

    def add(self, name: str, data: bytes) -> None:
        """Write on at the end of a file that grows with the rows."""


@dataclass(frozen=True)
class Exporter:
    """One kind of export.

    `layout` gives every row of the corpus to the sink, row group by row group, in an order that the corpus alone decides. It
    returns the columns that this layout cannot hold, which whoever exports is told, and raises CorpusError for a corpus that
    cannot be laid out so. `version` is raised when it lays out otherwise: older exports are then not taken for it.
    """

    layout: Callable[[Corpus, Sink], tuple[str, ...]]
    version: int = 1


def exporter(name: str) -> Exporter:
    """The exporter of this name. Raises UsageError for none, PluginError for another package's that does not work."""
    if name not in EXPORTERS:
        raise UsageError(f"there is no exporter {name!r}; there are: {', '.join(sorted(EXPORTERS.names()))}")
    return EXPORTERS.load(name, Exporter)
