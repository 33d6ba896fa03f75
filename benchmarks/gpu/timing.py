"""How long work takes, on a device that works while Python goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS = 5
WARM = 2
LEAST_SECONDS = 0.02
"""Work that is shorter is done several times in a round, so that the clock's and the launch's share are small."""


def synchronize(device: str) -> None:
    """Wait until the device has done everything."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def measured(
    work: Callable[[], Any], count: int, device: str, *, rounds: int = ROUNDS, warm: int = WARM, least: float = LEAST_SECONDS
) -> dict[str, Any]:
    """Do work again and again: the median of the rounds' seconds for it, and the rate of `count` in it.

    `count`: what is done when `work` is done once. A round ends when the device has done everything; as many repetitions as
    fill `least` seconds are one round.
    """
    for _ in range(warm):
        work()
    synchronize(device)
    once = _timed(work, 1, device)
    times = max(1, min(1000, round(least / max(once, 1e-6))))
    rounds_s = [_timed(work, times, device) / times for _ in range(rounds)]
    seconds = median(rounds_s)
    return {
        "count": count, "seconds": seconds, "rate": count / seconds, "rounds": rounds, "repeated": times,
        "spread": (max(rounds_s) - min(rounds_s)) / seconds,
    }  # fmt: skip


def _timed(work: Callable[[], Any], times: int, device: str) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    synchronize(device)
    return time.perf_counter() - began
