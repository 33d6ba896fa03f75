"""How far an export is that is being written, so that the next one can go on after a kill.

A mark is written when everything before it is (in the kernel's hands, that is: a kill loses none of it). After a power cut
files may be other than the mark says; each is read against its digest before anything is built on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmidd.engine.files import digest, sha256_file

ABOUT, LIST, MARK = ".mmidd-export.json", ".mmidd-export.sha256", ".mmidd-export.part.json"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
"""What a file of an export may be called."""
_MOST_BYTES = 1 << 20
_PIECE = 1 << 20


@dataclass(frozen=True)
class Mark:
    """After so many rows: files and bytes that are written, bytes of the list, and size and sha256 of files that grow."""

    rows: int = 0
    files: int = 0
    bytes: int = 0
    listed: int = 0
    growing: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def seal(self) -> str:
        """A digest of it: a mark that was damaged would leave rows out, and nothing else could tell."""
        return digest(asdict(self))

    def write(self, folder: Path) -> None:
        """Put it into the folder, in one step."""
        temporary = folder / f"{MARK}.tmp"
        temporary.write_text(json.dumps({**asdict(self), "seal": self.seal}), encoding="utf-8")
        temporary.replace(folder / MARK)


def read_mark(folder: Path) -> Mark | None:
    """The mark of a folder; None where there is none that can be read, or not as it was written."""
    try:
        if not (folder / MARK).is_file() or (folder / MARK).stat().st_size > _MOST_BYTES:
            return None
        found: Any = json.loads((folder / MARK).read_bytes())
        growing = {str(name): (int(size), str(sha256)) for name, (size, sha256) in found["growing"].items()}
        if not all(map(NAME.fullmatch, growing)):
            return None
        rows, files, size, listed = (int(found[name]) for name in ("rows", "files", "bytes", "listed"))
        mark = Mark(rows, files, size, listed, growing)
        return mark if found["seal"] == mark.seal else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def restore(folder: Path, mark: Mark) -> dict[str, Any] | None:
    """Bring a folder back to its mark: what was written since is taken away.

    Gives the running digest of every file that grows. None where a file is not as the mark says, where there is one that no
    export wrote, or a link, through which files outside would be written: then nothing is touched.
    """
    try:
        if (present := _plain_files(folder)) is None:
            return None
        digests = {name: _digest(folder / name, size) for name, (size, _) in mark.growing.items() if size}
        if any(running.hexdigest() != mark.growing[name][1] for name, running in digests.items()):
            return None
        with (folder / LIST).open("rb") as file:
            lines = list_of(file, mark.listed)
            if sum(1 for _ in lines) != mark.files:
                return None
            file.seek(0)
            if not all(_is_as_listed(folder / name, sha256) for sha256, name in list_of(file, mark.listed)):
                return None
            file.seek(mark.listed)
            since = [name for _, name in list_of(file, 1 << 40) if NAME.fullmatch(name)]
        later = {name for name in (*since, *mark.growing) if name not in digests and (folder / name).is_file()}
    except (OSError, ValueError):
        return None
    if present != mark.files + len(digests) + len(later):
        return None
    for name in later:
        (folder / name).unlink()
    for name in [LIST, *digests]:
        with (folder / name).open("r+b") as file:
            file.truncate(mark.listed if name == LIST else mark.growing[name][0])
    for temporary in folder.glob("*.tmp"):
        temporary.unlink()
    return digests


def _plain_files(folder: Path) -> int | None:
    """How many files an export has written below a folder, its own notes not counted; None where something is no file."""
    count = 0
    for place, folders, names in os.walk(folder):
        paths = [os.path.join(place, name) for name in names]  # noqa: PTH118 (millions of them)
        if any(os.path.islink(os.path.join(place, each)) for each in folders):  # noqa: PTH114, PTH118
            return None
        if not all(stat.S_ISREG(os.lstat(path).st_mode) for path in paths):
            return None
        count += len(paths)
    own = (LIST, MARK, ABOUT, *(path.name for path in folder.glob("*.tmp")))
    return count - sum((folder / name).exists() for name in own)


def list_of(file: Any, size: int) -> Iterator[tuple[str, str]]:
    """Digest and name of each line of a list, of which so many bytes count."""
    while size > 0 and (line := file.readline()):
        size -= len(line)
        sha256, _, name = line.decode("ascii", "replace").rstrip("\n").partition("  ")
        yield sha256, name


def _is_as_listed(path: Path, sha256: str) -> bool:
    return path.is_file() and not path.is_symlink() and sha256_file(path) == sha256


def _digest(path: Path, size: int) -> Any:
    """The running digest of a file's first bytes."""
    running = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            running.update(piece)
            size -= len(piece)
    return running
