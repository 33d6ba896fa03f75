"""One loader in a process of its own: python -m benchmarks.loaders.alone CASE PLACE MODE WORKERS; JSON on its last line.

MODE `check` compares every image with what it has to be; `rate` goes through an epoch against the clock; `first` stops at
the first batch. Must run in any interpreter that has numpy, torch and what the case needs.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loaders.cases import CASES, STARTS, Case
from benchmarks.loaders.place import Place

STARTED = "MMIDD_BENCH_STARTED"
"""The variable that says when the process was started, on the monotonic clock that all processes share."""
_KEPT = list[Any]()
"""Iterators that are not taken down: `datasets` may wait for its threads for ever where it is broken off."""
_FIELDS = {"Rss": "rss_mib", "Pss": "pss_mib", "Private_Clean": "own_mib", "Private_Dirty": "own_mib"}


def main(name: str, root: str, mode: str, workers: int) -> dict[str, Any]:
    if mode == "rate" and workers == 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before any library starts a thread
    case = next(each for each in (STARTS if mode == "first" else CASES) if each.name == name)
    place = Place(Path(root))
    for module in case.needs:
        importlib.import_module(module)
    module, _, function = case.opens.partition(":")
    opens = getattr(importlib.import_module(f"benchmarks.loaders.{module}"), function)
    imported = time.monotonic()
    if mode == "check":
        return {**_checked(case, place, opens(place, workers)), "peak_mib": _peak_mib()}
    found = _timed(case, lambda: opens(place, workers), len(place.ids) if mode == "rate" else 0)
    started = float(os.environ[STARTED])
    found |= {"imports_s": imported - started, "first_with_imports_s": found["first_s"] + imported - started}
    return found | {"peak_mib": _peak_mib()}


def _timed(case: Case, opens: Callable[[], Any], rows: int) -> dict[str, Any]:
    """`images` of an epoch and how many of them were distinct; the rate is of those `after_first` in `after_first_s`.
    No `rows`: the first batch alone."""
    began, cpu_before = time.monotonic(), time.process_time()
    batches = iter(opens())
    _KEPT.append(batches)
    first = next(batches)
    at, cpu = time.monotonic(), time.process_time()
    found: dict[str, Any] = {"first_s": at - began, "first_cpu_s": cpu - cpu_before, "first_images": len(first["id"])}
    if not rows:
        return found
    most = case.most or sys.maxsize
    images, ids, memory = len(first["id"]), set(first["id"]), None
    for batch in batches:
        images += len(batch["image"])
        ids.update(batch["id"])
        if memory is None and images >= 0.75 * min(rows, most):
            memory = [_memory(process.pid) for process in multiprocessing.active_children()]
            main_memory = _memory(os.getpid())
        if images >= most:
            break
    wall, cpu = time.monotonic() - at, time.process_time() - cpu
    found |= {"images": images, "distinct": len(ids), "after_first": images - found["first_images"]}
    found |= {"after_first_s": wall, "after_first_cpu_s": cpu}
    return found | ({} if memory is None else {"process": main_memory, "workers": memory})


def _peak_mib() -> float:
    """Of this process since it became this program. (What the kernel tells of an ended child begins with its parent's.)"""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20), 1)  # macOS counts bytes
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)


def _memory(pid: int | None) -> dict[str, float]:
    """MiB of a process now: resident, its share where it shares, and its own alone. Empty where the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    found = dict.fromkeys(_FIELDS.values(), 0.0)
    for key, _, rest in (line.partition(":") for line in lines):
        if key in _FIELDS:
            found[_FIELDS[key]] += int(rest.split()[0]) / 1024
    return {key: round(value, 1) for key, value in found.items()}


def _checked(case: Case, place: Place, batches: Any) -> dict[str, Any]:
    """Every image beside the crop that its id names: `difference` is the mean over all pixels in grey levels, `worst` that
    of one image. `checksum` is the same for all that give the same pixels under the same ids, in whatever order."""
    import torch

    sources = dict(zip(place.ids, place.sources, strict=True))
    labels = dict(zip(place.ids, place.labels, strict=True))
    pixels, ids, differences, checksum, wrong = np.asarray(place.pixels), list[str](), list[float](), 0, set[str]()
    shape = (3, *pixels.shape[1:3])
    for batch in batches:
        images = batch["image"]
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape:
            raise ValueError(f"{case.name}: gives {images.dtype} {tuple(images.shape)}, not uint8 (items, *{shape})")
        for image, label, name in zip(images.permute(0, 2, 3, 1).numpy(), batch["label"].tolist(), batch["id"], strict=True):
            ids.append(name)
            if label != labels[name]:
                wrong.add("a label")
            differences.append(float(np.abs(image.astype(np.int16) - pixels[sources[name]]).mean()))
            checksum = (checksum + zlib.crc32(np.ascontiguousarray(image).tobytes(), zlib.crc32(name.encode()))) % (1 << 64)
        if case.most and len(ids) >= case.most:
            break
    if case.once and case.most is None and sorted(ids) != sorted(sources):
        wrong.add("not every row exactly once")
    if max(differences) > (0 if case.exact else 2):
        wrong.add("other pixels")
    return {
        "images": len(ids), "distinct": len(set(ids)), "difference": float(np.mean(differences)),
        "worst": max(differences), "checksum": f"{checksum:016x}", "wrong": sorted(wrong),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))), flush=True)
    os._exit(0)
