"""How a step on a device is timed: its laps, its memory, its arithmetic, and the largest batch that fits."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.timing import synchronize

T = TypeVar("T")

VENDOR_BF16 = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "GH200": 989e12, "A100": 312e12, "L40S": 362e12,
    "L4": 121e12, "A10": 125e12, "B200": 2250e12,
}  # fmt: skip
"""Dense bf16 FLOP/s on the vendor's data sheets, by a part of the name that torch gives; the first that fits."""


def exact_float32() -> None:
    """float32 means float32: no TF32, whatever the environment asks for."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def free() -> None:
    """Give back what nothing holds any more, and begin to count the device's memory anew."""
    gc.collect()
    if torch.cuda.is_initialized():  # torch counts no memory before
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def memory(device: str) -> int | None:
    """The most bytes that tensors held on the device at once since `free`; null on the CPU."""
    return int(torch.cuda.max_memory_allocated()) if device == "cuda" else None


def laps(lap: Callable[[], object], device: str, seconds: float, *, warm: int = 2, most: int = 30) -> list[float]:
    """Milliseconds of each of up to `most` laps (at least two), for about so many seconds, after `warm` that do not count.

    On a GPU between events, and the host waits for none of them but the last: it may run ahead, as in training.
    """
    for _ in range(warm):
        lap()
    synchronize(device)
    began = time.perf_counter()
    lap()
    synchronize(device)
    count = max(2, min(most, int(seconds / (time.perf_counter() - began))))
    if device != "cuda":
        times = [time.perf_counter()]
        for _ in range(count):
            lap()
            times.append(time.perf_counter())
        return [1e3 * (after - before) for before, after in pairwise(times)]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        lap()
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in pairwise(events)]


def flops(lap: Callable[[], object]) -> int:
    """Floating-point operations of a lap's products and convolutions, forward and backward (a multiply-add is two).

    Attention is taken apart for it, so that all devices count the same.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        lap()
    return int(counter.get_total_flops())


def fitting(batch: int, attempt: Callable[[int], T]) -> tuple[T, list[int]]:
    """What the attempt gives at this batch, or its half, its quarter ... where memory is short; and which were too large."""
    refused: list[int] = []
    while True:
        try:
            return attempt(batch), refused
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        refused.append(batch)
        free()
        batch //= 2


def bf16_peak(device: str, *, toy: bool) -> dict[str, Any]:
    """What one large bf16 product of random numbers reaches here, beside the data sheet's figure."""
    side = 256 if toy else 8192
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=torch.bfloat16)
    times = laps(lambda: torch.matmul(left, right, out=out), device, 0.5, warm=5, most=50)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    vendor = next((rate for part, rate in VENDOR_BF16.items() if part in name), None)
    rate = 2 * side**3 / (statistics.median(times) / 1e3)
    return {
        "device": name, "side": side, "products": len(times), "ms": round(statistics.median(times), 4),
        "flops_per_s": rate, "vendor_flops_per_s": vendor, "torch": torch.__version__,
    }  # fmt: skip
