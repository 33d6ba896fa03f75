"""Exporting: into a folder beside the target, proved from its files, and moved into place in one step."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from mmidd.corpus.place import Folder
from mmidd.corpus.read import Corpus
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, fsync_folder, sha256_file
from mmidd.engine.lock import held
from mmidd.errors import CorpusError, UsageError
from mmidd.results import Result
from mmidd.share.export.protocol import Sink, exporter
from mmidd.share.export.sink import ABOUT, LIST, FolderSink, Label, check, read_label
from mmidd.show import corpus as show

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3


@dataclass(frozen=True, repr=False)
class Exported(Result):
    """What was exported: rows, files and bytes, the columns that the layout cannot hold, and whether anything was written
    (`changed`): an export that is there already is checked and left."""

    to: str
    out: str
    rows: int
    files: int
    bytes: int
    left_out: tuple[str, ...]
    changed: bool

    def tell(self, console: Console) -> None:
        show.exported(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {**vars(self), "left_out": list(self.left_out)}


def export(corpus: Corpus, to: str, out: Path) -> Exported:
    """Write a corpus to the folder `out` in the layout that `to` names.

    Nothing that is there is overwritten: the folder is new or empty, or it holds this very export, which is then checked.
    A killed export leaves a folder beside it that the next one clears. Raises UsageError for an unknown layout, and
    CorpusError for a folder that holds something else, a corpus that cannot be laid out so, and files that did not come
    out as they were written.
    """
    chosen = exporter(to)
    if isinstance(corpus.place, Folder) and out.resolve().is_relative_to(corpus.place.root.resolve()):
        raise UsageError(f"{out} lies in the corpus, whose files are sealed; choose a place beside it")
    if not out.resolve().name:
        raise UsageError(f"--out {out} is no place for an export; name a folder in it")
    out = out.parent.resolve() / out.name if out.name not in ("", "..") else out.resolve()
    label = Label(to, digest(corpus.about.content, [shard.name for shard in corpus.shards]), chosen.version, len(corpus))
    with _alone(out):
        if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            return _told(_there(out, label), out, changed=False)
        _check_ids(corpus)
        building = out.with_name(f".{out.name}.exporting")
        with disk_errors(out):
            _clear(building)
            try:
                label = _write(building, chosen.layout, corpus, label)
                fault("before_export_rename", out)
                _move(building, out)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return _told(label, out, changed=True)


def _write(building: Path, layout: Callable[[Corpus, Sink], tuple[str, ...]], corpus: Corpus, label: Label) -> Label:
    """Write all files and the label that says so, and prove them."""
    building.mkdir()
    label.write(building)
    with FolderSink(building) as sink:
        left_out = layout(corpus, sink)
    listed = sha256_file(building / LIST)
    label = replace(label, left_out=left_out, files=sink.files, bytes=sink.bytes, list_sha256=listed)
    label.write(building)
    _prove(building)
    return label


def _check_ids(corpus: Corpus) -> None:
    """Files are named by ids: each has to be one."""
    ids = corpus.rows(["id"])["id"]
    if pc.count_distinct(ids, mode="all").as_py() != len(ids):
        raise CorpusError(f"{corpus.place.path('')} holds a sample id twice: `mmidd verify` says which")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    def busy(holder: str) -> CorpusError:
        return CorpusError(f"another export is writing {out} ({holder}); wait until it has ended, or choose another --out")

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with held(out.with_name(f".{out.name}.lock"), busy):
        yield


def _there(out: Path, wanted: Label) -> Label:
    """The export that is there already, if it is this one and whole. Raises CorpusError for anything else."""
    found = read_label(out) if out.is_dir() and not out.is_symlink() else None
    if found is None:
        raise CorpusError(f"{out} holds something that is no export of mmidd; nothing was touched. Choose another --out")
    if not found.is_of(wanted):
        raise CorpusError(f"{out} holds an export of another corpus or layout; remove it, or choose another --out")
    _prove(out)
    return found


def _prove(folder: Path) -> None:
    """Raises CorpusError if a file is not as it was written."""
    wrong = list(islice(check(folder), _SHOWN + 1))
    if wrong:
        told = "; ".join(f"{finding.where[0]} {finding.what}" for finding in wrong[:_SHOWN])
        more = " and more" if len(wrong) > _SHOWN else ""
        raise CorpusError(f"{folder} is not as it was exported: {told}{more}. Remove it, check the disk, export again")


def _clear(building: Path) -> None:
    """Remove what a killed export left."""
    if building.is_symlink() or building.exists():
        ours = building.is_dir() and not building.is_symlink()
        begun = ours and all(path.name == ABOUT or path.suffix == ".tmp" for path in building.iterdir())
        if not ours or (not begun and read_label(building) is None):
            raise CorpusError(f"{building} is in the way and no export of mmidd wrote it; move it away")
        shutil.rmtree(building)


def _move(building: Path, out: Path) -> None:
    """Put the folder into its place; the system refuses one that was filled meanwhile."""
    try:
        building.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise CorpusError(
            f"{out} was filled while the export ran; nothing of it was touched. Choose another --out"
        ) from error
    fsync_folder(out.parent)


def _told(label: Label, out: Path, *, changed: bool) -> Exported:
    return Exported(label.exporter, str(out), label.rows, label.files, label.bytes, label.left_out, changed)
