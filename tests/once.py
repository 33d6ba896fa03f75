"""What is made once and read by many tests, in however many processes of pytest-xdist they run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Listing = dict[str, list[int]]


class Once:
    """Folders that the first process to ask for makes, and that all share. They are to be read only, which is checked."""

    def __init__(self, root: Path) -> None:
        """`root` is the same in all processes of one run, and of no other."""
        self.root = root
        self._given: dict[Path, Path] = {}

    @classmethod
    def of(cls, factory: pytest.TempPathFactory) -> Once:
        own = factory.getbasetemp()
        return cls(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of this name, filled by `make`; who comes while another process makes it sleeps until it is done.

        It is made where it stays, for what is built knows its own place; the note beside it says that it is whole.
        """
        folder, note = self.root / name, self.root / f"{name}.json"
        with (self.root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not note.exists():
                shutil.rmtree(folder, ignore_errors=True)  # half of it, by a process that died or a `make` that failed
                folder.mkdir()
                make(folder)
                half = note.with_suffix(".half")
                half.write_text(json.dumps(_listing(folder)))
                half.rename(note)
        self._given[folder] = note
        return folder

    def check(self) -> None:
        """Raises AssertionError if a test has changed what others read."""
        for folder, note in self._given.items():
            before: Listing = json.loads(note.read_text())
            after = _listing(folder)
            changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
            assert not changed, f"a test changed what all share, {folder}: {changed[:9]}"


def _listing(folder: Path) -> Listing:
    """Size and time of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
