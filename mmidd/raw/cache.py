"""Copies of objects on a disk of this machine: bounded, the least recently used goes first, none while it is in use.

A copy is in use while somebody holds a shared lock on it. Each machine has a folder of its own, so locks need not cross
machines. A copy that is being made has a temporary name; two processes that want the same one make it once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, write_whole
from mmidd.engine.lock import NO_LOCKS
from mmidd.engine.temporary import OLD_S, clock, left_over, machine
from mmidd.errors import UsageError, WorkError

PLACE, LIMIT = "MMIDD_CACHE", "MMIDD_CACHE_GB"
LIMIT_GB = 20.0
_PLACES = 3
"""Hexadecimal digits of a copy's name that name its folder; copies of one folder are made one after the other."""

_left: dict[Path, int] = {}
"""Bytes that this process may add to a folder before it has to look again how full that is."""


class Copy:
    """A copy, which stays where it is while this object lives."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self._handle = path, handle

    def __del__(self) -> None:
        os.close(self._handle)


@dataclass(frozen=True)
class Cache:
    """Where copies are kept, and how many bytes of them on each machine."""

    folder: Path
    limit: int

    @classmethod
    def of(cls, work: Path) -> Cache:
        """That of a work folder, or what MMIDD_CACHE and MMIDD_CACHE_GB say. Raises UsageError."""
        said = os.environ.get(LIMIT, str(LIMIT_GB))
        try:
            limit = float(said)
        except ValueError:
            limit = 0.0
        if not 0 < limit < 1e9:
            raise UsageError(f"{LIMIT}={said}: give the size of the cache in GB, as a number above 0")
        place = os.environ.get(PLACE)
        return cls((Path(place) if place else work / "remote").absolute(), round(limit * 1e9))

    @property
    def _here(self) -> Path:
        return self.folder / machine()

    @property
    def _scratch(self) -> Path:
        return self._here / "tmp"

    def copy(self, name: str, size: int, pieces: Callable[[], Iterable[bytes]]) -> Copy:
        """The copy of this name (hexadecimal digits and a suffix); made of the `pieces` where there is none.

        Raises WorkError for this disk's faults, and what `pieces` raises.
        """
        path = self._here / name[:_PLACES] / name
        while True:
            with disk_errors(path):
                found = _held(path, size)
            if found is not None:
                return found
            with self._alone(path.parent):
                if not path.exists():
                    self._make_room(size)
                    self._write(path, pieces)

    def _write(self, path: Path, pieces: Callable[[], Iterable[bytes]]) -> None:
        def write(temporary: Path) -> Path:
            with temporary.open("wb") as file:
                for piece in pieces():
                    file.write(piece)
                    fault("fetched", path)
            return path

        write_whole(write, scratch=self._scratch)

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Only one makes copies in this folder at a time."""
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, fcntl.LOCK_EX, folder)
            yield
        finally:
            os.close(handle)

    def _make_room(self, size: int) -> None:
        """Let old copies go until this one fits: into the limit, and into half of what the disk has free beside them.

        To look costs as much as there are copies, so each process has an allowance between two looks; together they
        stay within an eighth of the limit.
        """
        if size <= _left.get(self._here, 0):
            _left[self._here] -= size
            return
        left_over(self._scratch).remove()
        entries = sorted(_entries(self._here))
        held = sum(bytes_ for _, bytes_, _ in entries)
        most = min(self.limit, (shutil.disk_usage(self._here).free + held) // 2)
        _left[self._here] = most // (8 * (os.cpu_count() or 1))
        for _, bytes_, path in entries:
            if held + size <= most - most // 8:
                return
            if _let_go(path):
                held -= bytes_

    def unused(self) -> list[Path]:
        """All copies that nobody uses, for `gc`; those of other machines once they are a day old."""
        now = clock(self._here) if self._here.exists() else None
        found: list[Path] = []
        for folder in sorted(self.folder.glob("*/")):
            own = folder.name == machine()
            if own:
                found += left_over(self._scratch).paths
            old = (now or 0.0) - OLD_S
            found += [path for used, _, path in _entries(folder) if (_let_go(path, keep=True) if own else used < old)]
        return found


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each copy was last used, its bytes, its path."""
    for path in folder.glob(f"{'[0-9a-f]' * _PLACES}/*"):
        with suppress(FileNotFoundError):
            about = path.stat()
            if path.name != "lock":
                yield about.st_mtime, about.st_size, path


def _held(path: Path, size: int) -> Copy | None:
    """The copy at `path`, if it is there and whole; from now on it is in use."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    copy, about = Copy(path, handle), os.fstat(handle)
    _lock(handle, fcntl.LOCK_SH, path.parent)
    with suppress(FileNotFoundError):
        if not os.path.samestat(about, path.stat()):  # it was let go between our two steps
            return None
        if about.st_size == size:
            os.utime(path)
            return copy
        path.unlink()
    return None


def _let_go(path: Path, *, keep: bool = False) -> bool:
    """Delete a copy (or, with `keep`, only ask whether that may be), unless somebody uses it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not keep:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _lock(handle: int, how: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise WorkError(
            f"{folder}: this file system has no locks, which copies of remote data need; name a folder on a disk of this "
            f"machine with {PLACE}=FOLDER"
        ) from error
