"""The corpus folder as a whole: who may write it, and how the next version is built beside it and swapped in."""

from __future__ import annotations

import ctypes
import errno
import filecmp
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.corpus.about import MANIFEST, SEAL
from mmidd.corpus.own import carry_over, check_free, check_ours, clear, is_version
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, fsync_folder, sha256_file
from mmidd.engine.lock import held
from mmidd.errors import CorpusError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass(frozen=True)
class Target:
    """A corpus folder `out`, and the folder beside it in which the next version is built."""

    out: Path

    @property
    def building(self) -> Path:
        return self.out.with_name(f".{self.out.name}.building")

    @property
    def old(self) -> Path:
        return self.out.with_name(f".{self.out.name}.old")

    def check(self) -> None:
        """Refuse a place that holds something else. Changes nothing."""
        with disk_errors(self.out):
            for folder in (self.building, self.old):
                check_ours(folder)
            if self.out.exists() and not self.out.is_dir():
                raise CorpusError(f"{self.out} is a file; choose a folder for --out")
            if self.out.exists() and any(self.out.iterdir()) and self.manifest() is None:
                raise CorpusError(f"{self.out} holds something that is no corpus of mmidd; nothing was touched")

    def claim(self) -> None:
        """`check`, and that the place can be written."""
        with disk_errors(self.out):
            self.check()
            with suppress(FileNotFoundError):  # another build that claims it at this moment has removed it
                self.building.mkdir(parents=True, exist_ok=True)
                if not any(self.building.iterdir()):
                    self.building.rmdir()  # it could be made; a command that stops before it has rows leaves nothing

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other builds from writing this corpus meanwhile. Raises CorpusError if one is doing so now.

        What a kill left half-way is mended: the old corpus goes back to its place, and what is the user's into the corpus.
        The lock ends with the process, however it ends. Where the file system has no locks nothing is kept out.
        """

        def busy(holder: str) -> CorpusError:
            return CorpusError(
                f"another build is writing {self.out} ({holder}); wait until it has ended, or choose another --out"
            )

        path = self.out.with_name(f".{self.out.name}.lock")
        with held(path, busy):
            self._recover()
            yield

    def _recover(self) -> None:
        with disk_errors(self.out):
            if self.old.exists() and not (self.out.exists() and (self.out.is_file() or any(self.out.iterdir()))):
                self.old.rename(self.out)
            self.check()
            for folder in (self.building, self.old):
                if is_version(folder):
                    if self.out.exists():
                        carry_over(folder, self.out)
                    (folder / MANIFEST).unlink()  # what lies there now is half a version, and may be taken over
                    check_ours(folder)
            clear(self.old)

    def manifest(self) -> dict[str, Any] | None:
        """The corpus's `mmidd.json`, or None where there is no (whole) corpus."""
        return read_manifest(self.out)

    def is_there(self, name: str, size: int) -> bool:
        """Is a file of this size in the corpus, or in the folder that is being built?"""
        places = (folder / name for folder in (self.building, self.out))
        return any(place.is_file() and place.stat().st_size == size for place in places)

    def has(self, name: str, size: int, sha256: str) -> bool:
        """Bring a file that is already right into the folder that is being built; False where there is none."""
        target = self.building / name
        for candidate in (target, self.out / name):
            if candidate.is_file() and candidate.stat().st_size == size and sha256_file(candidate) == sha256:
                if candidate != target:
                    with disk_errors(target):
                        link_or_copy(candidate, target)
                return True
        return False

    def holds(self, notes: Mapping[str, bytes], shards: Iterable[str]) -> bool:
        """Is all of this in the corpus, byte for byte: the notes, and the shards as they are in the folder beside it?"""
        return self.has_notes(notes) and all(_same(self.building / name, self.out / name) for name in shards)

    def has_notes(self, notes: Mapping[str, bytes]) -> bool:
        """Are these files in the corpus, byte for byte?"""
        places = ((self.out / name, data) for name, data in notes.items())
        return all(place.is_file() and place.read_bytes() == data for place, data in places)

    def discard(self) -> None:
        """Nothing changed: what was built beside the corpus is not needed, nor what a killed build left there."""
        for folder in (self.building, self.old):
            clear(folder)

    def write(self, notes: Mapping[str, bytes], shards: Iterable[str]) -> None:
        """Put the files beside the shards that were built; nothing else stays there. Raises CorpusError where the corpus has
        what is the user's under one of the names. `mmidd.json` has to be the last of the notes: with it a version is whole.
        """
        keep = {*notes, *shards}
        with disk_errors(self.out):
            check_free(self.out, keep)
            check_ours(self.building)
            clear(self.building, keep)
            self.building.mkdir(exist_ok=True)
            for name, data in notes.items():
                (self.building / name).write_bytes(data)

    def swap(self) -> None:
        """Put what was built in the place of the old corpus: readers see the one or the other, never a mixture. What is the
        user's in the old one is moved into the new one."""
        with disk_errors(self.out):
            for folder in (self.building / "data", self.building):
                if folder.is_dir():
                    fsync_folder(folder)
            fault("before_swap", self.out)
            if not self.out.exists():
                self.building.rename(self.out)
            elif exchange(self.building, self.out):
                fault("swapped", self.out)
                carry_over(self.building, self.out)
                clear(self.building)
            else:
                clear(self.old)
                self.out.rename(self.old)
                fault("between_renames", self.out)
                self.building.rename(self.out)
            fault("old_stays", self.out)
            if self.old.is_dir():
                carry_over(self.old, self.out)
                clear(self.old)
            fsync_folder(self.out.parent)


def _same(first: Path, second: Path) -> bool:
    if not second.is_file():
        return False
    return first.samefile(second) or filecmp.cmp(first, second, shallow=False)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the `mmidd.json` of a corpus folder says; None where there is none or it is broken. The seal is not looked at."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or "schema_version" not in content:
        return None
    return {key: value for key, value in content.items() if key != SEAL}


def manifest_bytes(about: Mapping[str, Any]) -> bytes:
    """`mmidd.json`: sealed with its own digest, and written in the one way that `verify` accepts."""
    sealed = {**about, SEAL: digest(about)}
    return json.dumps(sealed, indent=1, sort_keys=True).encode() + b"\n"


def is_written(about: Mapping[str, Any], data: bytes) -> bool:
    """Are these the bytes of `mmidd.json`? Compared as they are made: of a hostile one they could fill the memory."""
    at = 0
    for piece in json.JSONEncoder(indent=1, sort_keys=True).iterencode({**about, SEAL: digest(about)}):
        part = piece.encode()
        if data[at : at + len(part)] != part:
            return False
        at += len(part)
    return data[at:] == b"\n"


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


def exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step where the system can (Linux `renameat2`); False where it cannot."""
    try:
        fault("exchange", second)
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)
