"""Where device processes and their clients meet: a private folder of this user, a socket for each process in it, and a lock
under which clients choose and start one, and under which a process ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmidd.engine.device import gpus, no_gpu
from mmidd.engine.start import ONE_THREAD
from mmidd.errors import MmiddError, WorkError, reason, sanitised
from mmidd.networks.network import Device, Runtime

LOCK_S, _LOOK_S, _START_S = 120.0, 0.01, 60.0
_BACKLOG = 512
GO_ON = "run the same command to go on"
_LAST_BYTES, _LAST_LINES = 4096, 3
_ENVIRONMENT = {
    **ONE_THREAD,
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # with several streams, cuBLAS is else free in the order of its sums
    "PYTHONSAFEPATH": "1",
}
_JOB = ("SLURM_JOB_ID", "SLURM_PROCID", "CUDA_DEVICE_ORDER")
_ROOT = Path(__file__).resolve().parents[2]


class Folder:
    """The private folder, open. Paths go through the descriptor: they are short, and nobody can swap the folder."""

    def __init__(self, path: Path) -> None:
        """Made if it is not there. Raises WorkError where it is not this user's own alone."""
        self.path = path
        try:
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise WorkError(
                f"the folder {path}, in which device processes are met, cannot be used ({reason(error) or error.strerror}): "
                "remove what is there, or set TMPDIR to a folder of your own"
            ) from error
        about = os.fstat(self.fd)
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            os.close(self.fd)
            raise WorkError(
                f"the folder {path}, in which device processes are met, can be used by others than you: remove it, or set "
                "TMPDIR to a folder of your own"
            )

    @classmethod
    def inherited(cls, fd: int) -> Folder:
        """The folder that whoever started this process has checked."""
        folder = cls.__new__(cls)
        folder.fd, folder.path = fd, Path(f"/proc/self/fd/{fd}").readlink()
        return folder

    def at(self, name: str) -> str:
        """A path to a file in it, short enough for a socket."""
        return f"/proc/self/fd/{self.fd}/{name}"

    def names(self) -> list[str]:
        return os.listdir(self.fd)  # noqa: PTH208

    def remove(self, *names: str) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.fd)

    def try_lock(self, key: str) -> int | None:
        """The lock of those who meet by this key, as a descriptor that holds it until it is closed; None if it is held."""
        fd = os.open(f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == os.stat(f"{key}.lock", dir_fd=self.fd).st_ino:  # else it was removed meanwhile
                return fd
        os.close(fd)
        return None

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Raises WorkError where others hold the lock far too long."""
        until = time.monotonic() + LOCK_S
        while (fd := self.try_lock(key)) is None:
            if time.monotonic() > until:
                raise WorkError(f"another process holds {self.path / key}.lock since {LOCK_S:g} s; end it, and try again")
            time.sleep(_LOOK_S)
        try:
            yield
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self.fd)


def folder() -> Folder:
    """The one of this user on this machine: in XDG_RUNTIME_DIR, where that is, else where temporary files go."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "-")
    private = runtime.is_absolute() and runtime.is_dir() and os.access(runtime, os.W_OK)
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]  # several may share a disk for temporary files
    return Folder((runtime if private else Path(tempfile.gettempdir())) / f"mmidd-networks-{os.geteuid()}-{machine}")


def key_of(device: Device, runtime: Runtime) -> str:
    """Who meets: those with the same code of mmidd, libraries, Python and way to compute, of one job of a cluster (whose end
    ends all that it started)."""
    about = [device, runtime, sys.executable, sys.version, *map(_version, ("mmidd", "torch", "numpy"))]
    about += [_version("onnxruntime"), _version("onnxruntime-gpu"), *(os.environ.get(name, "") for name in _JOB)]
    code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256("\0".join([str(_ROOT), *about, *code]).encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def entries_of(device: Device) -> list[str]:
    """What to choose from: GPUs as CUDA_VISIBLE_DEVICES names each, '' for the CPU. Raises MmiddError for no GPU at all."""
    if device == "cpu":
        return [""]
    if lacking := no_gpu():
        raise MmiddError(f"device cuda was asked for, but {lacking}; use --device cpu")
    return gpus()


def name_of(key: str, entry: str) -> str:
    """What the files of the process for this GPU ('' on the CPU) are called, without their endings."""
    return f"{key}.{hashlib.sha256(entry.encode()).hexdigest()[:8]}"


def connect(place: Folder, name: str, patience: float) -> socket.socket | None:
    """A channel to the process of that name; None if there is none. Raises OSError."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.settimeout(patience)
        channel.connect(place.at(f"{name}.sock"))
        return channel
    except (FileNotFoundError, ConnectionRefusedError):
        channel.close()
        return None
    except BaseException:
        channel.close()
        raise


def start(place: Folder, key: str, entry: str, device: Device, runtime: Runtime) -> None:
    """Start the process for this GPU; under the lock. Clients can connect from now on. Raises WorkError."""
    _sweep(place, key)
    name = name_of(key, entry)
    place.remove(f"{name}.sock")
    own = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        os.fdopen(os.open(f"{name}.log", own, 0o600, dir_fd=place.fd), "wb") as log,
    ):
        listener.bind(place.at(f"{name}.sock"))
        listener.listen(_BACKLOG)
        files = listener.fileno(), place.fd
        words = [sys.executable, "-P", "-m", "mmidd.networks.process", *map(str, files), key, name, device, runtime]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd="/", env=_environment(entry),
                pass_fds=files, start_new_session=True, timeout=_START_S, check=False,
            ).returncode  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            place.remove(f"{name}.sock")
            raise WorkError(f"the device process cannot be started ({sanitised(str(error))})") from error
    if done:
        place.remove(f"{name}.sock")
        how = f" (signal {-done})" if done < 0 else ""
        raise WorkError(f"the device process cannot be started{how}{last_words(place, name)}; {GO_ON}")


def _environment(entry: str) -> dict[str, str]:
    """That of the process: it finds the same mmidd as we, and nothing in the current folder."""
    listed = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]  # noqa: PTH100
    ours = [] if _ROOT.name in ("site-packages", "dist-packages") else [str(_ROOT)]
    path = {"PYTHONPATH": os.pathsep.join(dict.fromkeys([*ours, *listed]))}
    return {**os.environ, **_ENVIRONMENT, **path, **({"CUDA_VISIBLE_DEVICES": entry} if entry else {})}


def last_words(place: Folder, name: str) -> str:
    """What a dead process said at its end, to be added to a message; empty if nothing."""
    try:
        data = Path(place.at(f"{name}.log")).read_bytes()[-_LAST_BYTES:]
    except OSError:
        return ""
    lines = [line for line in map(sanitised, data.decode("utf-8", "replace").splitlines()) if line]
    return f"; its last words: {' | '.join(lines[-_LAST_LINES:])}" if lines else ""


def leave(place: Folder, key: str, name: str, came: Callable[[], bool]) -> bool:
    """Take this process's files away, so that nobody comes any more. False, and nothing is changed, if somebody is just
    choosing or `came` says that somebody was faster."""
    fd = place.try_lock(key)
    if fd is None:
        return False
    try:
        if came():
            return False
        _remove(place, key, name)
        return True
    finally:
        os.close(fd)


def _remove(place: Folder, key: str, name: str) -> None:
    """The files of a process, and the lock where it was the last that meets by this key; under the lock."""
    place.remove(f"{name}.sock", f"{name}.log")
    if not any(re.fullmatch(rf"{key}\..+\.(sock|log)", other) for other in place.names()):
        place.remove(f"{key}.lock")


def _sweep(place: Folder, own: str) -> None:
    """Take away what killed processes left that meet by other keys."""
    for key in {name.partition(".")[0] for name in place.names()} - {own}:
        with suppress(OSError):  # what somebody else put there is not ours to judge
            _swept(place, key)


def _swept(place: Folder, key: str) -> None:
    fd = place.try_lock(key)
    if fd is None:
        return
    try:
        names = {name.rpartition(".")[0] for name in place.names() if name.startswith(f"{key}.")} - {key}
        for name in names:
            if not _listens(place, name):
                place.remove(f"{name}.sock", f"{name}.log")
        if not any(_listens(place, name) for name in names):
            place.remove(f"{key}.lock")
    finally:
        os.close(fd)


def _listens(place: Folder, name: str) -> bool:
    try:
        channel = connect(place, name, 1.0)
    except OSError:  # its queue is full, or it is a stranger's: not ours to judge
        return True
    if channel is not None:
        channel.close()
    return channel is not None
