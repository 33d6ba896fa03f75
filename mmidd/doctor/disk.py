"""The file systems that a build would use: room, leave to write, locks, hard links, the clock."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from mmidd.doctor.report import Check, State, attempt, shown
from mmidd.engine.lock import NO_LOCKS
from mmidd.faces.weights import cache_folder

LEAST_BYTES, FEW_BYTES = 100 * 10**6, 5 * 10**9
LEAST_FILES, FEW_FILES = 1_000, 50_000
CLOCK_S = 60.0
"""Left-over files are told by their age: a clock that is off by more may make one look old, or young."""
_NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "lustre", "gpfs", "beegfs", "ceph", "9p")


def disks(out: Path | None, work: Path | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Every folder that a build would use."""
    for name, place in places(out, work, environ).items():
        yield from attempt("disk", name, partial(_looked, name, place))
    if out is not None and work is not None:
        yield from attempt("disk", "out and work", partial(together, out, work))


def _looked(name: str, place: Callable[[], Path]) -> Iterator[Check]:
    yield from folder(name, place())


def places(out: Path | None, work: Path | None, environ: Mapping[str, str]) -> dict[str, Callable[[], Path]]:
    """The folders to look at: a corpus is made beside the one it replaces, so its parent counts. To name one may fail."""
    found: dict[str, Callable[[], Path]] = {}
    if out is not None:
        found["out"] = lambda: out.resolve().parent
    if work is not None:
        found["work"] = lambda: work
    if environ.get("MMIDD_CACHE"):
        found["MMIDD_CACHE"] = lambda: Path(environ["MMIDD_CACHE"])
    return found | {"temporary files": lambda: Path(tempfile.gettempdir()), "model cache": cache_folder}


def existing(path: Path) -> Path:
    """The nearest folder at or above `path` that exists."""
    here = path.absolute()
    return next((place for place in (here, *here.parents) if place.is_dir()), Path("/"))


def folder(name: str, path: Path, least: int = LEAST_BYTES, few: int = FEW_BYTES) -> Iterator[Check]:
    """Everything about one folder, or of where it would be made."""
    place = existing(path)
    about = os.statvfs(place)
    where = f"{shown(place)} ({_type_of(place)})"
    yield _space(name, where, about.f_bavail * about.f_frsize, few if name in ("out", "work") else few // 10, least)
    if about.f_files:
        yield _files(name, where, about.f_favail)
    if about.f_flag & os.ST_RDONLY:
        yield Check("disk", f"{name}: writing", "problem", f"{where} is mounted read-only", _elsewhere(name))
        return
    before = time.time()
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".mmidd-doctor-") as scratch:
            probe = Path(scratch) / "a"
            probe.write_bytes(b"x")
            told = probe.stat().st_mtime
            after = time.time()
            yield Check("disk", f"{name}: writing", "ok", f"{where} can be written")
            if name in ("out", "work", "MMIDD_CACHE"):
                yield _locks(name, where, probe)
                yield _links(name, where, probe)
                yield _clock(name, where, before, told, after)
    except OSError as error:
        found = f"{where} cannot be written: {error.strerror}"
        yield Check("disk", f"{name}: writing", "problem" if name != "model cache" else "warning", found, _elsewhere(name))


def _elsewhere(name: str) -> str:
    return {
        "out": "make it writable, or choose another --out",
        "work": "make it writable, or choose another --work",
        "temporary files": "make it writable, or name another folder in TMPDIR",
        "model cache": "name a folder that holds the models in MMIDD_MODELS, or another cache in XDG_CACHE_HOME",
    }.get(name, f"make it writable, or name another folder in {name}")


def _space(name: str, where: str, free: int, few: int, least: int) -> Check:
    found = f"{free / 1e9:.1f} GB free at {where}"
    if free < least:
        return Check(
            "disk", f"{name}: space", "problem", found, "make room; mmidd gc WORK removes what no build reads any more"
        )
    if free < few:
        return Check("disk", f"{name}: space", "warning", found, "mmidd plan says how much a build needs")
    return Check("disk", f"{name}: space", "ok", found)


def _files(name: str, where: str, free: int) -> Check:
    found = f"{free:,} more files fit at {where}"
    if free < FEW_FILES:
        state: State = "problem" if free < LEAST_FILES else "warning"
        return Check("disk", f"{name}: inodes", state, found, "make room for more files (inodes), or choose another place")
    return Check("disk", f"{name}: inodes", "ok", found)


def _locks(name: str, where: str, probe: Path) -> Check:
    """Does a lock keep a second one out?"""
    advice = "let only one mmidd command run on it at a time"
    with probe.open("rb") as first, probe.open("rb") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Check("disk", f"{name}: locks", "ok", f"{where} keeps locks")
        except OSError as error:
            why = "has no locks" if error.errno in NO_LOCKS else f"gives no lock: {error.strerror}"
            if name == "MMIDD_CACHE":
                return Check("disk", f"{name}: locks", "problem", f"{where} {why}", "name a folder on a local disk")
            return Check("disk", f"{name}: locks", "warning", f"{where} {why}", advice)
    return Check("disk", f"{name}: locks", "warning", f"{where} gives one lock to two at once", advice)


def _links(name: str, where: str, probe: Path) -> Check:
    try:
        os.link(probe, probe.with_name("b"))
    except OSError as error:
        found = f"{where} has no hard links ({error.strerror}): shards that stay the same are copied"
        return Check("disk", f"{name}: hard links", "note", found, "nothing to do; a disk with hard links is faster")
    return Check("disk", f"{name}: hard links", "ok", f"{where} has hard links")


def _clock(name: str, where: str, before: float, told: float, after: float) -> Check:
    off = told - after if told > after else min(told - before, 0.0)
    if abs(off) > CLOCK_S:
        found = f"the clock of {where} is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this machine's"
        return Check("disk", f"{name}: clock", "warning", found, "set both by NTP: left-over files are told by their age")
    return Check("disk", f"{name}: clock", "ok", f"the clock of {where} agrees with this machine's")


def together(out: Path, work: Path) -> Iterator[Check]:
    """Are corpus and work folder on one file system? Nothing is renamed between them, but their room is one."""
    places = [existing(out.resolve().parent), existing(work)]
    if places[0].stat().st_dev == places[1].stat().st_dev:
        yield Check("disk", "out and work", "ok", "on one file system: they share its room")
    else:
        yield Check("disk", "out and work", "ok", "on two file systems: crops are copied once when shards are written")
    for name, place in zip(("out", "work"), places, strict=True):
        kind = _type_of(place)
        if kind in ("tmpfs", "ramfs"):
            found, advice = (
                f"{shown(place)} is memory ({kind}): it is gone when the machine restarts",
                f"choose another --{name}",
            )
            yield Check("disk", f"{name}: kind", "warning", found, advice)
        elif kind.startswith(_NETWORK):
            yield Check("disk", f"{name}: kind", "ok", f"{shown(place)} is on a network ({kind})")


def _type_of(place: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that a folder is on; "?" where the system does not say."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return "?"
    here, best, kind = place.resolve(), Path("/"), "?"
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        mount = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), words[1]))
        if here.is_relative_to(mount) and (kind == "?" or len(mount.parts) >= len(best.parts)):
            best, kind = mount, words[2]
    return kind
