"""What an exporter is, and which there are: a new one is one file with an `EXPORTER`, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    (
        Row("webdataset", "mmidd.share.export.webdataset", "tar files for WebDataset, by split and dataset", None),
        Row("imagefolder", "mmidd.share.export.imagefolder", "image files by split and label, with metadata.jsonl", None),
        Row("deepfakebench", "mmidd.share.export.deepfakebench", "frames and JSON lists as DeepfakeBench reads them", None),
        Row("labels", "mmidd.share.export.labels", "every column but the images, as CSV and Parquet", None),
        Row("workbench", "mmidd.share.export.workbench", "score files of Deepfake Workbench, to be filled in", None),
    ),
)


class Sink(Protocol):
    """Where an exporter's files go. Names are POSIX paths of plain words (letters, digits, dot, dash, underscore, plus),
    made from ids and our own words: none that a corpus holds. Another name, and a file twice, are errors.

    An exporter that marks how far it is goes on from there after a kill: `done` are the rows that it has not to give again.
    """

    @property
    def done(self) -> int:
        """The rows of the last mark of the killed export that this one goes on with; 0 where there is none."""

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file."""

    def add(self, name: str, data: bytes) -> None:
        """Write on at the end of a file that grows with the rows."""

    def end(self, name: str) -> None:
        """A growing file is whole. Those that are not ended are when the layout is."""

    def read(self, name: str) -> Iterator[bytes]:
        """The lines of a growing file so far, also those of before a kill."""

    def mark(self, rows: int) -> None:
        """All files of the first so many rows, in the layout's order, are written, or have grown as far as these rows."""


@dataclass(frozen=True)
class Exporter:
    """One kind of export.

    `layout` gives every row of the corpus to the sink, row group by row group, in an order that the corpus alone decides. It
    returns the columns that this layout cannot hold, which whoever exports is told, and raises CorpusError for a corpus that
    cannot be laid out so. `version` is raised when it lays out otherwise: older exports are then not taken for it.
    `pictures`: it holds the images, as the corpus stores them.
    """

    layout: Callable[[Corpus, Sink], tuple[str, ...]]
    version: int = 1
    pictures: bool = True


def exporter(name: str) -> Exporter:
    """The exporter of this name. Raises UsageError for none, PluginError for another package's that does not work."""
    if name not in EXPORTERS:
        raise UsageError(f"there is no exporter {name!r}; there are: {', '.join(sorted(EXPORTERS.names()))}")
    return EXPORTERS.load(name, Exporter)
