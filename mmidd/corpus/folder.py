"""The corpus folder as a whole: who may write it, and how the next version is built beside it and swapped in."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.engine.files import disk_errors, fsync_folder, sha256_file
from mmidd.errors import CorpusError

MANIFEST = "mmidd.json"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass(frozen=True)
class Corpus:
    """A corpus folder `out`, and the folder beside it in which the next version is built."""

    out: Path

    @property
    def building(self) -> Path:
        return self.out.with_name(f".{self.out.name}.building")

    @property
    def old(self) -> Path:
        return self.out.with_name(f".{self.out.name}.old")

    def claim(self) -> None:
        """Refuse a place that holds something else, or cannot be written; recover from a kill between two renames."""
        if not self.out.exists() and self.old.exists():
            self.old.rename(self.out)
        if self.out.is_symlink() and not self.out.exists():
            raise CorpusError(f"{self.out} is a link to nothing; remove it or choose another --out")
        if self.out.exists() and not self.out.is_dir():
            raise CorpusError(f"{self.out} is a file; choose a folder for --out")
        if self.out.exists() and any(self.out.iterdir()) and self.manifest() is None:
            raise CorpusError(f"{self.out} holds something that is no corpus of mmidd; nothing was touched")
        with disk_errors(self.building):
            self.building.mkdir(parents=True, exist_ok=True)

    def manifest(self) -> dict[str, Any] | None:
        """The corpus's `mmidd.json`, or None where there is no (whole) corpus."""
        return read_manifest(self.out)

    def has(self, name: str, size: int, sha256: str) -> bool:
        """Bring a file that is already right into the folder that is being built; False where there is none."""
        target = self.building / name
        for candidate in (target, self.out / name):
            if candidate.is_file() and candidate.stat().st_size == size and sha256_file(candidate) == sha256:
                if candidate != target:
                    link_or_copy(candidate, target)
                return True
        return False

    def discard(self) -> None:
        """Nothing changed: what was built beside the corpus is not needed."""
        shutil.rmtree(self.building, ignore_errors=True)

    def swap(self, keep: set[str]) -> None:
        """Put what was built in the place of the old corpus: readers see the one or the other, never a mixture."""
        for path in sorted(self.building.rglob("*")):
            if path.is_file() and path.relative_to(self.building).as_posix() not in keep:
                path.unlink()
        with disk_errors(self.out):
            for folder in (self.building / "data", self.building):
                if folder.is_dir():
                    fsync_folder(folder)
            if not self.out.exists():
                self.building.rename(self.out)
            elif _exchange(self.building, self.out):
                shutil.rmtree(self.building)
            else:
                shutil.rmtree(self.old, ignore_errors=True)
                self.out.rename(self.old)
                self.building.rename(self.out)
            shutil.rmtree(self.old, ignore_errors=True)
            fsync_folder(self.out.parent)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The `mmidd.json` of a corpus folder; None where there is none or it is broken."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "schema_version" in content else None


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS):
            raise
        shutil.copyfile(source, target)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step where the system can (Linux `renameat2`); False where it cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)
