"""One part in a process of its own: watched, and ended with everything that it started. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import Part
from benchmarks.processes import ROOT

LAST_LINES = 30
_PERIOD = 0.1
_QUIET = {"PYTHONWARNINGS": "ignore::FutureWarning", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""What libraries say beside that is nothing to whoever looks on."""
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True)
class Asked:
    """What all parts of a run are given."""

    device: str
    toy: bool
    media: Path | None
    models: Path | None


def adopt_orphans() -> None:
    """On Linux: what a part's children leave behind becomes this process's child, so that it is found and ended."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)


def run_part(part: Part, asked: Asked, seconds: float, told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run a part for at most so many seconds: its state (right, wrong, skipped, broken, late), why, and what it found.

    `told` is given what was found so far whenever there is more of it.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"mmidd-gpu-{part.name}-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        files = {name: place / f"{name}.json" for name in ("spec", "results", "outcome")}
        (place / "scratch").mkdir()
        spec = {
            "module": part.where, "needs": part.needs, "must": part.must, "seconds": seconds, "device": asked.device,
            "toy": asked.toy, "media": _text(asked.media), "models": _text(asked.models), "scratch": str(place / "scratch"),
            "results": str(files["results"]), "outcome": str(files["outcome"]),
        }  # fmt: skip
        files["spec"].write_text(json.dumps(spec), encoding="utf-8")
        with (place / "said").open("w+b") as said:
            code = _watched(files, said, began + seconds, told, place)
            last = _last(said)
        found = _read(files["results"]) or {}
        outcome = _read(files["outcome"]) or _died(code, seconds)
    wrong = wrongs(found)
    if outcome["state"] == "done":
        outcome = {"state": "wrong" if wrong else "right", "why": ", ".join(wrong)}
    more = {"last_lines": last} if outcome["state"] in ("broken", "late") else {}
    return {**outcome, "seconds": round(time.monotonic() - began, 1), "wrong": wrong, "found": found, **more}


def wrongs(found: Any, name: str = "") -> list[str]:
    """The names of the checks in what was found that are not right."""
    if not isinstance(found, dict):
        return []
    own = [name] if found.get("right") is False else []
    return own + [each for key, value in found.items() for each in wrongs(value, f"{name}.{key}" if name else key)]


def checks(found: Any) -> int:
    """How many checks there are in what was found."""
    if not isinstance(found, dict):
        return 0
    return int("right" in found) + sum(map(checks, found.values()))


def _watched(
    files: dict[str, Path], said: Any, until: float, told: Callable[[dict[str, Any]], None], place: Path
) -> int | None:
    """The exit code of the part's process; None where it was ended at its limit. Nothing that it started is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gpu.inside", str(files["spec"])],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(place / "scratch"), **_QUIET},
    )  # fmt: skip
    seen, shown = 0, 0
    try:
        while True:
            code = process.poll()
            shown = _show(said, shown)
            if files["results"].exists() and (now := files["results"].stat().st_mtime_ns) != seen:
                seen = now
                told(_read(files["results"]) or {})
            if code is not None or time.monotonic() > until:
                return code
            time.sleep(_PERIOD)
    finally:
        end(process)
        _show(said, shown)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its session and all that descends from it, and wait for them."""
    for _ in range(50):
        for pid in {process.pid, *_descendants(os.getpid())} if sys.platform == "linux" else {process.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.platform != "linux" or not any(_descendants(os.getpid())):
            return
        time.sleep(_PERIOD)


def _descendants(ancestor: int) -> Iterator[int]:
    """All processes below one, by /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    waiting = list(children.get(ancestor, ()))
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def _show(said: Any, start: int) -> int:
    """Pass on to stderr what the part said since `start`; where it ends now."""
    text = os.pread(said.fileno(), 1 << 20, start)
    if text:
        sys.stderr.write(text.decode(errors="replace"))
        sys.stderr.flush()
    return start + len(text)


def _last(said: Any) -> list[str]:
    size = os.fstat(said.fileno()).st_size
    start = max(0, size - (1 << 16))
    return os.pread(said.fileno(), size - start, start).decode(errors="replace").splitlines()[-LAST_LINES:]


def _died(code: int | None, seconds: float) -> dict[str, str]:
    if code is None:
        return {"state": "late", "why": f"ended at its limit of {seconds:.0f} s"}
    if code < 0:
        return {"state": "broken", "why": f"killed by {signal.Signals(-code).name}"}
    return {"state": "broken", "why": f"exit code {code} without a word"}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
