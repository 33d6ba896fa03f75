"""Which frames of a clip are taken: pure arithmetic over a frame count."""

from __future__ import annotations

from typing import Literal

import numpy as np

Spacing = Literal["even", "linspace", "consecutive"]


def frame_plan(frame_count: int, count: int, spacing: Spacing) -> tuple[int, ...]:
    """The indices (0-based, display order, ascending, unique) of `count` frames out of `frame_count`.

    even: floor((k + 1/2) N / n), the middles of n equal parts; linspace: `np.linspace(0, N - 1, n, dtype=int)`, first
    and last frame included, as DeepfakeBench samples; consecutive: one run in the middle of the clip. A count beyond N
    gives every frame; an empty clip gives none. Raises ValueError on a negative frame count or a count below one.
    """
    if frame_count < 0 or count < 1:
        raise ValueError(f"cannot plan {count} frames of {frame_count}")
    if count >= frame_count:
        return tuple(range(frame_count))
    match spacing:
        case "even":
            return tuple((2 * k + 1) * frame_count // (2 * count) for k in range(count))
        case "linspace":
            return tuple(np.linspace(0, frame_count - 1, count, dtype=int).tolist())
        case "consecutive":
            start = (frame_count - count) // 2
            return tuple(range(start, start + count))
    raise ValueError(f"unknown spacing {spacing!r}")
