"""The names of files that are being written: they tell whose they are, so that what a dead process left can be cleared."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_ISREG

_TEMPORARY = re.compile(r"(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)-[0-9a-f]{32}\.tmp")
OLD_S = 24 * 3600.0
"""A temporary of another machine is left over when it is as old as this, by the clock of its own file system."""


def temporary(scratch: Path) -> Path:
    """A new name in `scratch` that tells whose file it is."""
    return scratch / f"{machine()}-{os.getpid()}-{uuid.uuid4().hex}.tmp"


@cache
def machine() -> str:
    """Where this process's id means something: the host, and its process namespace."""
    namespace = Path("/proc/self/ns/pid")
    about = f"{socket.gethostname()} {namespace.readlink() if namespace.is_symlink() else ''}"
    return hashlib.sha256(about.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Left:
    """Temporaries that nobody writes any more."""

    paths: tuple[Path, ...]
    bytes: int

    def remove(self) -> None:
        """Delete them."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def left_over(scratch: Path) -> Left:
    """What dead processes of this machine left in `scratch`, and whatever lies there for a day.

    Another machine's process may be writing still, though the command that began it is gone: its files have to be old. A
    clock that moved backwards makes files look young, and they stay.
    """
    found: list[Path] = []
    size = 0
    now, ours = clock(scratch), not scratch.is_symlink()  # a link may lead to where others keep theirs
    for path in sorted(scratch.glob("*.tmp")) if now is not None else ():
        with suppress(FileNotFoundError):
            about = path.lstat()
            old = (now or 0.0) - about.st_mtime > OLD_S and (ours or _TEMPORARY.fullmatch(path.name))
            if S_ISREG(about.st_mode) and (old or _dead(path.name)):
                found.append(path)
                size += about.st_size
    return Left(tuple(found), size)


def clock(scratch: Path) -> float | None:
    """What time it is by the file system that keeps `scratch`; None where it cannot be asked."""
    probe = temporary(scratch)
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return None
    finally:
        probe.unlink(missing_ok=True)


def _dead(name: str) -> bool:
    match = _TEMPORARY.fullmatch(name)
    if match is None or match["machine"] != machine():
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
