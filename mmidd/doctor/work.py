"""A work folder: is it one, what was the last build on it, is somebody writing there? Reads only; takes no lock."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mmidd.doctor.report import Check, attempt, shown
from mmidd.engine.store import FORMAT, LOCK, MARKER
from mmidd.options import LAST, is_whole


def folder(place: Path) -> Iterator[Check]:
    """What lies at the place of a work folder."""
    if place.is_symlink() and not place.exists():
        yield _problem(f"{shown(place)} is a link to nothing", "remove it, or choose another --work")
    elif not place.exists():
        yield Check("work", "folder", "ok", f"{shown(place)} is not there yet: a build makes it")
    elif not place.is_dir():
        yield _problem(f"{shown(place)} is a file", "choose another --work")
    elif not (place / MARKER).exists():
        strange = [entry.name for entry in place.iterdir() if entry.name != "tmp"]
        if strange:
            found = f"{shown(place)} is no work folder of mmidd: it holds {shown(sorted(strange)[0])} and no {MARKER}"
            yield _problem(found, "choose another --work")
        else:
            yield Check("work", "folder", "ok", f"{shown(place)} is empty: a build can use it")
    else:
        yield _format(place)
        yield from attempt("work", "last build", partial(_last, place))
        yield from attempt("work", "lock", partial(_lock, place))


def _problem(found: str, advice: str) -> Check:
    return Check("work", "folder", "problem", found, advice)


def _json(path: Path) -> Any:
    """What a note holds; None where it is broken."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _format(place: Path) -> Check:
    note = _json(place / MARKER)
    found = note.get("format") if isinstance(note, dict) else None
    if found is None:
        advice = f'if it is a work folder, write {{"format":{FORMAT}}} into that file, else choose another --work'
        return _problem(f"{shown(place / MARKER)} cannot be read", advice)
    if found != FORMAT:
        advice = "use the mmidd that made it, or choose another --work"
        return _problem(f"{shown(place)} has format {shown(found)}, this mmidd writes {FORMAT}", advice)
    by = note.get("mmidd")
    return Check("work", "folder", "ok", f"{shown(place)}, format {FORMAT}" + (f", made by mmidd {shown(by)}" if by else ""))


def _last(place: Path) -> Iterator[Check]:
    path = place / LAST
    if not path.exists():
        advice = "mmidd build has not come so far; status and failures need one"
        yield Check("work", "last build", "note", f"no {LAST}: nothing was built here yet", advice)
        return
    note = _json(path)
    if not is_whole(note):
        advice = "run the same mmidd build again: what is committed is not lost"
        yield Check("work", "last build", "problem", f"{shown(path)} is not whole", advice)
        return
    found = f"of {shown(note['data'])}, into {shown(note['out']) if note['out'] else 'no corpus yet'}"
    data = str(note["data"])
    if "://" not in data and not Path(data).is_dir():
        advice = "give --data the folder's new place in the next build"
        yield Check("work", "last build", "warning", f"{found}; that data root is not there any more", advice)
        return
    yield Check("work", "last build", "ok", found)


def _lock(place: Path) -> Iterator[Check]:
    """Who says to be writing here. The lock is not tried: a build that starts at this moment would find it taken."""
    path = place / LOCK
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        yield Check("work", "lock", "ok", "nobody is writing here")
        return
    note = _json(path)
    note = note if isinstance(note, dict) else {}
    pid, host = note.get("pid"), note.get("host")
    who = f"process {shown(pid)} on {shown(host)}, since {shown(note.get('since'))}" if note else "a process without a name"
    wait = "wait until it has ended, or choose another --work"
    if _in_kernel(inode) or (host == socket.gethostname() and _lives(pid)):
        yield Check("work", "lock", "warning", f"held by {who}", wait)
    elif note and host != socket.gethostname():
        yield Check("work", "lock", "warning", f"says {who}; from here nobody can tell whether that one lives", wait)
    else:
        yield Check("work", "lock", "ok", f"left by {who}, which is gone: the next command takes it")


def _in_kernel(inode: int, locks: Path = Path("/proc/locks")) -> bool:
    """Does the kernel know of a lock on this file? (Device numbers differ by file system, so the inode alone is asked.)"""
    try:
        lines = locks.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and f":{inode} " in line for line in lines)


def _lives(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
