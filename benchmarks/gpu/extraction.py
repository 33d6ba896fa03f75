"""faces/s of `mmidd extract` with 1 to N workers on the CPU and on the device; GPU utilisation, and who waits for whom."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.gpu import nets, phases
from benchmarks.gpu.context import Context
from benchmarks.gpu.dataset import laid, mmidd
from benchmarks.gpu.pictures import with_faces
from benchmarks.inside import DOES, counts
from benchmarks.place import Bench
from benchmarks.processes import BenchmarkError, usable_cores
from mmidd.errors import MmiddError

CLIPS_A_WORKER = 6
DOING = {
    **DOES,
    "networks/onnx_runtime": "network",
    "networks/client": "copy to and from",
    "networks/wire": "wait for device",
}
ENOUGH = 1.4
"""A run is begun while so many times the last one's seconds are left."""
_LOOK_S = 0.25
_OF_DEVICE = ("cuda", "torch")


def run(context: Context) -> None:
    kinds = nets.with_weights(context)
    files = with_faces(context)
    few, frames = (files[:2], 3) if context.toy else (files[:16], 32)
    ways = ("cpu", "torch") if context.device == "cpu" else _OF_DEVICE
    context.note("dataset", {"distinct_clips": len(few), "frames_a_clip": frames, "clips_a_worker": CLIPS_A_WORKER})
    last = 0.0
    for kind, (device, runtime), workers in _runs(kinds, ways, context.toy):
        name = f"{kind}_{runtime}_on_{device}_{workers}_workers"
        if context.left < ENOUGH * last + 2:
            context.note(name, "not run: no time was left")
            continue
        began = time.monotonic()
        repeat = 1 if context.toy else max(1, round(CLIPS_A_WORKER * workers / len(few)))
        lasting = nets.resident(context, kind, device, runtime)
        with context.trying(name), lasting, laid(context, few, repeat=repeat, frames=frames) as bench:
            _run(context, bench, name, (kind, device, runtime, workers))
        last = time.monotonic() - began


def _runs(kinds: list[str], ways: tuple[str, str], toy: bool) -> list[tuple[str, tuple[str, str], int]]:
    """What is run, in the order of its worth."""
    most = usable_cores()
    if toy:
        return [(kinds[0], ways, most), (kinds[0], nets.ON_CPU, most)]
    first, rest = kinds[0], kinds[1:]
    wanted = [(first, ways, count) for count in (most, 1, 8, 4, 2) if count <= most]
    return [*wanted, (first, nets.ON_CPU, most)] + [(kind, way, most) for kind in rest for way in (ways, nets.ON_CPU)]


def _run(context: Context, bench: Bench, name: str, asked: tuple[str, str, str, int]) -> None:
    """One whole extraction: its faces, costs, what its workers did, and the device process's own account of it.

    `rate_at_work`: faces a second of as many workers that are always at work, so without start, imports and end.
    """
    kind, device, runtime, workers = asked
    work, place = bench.place / "work", bench.place / "phases"
    settings = (f"detector.kind={kind}", f"detector.runtime={runtime}")
    with _accounted(device, runtime) as account, phases.watched(place) as environment:
        try:
            words = ("extract", "--work", str(work))
            ended = mmidd(bench, *words, device=device, workers=workers, settings=settings, environment=environment)
        except BenchmarkError as error:
            context.check(name, False, why=str(error)[-600:])
            return
    found, did = counts(str(work)), phases.told(place, DOING)
    shutil.rmtree(work, ignore_errors=True)
    crops, wall = found.get("crops", 0), ended.cost.wall_s
    context.check(
        name, crops > 0 and not found.get("media_failed"), count=crops, seconds=wall, rate=crops / wall,
        rate_at_work=crops * did["workers"] / did["at_work_s"] if did["at_work_s"] else None, workers=did,
        clips=found.get("media", 0), frames_in_clips=found.get("frames_in_media", 0), cpu_s=ended.cost.cpu_s,
        cores_busy=ended.cost.cpu_s / wall, peak_mib=ended.cost.peak_mib, gpu=ended.cost.gpu, device_process=account(),
        failed=found.get("media_failed", 0), dropped=found.get("media_dropped", 0),
    )  # fmt: skip


@contextmanager
def _accounted(device: str, runtime: str) -> Iterator[Any]:
    """What the device process counted while the block ran; yields a function that then says it (None: there is none)."""
    before = _counters(device, runtime)
    latest: dict[str, Any] | None = None
    done = threading.Event()

    def look() -> None:
        nonlocal latest
        while not done.wait(_LOOK_S):
            latest = _counters(device, runtime) or latest

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()

    def told() -> dict[str, Any] | None:
        after = _counters(device, runtime) or latest
        return None if after is None else _since(before or {}, after)

    try:
        yield told
    finally:
        done.set()
        watcher.join(5)


def _counters(device: str, runtime: str) -> dict[str, Any] | None:
    """The account of the one device process; None where there is none, or it says nothing just now."""
    if (device, runtime) == nets.ON_CPU:
        return None
    from mmidd.networks.client import counters

    try:
        found: dict[str, Any] = counters(device, runtime)  # type: ignore[arg-type]
    except (MmiddError, OSError):
        return None
    return next(iter(found.values()), None)


def _since(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Numbers that grow as their growth, everything else as it is now."""
    kept = ("process", "clients")
    return {
        name: round(value - before.get(name, 0), 3) if isinstance(value, int | float) and name not in kept else value
        for name, value in after.items()
    }
