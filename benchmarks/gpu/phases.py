"""What the workers of a command do, by the wall clock: how long each decodes, waits for the device, is idle.

A thread in every worker looks many times a second at what its main thread does. It comes in as `sitecustomize`, so the
command runs as always. Standard library only: workers load this file alone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

FOLDER = "MMIDD_BENCHMARK_PHASES"
IDLE, IMPORTS = "idle", "imports"
"""No task, or one that is handed over; modules that load."""
_TICK_S, _WRITE_S = 0.005, 0.2


@contextmanager
def watched(place: Path) -> Iterator[dict[str, str]]:
    """A folder to collect in, and the environment that has the workers of a command watched."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "sitecustomize.py").write_bytes(Path(__file__).read_bytes())
    path = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    yield {"PYTHONPATH": os.pathsep.join(path), FOLDER: str(place)}


def told(place: Path, does: dict[str, str]) -> dict[str, Any]:
    """Seconds of all workers together, by what they did, as [wall, CPU of the main thread]; how many there were, and the
    wall seconds that they were at work. `does`: mmidd's modules by what they do."""
    phases: dict[str, list[float]] = {}
    files = [*place.glob("*.json")]
    for file in files:
        for module, (wall, cpu) in json.loads(file.read_text(encoding="utf-8")).items():
            kept = phases.setdefault(does.get(module, module), [0.0, 0.0])
            kept[0] += wall
            kept[1] += cpu
    most = sorted(phases.items(), key=lambda item: -item[1][0])
    work = sum(wall for name, (wall, _) in most if name not in (IDLE, IMPORTS))
    return {
        "workers": len(files),
        "at_work_s": round(work, 3),
        "phases": {name: [round(wall, 3), round(cpu, 3)] for name, (wall, cpu) in most},
    }


def _begin() -> None:
    threading.Thread(target=_look, args=(threading.get_ident(), Path(os.environ[FOLDER])), daemon=True).start()


def _look(main: int, place: Path) -> None:
    clock = time.pthread_getcpuclockid(main)
    phases: dict[str, list[float]] = {}
    wall, cpu = time.monotonic(), time.clock_gettime(clock)
    written, file = wall, place / f"{os.getpid()}.json"
    while True:
        time.sleep(_TICK_S)
        kept = phases.setdefault(_phase(sys._current_frames().get(main)), [0.0, 0.0])
        now, spent = time.monotonic(), time.clock_gettime(clock)
        kept[0] += now - wall
        kept[1] += spent - cpu
        wall, cpu = now, spent
        if now - written > _WRITE_S:
            written = now
            new = file.with_suffix(".new")
            new.write_text(json.dumps(phases), encoding="utf-8")
            new.replace(file)


def _phase(frame: FrameType | None) -> str:
    """The innermost module of mmidd that runs."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return IMPORTS
        _, inside, module = file.rpartition("/mmidd/")
        if inside:
            return module.removesuffix(".py")
        frame = frame.f_back
    return IDLE


if __name__ == "sitecustomize" and "--multiprocessing-fork" in sys.orig_argv:
    _begin()
