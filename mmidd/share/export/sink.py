"""A folder of exported files that proves itself: every file has its line in a list of digests, as `sha256sum` writes it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mmidd.engine.faults import fault
from mmidd.engine.files import sha256_file, write_text
from mmidd.errors import CorpusError
from mmidd.findings import Finding

ABOUT, LIST = ".mmidd-export.json", ".mmidd-export.sha256"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Label:
    """Whose the folder is: the exporter, its version, the digest of the corpus; and, once it is whole, what is in it."""

    exporter: str
    corpus: str
    version: int
    rows: int = 0
    left_out: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    list_sha256: str | None = None

    def write(self, folder: Path) -> None:
        """Put it into the folder."""
        write_text(folder / ABOUT, json.dumps(asdict(self), indent=1) + "\n", scratch=folder)

    def is_of(self, other: Label) -> bool:
        """The same export of the same corpus?"""
        return (self.exporter, self.version, self.corpus) == (other.exporter, other.version, other.corpus)


def read_label(folder: Path) -> Label | None:
    """Whose a folder is; None for one that no export wrote."""
    try:
        if (folder / ABOUT).stat().st_size > _MOST_BYTES:
            return None
        found: Any = json.loads((folder / ABOUT).read_bytes())
        rows, files, size = (int(found[name]) for name in ("rows", "files", "bytes"))
        left_out, sha256 = tuple(map(str, found["left_out"])), found["list_sha256"]
        return Label(
            str(found["exporter"]), str(found["corpus"]), int(found["version"]), rows, left_out, files, size, sha256
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


class FolderSink:
    """Writes files into a new folder, and lists them. A context manager: at its end every file is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.bytes = folder, 0, 0
        self._growing: dict[str, tuple[BinaryIO, Any]] = {}
        self._made: set[Path] = set()

    def __enter__(self) -> FolderSink:
        self._list = (self.folder / LIST).open("x", encoding="ascii")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, (file, digest) in self._growing.items():
            file.close()
            self._note(name, digest.hexdigest())
        self._list.close()

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        with self._new(name) as file:
            file.write(data)
        self.bytes += len(data)
        self._note(name, hashlib.sha256(data).hexdigest())
        fault("exported", name)

    def add(self, name: str, data: bytes) -> None:
        """Write on at the end of a file."""
        if name not in self._growing:
            self._growing[name] = (self._new(name), hashlib.sha256())
        file, digest = self._growing[name]
        file.write(data)
        digest.update(data)
        self.bytes += len(data)

    def _new(self, name: str) -> BinaryIO:
        if not _NAME.fullmatch(name):
            raise CorpusError(f"an export would write a file of the name {name!r}; names are plain words alone")
        path = self.folder / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        try:
            return path.open("xb")
        except FileExistsError as error:
            raise CorpusError(f"an export would write {name} twice") from error

    def _note(self, name: str, sha256: str) -> None:
        self._list.write(f"{sha256}  {name}\n")
        self.files += 1


def check(folder: Path) -> Iterator[Finding]:
    """What is not as it was exported, from the files alone: every one against its digest, and none too many."""
    label = read_label(folder)
    if label is None or label.list_sha256 is None or not (folder / LIST).is_file():
        yield _found(ABOUT, "does not say that the export is whole")
        return
    if sha256_file(folder / LIST) != label.list_sha256:
        yield _found(LIST, "is not the list that was written")
        return
    count = 0
    for name, sha256 in _listed(folder):
        path = folder / name
        count += 1
        if path.is_symlink() or not path.is_file():
            yield _found(name, "is missing")
        elif sha256_file(path) != sha256:
            yield _found(name, "has another checksum than it should")
    if count != label.files:
        yield _found(LIST, f"lists {count} files, not {label.files}")
    yield from _unlisted(folder, count)


def _unlisted(folder: Path, count: int) -> Iterator[Finding]:
    """Files that nobody exported. Their names are only looked for where their number says that there are some."""
    present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    if sum(1 for _ in present) > count + 2:
        known = {name for name, _ in _listed(folder)} | {ABOUT, LIST}
        names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        for name in sorted(set(names) - known):
            yield _found(name, "is not of the export")


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / LIST).open(encoding="ascii", errors="replace") as file:
        for line in file:
            sha256, _, name = line.rstrip("\n").partition("  ")
            if not _NAME.fullmatch(name):
                raise CorpusError(f"{folder / LIST} lists {name!r}, which no export writes")
            yield name, sha256


def _found(name: str, what: str) -> Finding:
    return Finding("export", what, (name,))
