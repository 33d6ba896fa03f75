"""The work folder of a rehydration: what was fetched, what is known of files, what a killed run goes on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmidd.engine.files import disk_errors
from mmidd.errors import ShareError, UsageError
from mmidd.share.rehydrate.fetched import FOLDER, PINNED
from mmidd.share.rehydrate.filled import CROPS, NOTES

MARK = "mmidd-rehydrate.json"
"""What says that a work folder is one of a rehydration."""
_OURS = (CROPS, NOTES, FOLDER, "digests", "archives", "remote")


def work_of(out: Path) -> Path:
    """The work folder of a rehydration: OUT.rehydrate. Raises UsageError for what can be no corpus."""
    place = out.resolve() if out.name in ("", "..") else out
    if not place.name:
        raise UsageError(f"--out {out} is no place for a corpus; name a folder in it")
    return place.with_name(f"{place.name}.rehydrate")


@contextmanager
def working(work: Path) -> Iterator[None]:
    """The work folder, which is ours or not there. What a killed run had on its way is removed."""
    if work.exists() and not (work / MARK).is_file() and (not work.is_dir() or any(work.iterdir())):
        raise ShareError(
            f"{work} is in the way: mmidd did not make it; nothing was touched. Move it, or choose another --out"
        )
    with disk_errors(work):
        made = not work.exists()
        work.mkdir(parents=True, exist_ok=True)
        (work / MARK).touch()  # in one step: whoever is killed has a folder that is ours, or an empty one
        shutil.rmtree(work / CROPS, ignore_errors=True)
        (work / CROPS).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(work / CROPS, ignore_errors=True)
        if made and work.is_dir() and {each.name for each in work.iterdir()} <= {MARK}:
            _remove(work)


def tidy(work: Path, *, whole: bool) -> None:
    """Remove what is of no use once the corpus is whole; else what is known of files stays."""
    if whole:
        with disk_errors(work):
            _remove(work)


def _remove(work: Path) -> None:
    """Remove what rehydrations made, and the folder if nothing else is in it; the mark goes last."""
    for name in _OURS:
        shutil.rmtree(work / name, ignore_errors=True)
    for each in (work / PINNED, *work.glob("*.tmp"), work / MARK):
        each.unlink(missing_ok=True)
    with suppress(OSError):
        work.rmdir()
