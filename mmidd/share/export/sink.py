"""A folder of exported files that proves itself: every file has its line in a list of digests, as `sha256sum` writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mmidd.engine.faults import fault
from mmidd.engine.files import sha256_file, write_text
from mmidd.errors import CorpusError
from mmidd.findings import Finding
from mmidd.share.export.marks import ABOUT, LIST, NAME, Mark, list_of

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
        if not (folder / ABOUT).is_file() or (folder / ABOUT).stat().st_size > _MOST_BYTES:
            return None
        found: Any = json.loads((folder / ABOUT).read_bytes())
        rows, files, size = (int(found[name]) for name in ("rows", "files", "bytes"))
        left_out, sha256 = tuple(map(str, found["left_out"])), found["list_sha256"]
        return Label(
            str(found["exporter"]), str(found["corpus"]), int(found["version"]), rows, left_out, files, size, sha256
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


class FolderSink:
    """Writes files into a folder, a new one or one that was brought back to its mark (with the `digests` of the files that
    grow), and lists them. A context manager: at its end every file is closed. `watch` is told each mark's rows."""

    def __init__(
        self,
        folder: Path,
        mark: Mark | None = None,
        digests: Mapping[str, Any] | None = None,
        watch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._mark = mark or Mark()
        self.folder, self.done, self.files, self.bytes = folder, self._mark.rows, self._mark.files, self._mark.bytes
        self._digests, self._watch = dict(digests or {}), watch
        self._growing: dict[str, tuple[BinaryIO, Any]] = {}
        self._made: set[Path] = set()

    def __enter__(self) -> FolderSink:
        self._list = (self.folder / LIST).open("ab" if self._mark.rows else "xb")
        for name, digest in self._digests.items():
            self._growing[name] = ((self.folder / name).open("ab"), digest)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as files:
            files.push(self._list)
            for file, _ in self._growing.values():
                files.push(file)
            for name in [*self._growing] if kind is None else ():
                self.end(name)

    def put(self, name: str, data: bytes) -> None:
        """Write a whole file. It is listed before: what a kill leaves of it can be found by its name."""
        path = self._place(name)
        self._note(name, hashlib.sha256(data).hexdigest())
        with _new(path, name) as file:
            file.write(data)
        self.bytes += len(data)
        fault("exported", name)

    def add(self, name: str, data: bytes) -> None:
        """Write on at the end of a file."""
        if name not in self._growing:
            path = self._place(name)
            self._mark = replace(self._mark, growing={**self._mark.growing, name: (0, "")})
            self._mark.write(self.folder)
            self._growing[name] = (_new(path, name), hashlib.sha256())
        file, digest = self._growing[name]
        file.write(data)
        digest.update(data)
        self.bytes += len(data)
        fault("exported", name)

    def end(self, name: str) -> None:
        """A growing file is whole."""
        file, digest = self._growing.pop(name)
        file.close()
        self._note(name, digest.hexdigest())

    def read(self, name: str) -> Iterator[bytes]:
        """The lines of a growing file so far."""
        self._growing[name][0].flush()
        with (self.folder / name).open("rb") as file:
            yield from file

    def mark(self, rows: int) -> None:
        """So many rows are done: a kill from now on loses nothing of them."""
        growing = {}
        for name, (file, digest) in self._growing.items():
            file.flush()
            growing[name] = (file.tell(), digest.hexdigest())
        self._mark = Mark(rows, self.files, self.bytes, self._list.tell(), growing)
        self._mark.write(self.folder)
        self._watch(rows)
        fault("marked", rows)

    def _place(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise CorpusError(f"an export would write a file of the name {name!r}; names are plain words alone")
        path = self.folder / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path

    def _note(self, name: str, sha256: str) -> None:
        self._list.write(f"{sha256}  {name}\n".encode())
        self._list.flush()
        self.files += 1


def _new(path: Path, name: str) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise CorpusError(f"an export would write {name} twice") from error


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
    with (folder / LIST).open("rb") as file:
        for sha256, name in list_of(file, (folder / LIST).stat().st_size):
            if not NAME.fullmatch(name):
                raise CorpusError(f"{folder / LIST} lists {name!r}, which no export writes")
            yield name, sha256


def _found(name: str, what: str) -> Finding:
    return Finding("export", what, (name,))
