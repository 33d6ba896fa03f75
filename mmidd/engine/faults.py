"""Fault points: where a test makes a process die or a disk fail. Nothing happens unless MMIDD_FAULT says so.

    MMIDD_FAULT=POINT[@PART]:N:ACTION[:TALLY][;...]

The N-th pass through POINT (of all processes that share the file TALLY) meets the ACTION; `*` is every pass. With PART (a
glob) only passes count whose place contains it. ACTION is `kill`, `exit`, `parent` (the parent is killed), `tear` (the file
that was just written is halved, then `kill`), `hang`, `gorge` (memory is taken without end), `unlink=PATH`, or the name of
an errno such as ENOSPC, which is raised.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from fnmatch import fnmatchcase
from pathlib import Path

VARIABLE = "MMIDD_FAULT"


def fault(point: str, place: object = "", file: Path | None = None) -> None:
    """Pass a fault point. `place` says what it is about, `file` is what `tear` halves."""
    orders = os.environ.get(VARIABLE)
    if orders is not None:
        for order in orders.split(";"):
            _meet(order, point, str(place), file)


def _meet(order: str, point: str, place: str, file: Path | None) -> None:
    where, number, action, *tally = order.split(":", 3)
    name, _, part = where.partition("@")
    if name == point and fnmatchcase(place, f"*{part}*") and (number == "*" or _passes(*tally) == int(number)):
        _act(action, file)


def _passes(tally: str) -> int:
    """Count this pass: an append is atomic, and where it ended says how many there were before."""
    handle = os.open(tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, b".")
        return os.lseek(handle, 0, os.SEEK_CUR)
    finally:
        os.close(handle)


def _act(action: str, file: Path | None) -> None:
    if action == "tear" and file is not None:
        os.truncate(file, file.stat().st_size // 2)
    if action in ("kill", "tear"):
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "parent":
        os.kill(os.getppid(), signal.SIGKILL)
    elif action == "exit":
        os._exit(7)
    elif action == "hang":
        time.sleep(3600)
    elif action == "gorge":
        _gorge()
    elif action.startswith("unlink="):
        Path(action.removeprefix("unlink=")).unlink(missing_ok=True)
    else:
        code = getattr(errno, action)
        raise OSError(code, os.strerror(code))


def _gorge() -> None:
    held = []
    while True:
        held.append(b"x" * (1 << 25))
        time.sleep(0.01)
