"""The folder beside a publication's place in which its next version is made, and how that takes its place in one step."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.corpus.place import Folder
from mmidd.corpus.target import exchange
from mmidd.engine.faults import fault
from mmidd.engine.files import fsync_folder
from mmidd.errors import MmiddError, ShareError
from mmidd.share.publication.format import DATA, LABELS, ORIGINAL
from mmidd.share.publication.opened import open_publication

_MARK = "mark.json"


def put(path: Path, data: bytes) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True)
class Beside:
    """The folder beside `out` in which the next version is made: `made` the publication, `corpus` what was redacted, `old`
    the version before while it is swapped; and a mark that says whose it is. `key`: of what is being made."""

    out: Path
    key: str

    @property
    def folder(self) -> Path:
        return self.out.with_name(f".{self.out.name}.publishing")

    @property
    def made(self) -> Path:
        return self.folder / "made"

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def old(self) -> Path:
        return self.folder / "old"

    def recover(self) -> None:
        """Mend what a kill left half-way. Raises ShareError for a folder that is not one of ours."""
        if not self.folder.exists() and not self.folder.is_symlink():
            return
        mark = self._mark()
        if mark is None:
            if self.folder.is_dir() and not self.folder.is_symlink() and not any(self.folder.iterdir()):
                return
            raise ShareError(f"{self.folder} is in the way and mmidd did not make it; nothing was touched. Move it away")
        if self.old.is_dir():
            if not self.out.exists():
                self.old.rename(self.out)
            else:
                shutil.rmtree(self.old)
        if mark.get("seal") is not None and self.made.is_dir():
            # It was about to be swapped: what lies here is the new version, or already the one before it.
            with suppress(MmiddError):
                if open_publication(Folder(self.made)).digest == mark["seal"]:
                    return
            shutil.rmtree(self.made)

    def begin(self) -> None:
        """Make the folder; what is of another publication in it is removed."""
        self.folder.mkdir(exist_ok=True)
        mark = self._mark()
        if mark is not None and mark.get("key") != self.key:
            for each in (self.made, self.corpus):
                shutil.rmtree(each, ignore_errors=True)
        put(self.folder / _MARK, json.dumps({"key": self.key, "seal": None}).encode())
        self.made.mkdir(exist_ok=True)
        fault("publication_begun", self.out)

    def swap(self, names: set[str], seal: str) -> None:
        """Put what was made in its place, these files and no other."""
        for path in sorted(self.made.rglob("*")):
            if not path.is_dir() and path.relative_to(self.made).as_posix() not in names:
                path.unlink()
        for folder in (self.made / DATA, self.made / LABELS, self.made / ORIGINAL, self.made):
            if folder.is_dir():
                with suppress(OSError):
                    folder.rmdir()  # only what is empty
                if folder.is_dir():
                    fsync_folder(folder)
        put(self.folder / _MARK, json.dumps({"key": self.key, "seal": seal}).encode())
        fsync_folder(self.folder)
        fault("before_publication_swap", self.out)
        if not self.out.exists():
            self.made.rename(self.out)
        elif not exchange(self.made, self.out):
            self.out.rename(self.old)
            fault("between_publication_renames", self.out)
            self.made.rename(self.out)
        fault("publication_swapped", self.out)
        fsync_folder(self.out.parent)
        self.end()

    def end(self) -> None:
        """Remove what is not needed any more; the mark last, for it says whose the folder is."""
        for each in (self.made, self.old, self.corpus):
            if each.exists():
                shutil.rmtree(each)
            fault("publication_cleared", each)
        (self.folder / _MARK).unlink(missing_ok=True)
        self.folder.rmdir()

    def _mark(self) -> dict[str, Any] | None:
        if self.folder.is_symlink():
            return None
        try:
            found = json.loads((self.folder / _MARK).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "key" in found else None
