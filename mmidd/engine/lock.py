"""One writer at a time: an advisory lock that names its holder.

No result depends on it: commits are exactly-once without. It spares two commands from doing work twice, and lets whoever
cleans up know that nobody is writing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors

_HELD: set[int] = set()
"""Handles of this process. A fork lets go of them: else a worker that outlives its killed parent holds the lock on."""
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def held(path: Path, busy: Callable[[str], Exception], tell: Callable[[str], None] = lambda line: None) -> Iterator[bool]:
    """Hold the lock file at `path`; raise `busy(holder)` where another process does. Gives whether there are locks at all.

    The lock ends with its process, however that ends. On a file system without locks nobody is kept out: `tell` hears it.
    """
    with disk_errors(path):
        handle, locks = _locked(path)
    if handle is None:
        raise busy(_holder(path))
    _HELD.add(handle)
    try:
        if not locks:
            tell(f"{path.parent}: this file system has no locks, so nothing keeps a second command out; let only one run")
        now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(about).encode().ljust(512), 0)
        yield locks
    finally:
        if handle in _HELD:
            _HELD.discard(handle)
            path.unlink(missing_ok=True)
            os.close(handle)


def _let_go() -> None:
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_let_go)


def _locked(path: Path) -> tuple[int | None, bool]:
    """A handle on the lock file that is held now (None where another process holds it), and whether there are locks."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fault("lock", path)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None, True
        except OSError as error:
            if error.errno in NO_LOCKS:
                return handle, False
            os.close(handle)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle, True
        os.close(handle)  # its holder took the file away between our two steps


def _holder(path: Path) -> str:
    try:
        about: Any = json.loads(path.read_bytes())
        return f"process {int(about['pid'])} on {about['host']}, since {about['since']}"
    except (OSError, ValueError, TypeError, LookupError):
        return "a process that has not said its name yet"
