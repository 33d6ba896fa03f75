"""Limits and watchers around a target: memory, files and processes outside its folder, and a canary for native code."""

from __future__ import annotations

import atexit
import ctypes
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


class Fault(AssertionError):
    """An entry point took what it should refuse, refused it badly, or reached outside."""


SANDBOX = "MMIDD_FUZZ_SANDBOX"
MOST_MEMORY = 4 * 2**30
_NEVER = ("pickle.find_class", "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "socket.connect", "socket.bind")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown")
_CODE = (".py", ".pyc", ".so", ".typed", ".zip", "METADATA", "entry_points.txt", ".pt")
"""Of Python and its packages: code, versions, and the weights that facenet-pytorch's wheel holds."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_reached: list[str] = []
_armed = False
_hooked = False


def new_sandbox() -> tempfile.TemporaryDirectory[str]:
    """A folder for a target, in memory where the system has such a place."""
    return tempfile.TemporaryDirectory(prefix="mmidd-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


@cache
def sandbox() -> Path:
    """The one folder that a target may use: the runner's, or one that goes with this process."""
    given = os.environ.get(SANDBOX)
    if given:
        return Path(given).resolve()
    folder = new_sandbox()
    atexit.register(folder.cleanup)
    return Path(folder.name).resolve()


def limit_memory() -> None:
    """No target may have more than MOST_MEMORY of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


@contextmanager
def watched() -> Iterator[None]:
    """Meanwhile this process may read code and the sandbox, write the sandbox, and start or call nothing. What it did
    otherwise is raised at the end as a Fault, for the code below may swallow any exception."""
    global _armed, _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    _reached.clear()
    _armed = True
    try:
        yield
    finally:
        _armed = False
    if _reached:
        raise Fault(f"reached outside: {_reached[0]}")


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _armed:
        return
    bad = event in _NEVER
    if event == "open":
        path, _, flags = (*arguments, None, 0)[:3]
        bad = isinstance(path, str | bytes) and _outside(os.fsdecode(path), flags if isinstance(flags, int) else 0)
    elif event in _CHANGES:
        bad = isinstance(arguments[0], str | bytes | os.PathLike) and not _inside(os.fspath(arguments[0]))
    if bad:
        _reached.append(f"{event} {arguments!r:.200}")


def _outside(path: str, flags: int) -> bool:
    if _inside(path) or path == os.devnull:
        return False
    place = os.path.normpath(path)
    code = place.endswith(_CODE) and place.startswith((sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), _root()))
    return bool(flags & _WRITES) or not (code or place.startswith(("/proc/", "/sys/")))


@cache
def _root() -> str:
    return str(Path(__file__).parents[2])


def _inside(path: str | bytes) -> bool:
    place = os.path.normpath(Path.cwd() / os.fsdecode(path))
    return place.startswith(f"{sandbox()}/") and "/canary" not in place


class Canary:
    """A folder that seeds point to; whoever opens a file in it, native code too, has left the input."""

    def __init__(self) -> None:
        self.folder = sandbox() / "canary"
        self.folder.mkdir(exist_ok=True)
        self.file = self.folder / "secret.ts"
        self.file.write_bytes(b"\x47" * 188 * 16)
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        libc.inotify_add_watch(self._watch, os.fsencode(self.folder), _IN_ACCESS | _IN_OPEN)

    def check(self) -> None:
        """Raises Fault where a file of the folder was opened since the last time."""
        try:
            events = os.read(self._watch, 4096)
        except BlockingIOError:
            return
        raise Fault(f"the canary was touched ({len(events)} bytes of events)")


@cache
def canary() -> Canary:
    """The canary of this process."""
    return Canary()
