"""Whole processes and what they cost, and the machine they ran on. Standard library only."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MIB = 1 << 20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_GPU_PERIOD_MS = 200
_PACKAGES = (
    "av", "facenet-pytorch", "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pillow", "pyarrow",
    "torch", "torchvision",
)  # fmt: skip


class BenchmarkError(Exception):
    """What went wrong, where, and what to do."""


@dataclass(frozen=True)
class Cost:
    """What processes cost, start-up included. `cpu_s`: user and system seconds, those of all children that were waited
    for included. `peak_mib`: the largest resident set that any one of these processes reached, as the kernel counts it
    (`ru_maxrss` of wait4: nothing is sampled). `gpu`: None where there is no nvidia-smi."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    gpu: dict[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"wall_s": round(self.wall_s, 3), "cpu_s": round(self.cpu_s, 3),
                "peak_mib": round(self.peak_mib, 1), "gpu": self.gpu}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A process that ended: its exit code, what it said, what it cost."""

    code: int
    out: str
    err: str
    cost: Cost


def run(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end, whatever its exit code."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        cost = Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT / _MIB)
        return Ended(process.returncode, _read(out), _read(err), cost)


def _read(file: Any) -> str:
    file.seek(0)
    return bytes(file.read()).decode(errors="replace")


def must(
    command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, accept: Sequence[int] = (0,)
) -> Ended:
    """`run`, with the GPU watched. For an exit code not in `accept` a BenchmarkError with the last of what it said."""
    with gpu_watched() as gpu:
        ended = run(command, cwd=cwd, env=env)
    if ended.code not in accept:
        said = "\n".join(ended.err.strip().splitlines()[-8:])
        raise BenchmarkError(f"exit code {ended.code} from: {' '.join(map(str, command))}\n{said}")
    return replace(ended, cost=replace(ended.cost, gpu=gpu()))


def together(commands: Sequence[Sequence[str]], at_once: int) -> tuple[list[Ended], Cost]:
    """Run commands, `at_once` of them at a time: each one's end, and their cost as one."""
    started = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        ended = list(pool.map(run, commands))
    wall = time.monotonic() - started
    costs = [each.cost for each in ended]
    return ended, Cost(wall, sum(cost.cpu_s for cost in costs), max(cost.peak_mib for cost in costs))


@contextmanager
def gpu_watched() -> Iterator[Any]:
    """Sample the GPUs while the block runs; yields a function that then gives the figures, or None without a GPU."""
    found: dict[str, float] = {}
    smi = shutil.which("nvidia-smi")
    if smi is None:
        yield lambda: None
        return
    query = [smi, "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", str(_GPU_PERIOD_MS)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(query, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        try:
            yield lambda: found or None
        finally:
            process.terminate()
            process.wait()
            found.update(_gpu_figures(_read(out)))


def _gpu_figures(text: str) -> dict[str, float]:
    """Of nvidia-smi's lines `percent, MiB`, one a GPU and sample; nothing where it said nothing of the kind."""
    pairs = [line.split(",") for line in text.splitlines()]
    numbers = [(float(pair[0]), float(pair[1])) for pair in pairs if len(pair) == 2 and pair[0].strip().isdigit()]
    if not numbers:
        return {}
    busy, memory = [number[0] for number in numbers], [number[1] for number in numbers]
    return {"samples": len(numbers), "mean_percent": round(mean(busy), 1), "max_percent": max(busy), "max_mib": max(memory)}


def hardware() -> dict[str, Any]:
    """The machine, without its name: processor, cores that may be used, memory, GPU, system."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(pages / (1 << 30), 1),
        "gpu": _said(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]),
        "os": _system(),
    }


def usable_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.machine()}"
    except (OSError, KeyError):
        return f"{platform.system()}, {platform.machine()}"


def versions() -> dict[str, str]:
    """Python, the libraries that the stages and peers compute with, ffmpeg; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    words = (_said(["ffmpeg", "-version"]) or "").split()
    return {**found, "ffmpeg": words[2]} if len(words) > 2 else found


def commit() -> dict[str, Any]:
    """The checkout's commit, and whether files differ from it; nulls where this is no checkout."""
    sha = _said(["git", "-C", str(ROOT), "rev-parse", "HEAD"])
    return {"sha": sha, "dirty": bool(_said(["git", "-C", str(ROOT), "status", "--porcelain"])) if sha else None}


def _said(command: Sequence[str]) -> str | None:
    """The first line that a command prints; None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    ended = run(command)
    return ended.out.strip().splitlines()[0] if ended.code == 0 and ended.out.strip() else None
