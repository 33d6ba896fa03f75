"""Exporting: into a folder beside the target, proved from its files, and moved into place in one step."""

from __future__ import annotations

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
from mmidd.engine.files import digest, disk_errors, sha256_file
from mmidd.engine.run import Progress, Silent
from mmidd.engine.units import Outcome
from mmidd.errors import CorpusError, UsageError
from mmidd.results import Result
from mmidd.share.beside import alone, move
from mmidd.share.export.marks import ABOUT, LIST, MARK, Mark, read_mark, restore
from mmidd.share.export.protocol import Sink, exporter
from mmidd.share.export.sink import FolderSink, Label, check, read_label
from mmidd.show import corpus as show

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3
_WRITTEN = Outcome("", "", "ok", ())
Left = tuple[Mark, dict[str, Any]] | Label
"""Of a killed export: its mark and the running digests of files that grow, or the label of one that was whole."""


@dataclass(frozen=True, repr=False)
class Exported(Result):
    """What was exported: rows, those that an export which was cut off had written before (`kept`), files and bytes, the
    columns that the layout cannot hold, and whether anything was written (`changed`): an export that is there already is
    checked and left."""

    to: str
    out: str
    rows: int
    kept: int
    files: int
    bytes: int
    left_out: tuple[str, ...]
    changed: bool

    def tell(self, console: Console) -> None:
        show.exported(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {**vars(self), "left_out": list(self.left_out)}


def export(
    corpus: Corpus, to: str, out: Path, *, progress: Progress | None = None, tell: Callable[[str], None] = lambda line: None
) -> Exported:
    """Write a corpus, or a part of one, to the folder `out` in the layout that `to` names.

    Nothing that is there is overwritten: the folder is new or empty, or it holds this very export, which is then checked.
    A killed export leaves a folder beside it: the next one of the same corpus and layout goes on with what is right in it,
    any other clears it, and `tell` hears which. Raises UsageError for an unknown layout, and CorpusError for a folder that
    holds something else, a corpus that cannot be laid out so, and files that did not come out as they were written.
    """
    chosen = exporter(to)
    if corpus.about.derived is not None:
        raise CorpusError(
            f"{corpus.place.path('')} is not exported: {corpus.about.derived}. Export the corpus that it was made of"
        )
    if isinstance(corpus.place, Folder) and out.resolve().is_relative_to(corpus.place.root.resolve()):
        raise UsageError(f"{out} lies in the corpus, whose files are sealed; choose a place beside it")
    if not out.resolve().name:
        raise UsageError(f"--out {out} is no place for an export; name a folder in it")
    if not len(corpus):
        raise CorpusError(f"{corpus.place.path('')} holds no such rows, so there is nothing to export")
    out = out.parent.resolve() / out.name if out.name not in ("", "..") else out.resolve()
    label = Label(to, digest(corpus.about.content, [shard.name for shard in corpus.shards]), chosen.version, len(corpus))
    with alone(out, "export", CorpusError):
        if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            return _told(_there(out, label), out, changed=False)
        check_ids(corpus)
        building = out.with_name(f".{out.name}.exporting")
        with disk_errors(out):
            found = _left(building, label, tell)
            try:
                label, kept = _made(building, found, chosen.layout, corpus, label, progress or Silent())
                fault("before_export_rename", out)
                move(building, out, "export", CorpusError)
            except CorpusError:
                if not corpus.place.remote:  # a network may be back soon; a corpus or a layout does not mend itself
                    shutil.rmtree(building, ignore_errors=True)
                raise
    return _told(label, out, changed=True, kept=kept)


def _made(
    building: Path, found: Left, layout: Callable[[Corpus, Sink], tuple[str, ...]], corpus: Corpus, label: Label,
    progress: Progress,
) -> tuple[Label, int]:  # fmt: skip
    """Write all files and the label that says so, and prove them; of a killed export what was found is kept.

    Gives the label, and the rows that were kept.
    """
    if isinstance(found, Label):
        return found, found.rows
    mark, digests = found
    if not mark.rows:
        building.mkdir()
        label.write(building)
    with _watched(progress, label.rows, mark.rows) as watch:
        with FolderSink(building, mark, digests, watch) as sink:
            left_out = layout(corpus, sink)
        watch(label.rows)
    listed = sha256_file(building / LIST)
    label = replace(label, left_out=left_out, files=sink.files, bytes=sink.bytes, list_sha256=listed)
    label.write(building)
    (building / MARK).unlink(missing_ok=True)
    _prove(building)
    return label, mark.rows


def _left(building: Path, wanted: Label, tell: Callable[[str], None]) -> Left:
    """What a killed export left: a mark and its digests, or the label of a whole one; where it is of no use, it is cleared.

    Raises CorpusError for a folder that no export wrote.
    """
    if not building.is_symlink() and not building.exists():
        return Mark(), {}
    found, mark = (read_label(building), read_mark(building)) if not building.is_symlink() else (None, None)
    if found is not None and found.is_of(wanted):
        if mark is None and found.list_sha256 is not None and not any(check(building)):
            return found
        digests = restore(building, mark) if mark is not None and mark.rows else None
        if mark is not None and digests is not None:
            tell(f"going on after the {mark.rows} of {wanted.rows} rows that an export which was cut off has written")
            return mark, digests
    _clear(building)
    tell(f"{building.name} of an export that was cut off is of no use for this one: it is removed, all is written anew")
    return Mark(), {}


@contextmanager
def _watched(progress: Progress, rows: int, done: int) -> Iterator[Callable[[int], None]]:
    """Tells progress how many rows are written, however often it is asked."""
    told = done

    def watch(now: int) -> None:
        nonlocal told
        if now > told:
            progress.advance((_WRITTEN,) * (now - told))
            told = now

    progress.begin("export", rows, done)
    try:
        yield watch
    finally:
        progress.end()


def check_ids(corpus: Corpus) -> None:
    """Files are named by ids: each has to be one, and no other row's."""
    ids = corpus.rows(["id"])["id"]
    sound = pc.fill_null(pc.match_substring_regex(ids, "^[0-9a-f]{24}$"), False)
    if not pc.all(sound, min_count=0).as_py():
        name = ids.filter(pc.invert(sound))[0].as_py() or ""
        raise CorpusError(f"{corpus.place.path('')}: {name!r} is no sample id; `mmidd verify` says what is wrong")
    if pc.count_distinct(ids, mode="all").as_py() != len(ids):
        raise CorpusError(f"{corpus.place.path('')} holds a sample id twice: `mmidd verify` says which")


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
    ours = building.is_dir() and not building.is_symlink()
    begun = ours and all(path.name == ABOUT or path.suffix == ".tmp" for path in building.iterdir())
    if not ours or (not begun and read_label(building) is None):
        raise CorpusError(f"{building} is in the way and no export of mmidd wrote it; move it away")
    shutil.rmtree(building)


def _told(label: Label, out: Path, *, changed: bool, kept: int = 0) -> Exported:
    return Exported(label.exporter, str(out), label.rows, kept, label.files, label.bytes, label.left_out, changed)
