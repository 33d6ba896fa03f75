"""What this process may use of the machine: files, memory, cores, processes, shared memory."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mmidd.doctor.report import Check, attempt, shown
from mmidd.engine.local import usable_cores

FEW_FILES, FEW_PROCESSES = 1024, 512
LITTLE_SHM = 64 * 2**20
"""What Docker gives where nobody asks for more; loaders of training want much more."""
A_WORKER = 400 * 10**6
"""About what a worker holds with yunet, in bytes (docs/clusters.md)."""


def limits() -> Iterator[Check]:
    """Every limit."""
    group = Cgroup.here()
    yield from attempt("limits", "open files", _open_files)
    yield from attempt("limits", "processes", partial(_processes, group))
    yield from attempt("limits", "cores", partial(_cores, group))
    yield from attempt("limits", "memory", partial(_memory, group))
    yield from attempt("limits", "/dev/shm", _shared)
    yield from attempt("limits", "OMP_NUM_THREADS", partial(_threads, os.environ))


class Cgroup:
    """The limits of a control group and of those above it; None where there is none."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    @classmethod
    def here(cls, about: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Cgroup:
        """That of this process, of version 2 or of version 1."""
        folders: list[Path] = []
        try:
            lines = about.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            _, kinds, path = [*line.split(":", 2), "", ""][:3]
            tops = [root] if not kinds else [root / kind for kind in (kinds, *kinds.split(","))]
            for top in tops:
                below = top / path.lstrip("/")
                folders += [place for place in (below, *below.parents) if place.is_relative_to(top)]
        return cls([folder for folder in dict.fromkeys(folders) if folder.is_dir()])

    def least(self, *names: str) -> int | None:
        """The lowest number in any file of these names."""
        found = [value for folder in self.folders for name in names if (value := _number(folder / name)) is not None]
        return min(found, default=None)

    def cores(self) -> float | None:
        """How much time of cores it may take."""
        found = []
        for folder in self.folders:
            words = _read(folder / "cpu.max").split()
            if len(words) != 2:
                words = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
            if all(word.strip().isdigit() for word in words) and int(words[1]):
                found.append(int(words[0]) / int(words[1]))
        return min(found, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.isdigit() and int(text) < 2**62 else None


def _told(limit: int) -> str:
    return "no limit" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def _open_files() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_told(soft)} at once (ulimit -n; at most {_told(hard)})"
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        yield Check("limits", "open files", "warning", found, f"ulimit -n {FEW_FILES * 4} in the shell that starts mmidd")
    else:
        yield Check("limits", "open files", "ok", found)


def _processes(group: Cgroup) -> Iterator[Check]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    most = [
        value for value in (None if soft == resource.RLIM_INFINITY else soft, group.least("pids.max")) if value is not None
    ]
    found = f"{min(most):,} processes and threads" if most else "no limit"
    if most and min(most) < FEW_PROCESSES:
        advice = "raise ulimit -u (or the container's pids limit), or give fewer --workers"
        yield Check("limits", "processes", "warning", found, advice)
    else:
        yield Check("limits", "processes", "ok", found)


def _cores(group: Cgroup) -> Iterator[Check]:
    usable, there, quota = usable_cores(), os.cpu_count() or 1, group.cores()
    found = f"{usable} of {there} may be used; a build starts {usable} workers"
    if quota is not None and quota < usable:
        advice = f"--workers {max(1, round(quota))}: more would only wait for each other"
        yield Check("limits", "cores", "warning", f"{found}, but the container has the time of {quota:g}", advice)
    else:
        yield Check("limits", "cores", "ok", found)


def _memory(group: Cgroup, meminfo: Path = Path("/proc/meminfo")) -> Iterator[Check]:
    lines = dict(line.split(":", 1) for line in _read(meminfo).splitlines() if ":" in line)
    there, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    most = group.least("memory.max", "memory.limit_in_bytes")
    bound = most if most is not None and most < there else None
    found = f"{there / 1e9:.1f} GB, {free / 1e9:.1f} GB of it free" + (
        f"; at most {bound / 1e9:.1f} GB here" if bound else ""
    )
    fits = max(1, min(free, bound or free) // A_WORKER)
    if fits < usable_cores():
        yield Check(
            "limits",
            "memory",
            "warning",
            found,
            f"--workers {fits}: a worker takes about {A_WORKER / 1e9:.1f} GB with yunet, 1 GB with mtcnn",
        )
    else:
        yield Check("limits", "memory", "ok", found)


def _shared(place: Path = Path("/dev/shm"), little: int = LITTLE_SHM) -> Iterator[Check]:
    if not place.is_dir():
        yield Check("limits", "/dev/shm", "note", f"{shown(place)} is not there", "only loaders of training want it")
        return
    about = os.statvfs(place)
    size = about.f_blocks * about.f_frsize
    if size <= little:
        advice = "for training with workers: docker run --shm-size=8g, or --ipc=host; builds do not use it"
        yield Check("limits", "/dev/shm", "note", f"{size / 2**20:.0f} MB", advice)
    else:
        yield Check("limits", "/dev/shm", "ok", f"{size / 1e9:.1f} GB")


def _threads(environ: Mapping[str, str]) -> Iterator[Check]:
    value = environ.get("OMP_NUM_THREADS")
    if value is None or (value.isdigit() and int(value) > 0):
        yield Check("limits", "OMP_NUM_THREADS", "ok", f"{value or 'not set'}; workers take one thread each")
    else:
        found = f"{shown(value)} is no number of threads"
        yield Check("limits", "OMP_NUM_THREADS", "warning", found, "unset it, or give a number above 0")
