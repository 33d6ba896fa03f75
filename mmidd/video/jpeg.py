"""Which quality setting a JPEG was written with, judged by its quantisation tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

# ITU-T T.81, annex K, tables K.1 and K.2, row by row: what the IJG's library scales by its quality setting.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *(99,) * 32,
)  # fmt: skip


@cache
def _ijg_tables() -> npt.NDArray[np.int64]:
    """(100, 2, 64): the luminance and chrominance tables of qualities 1 to 100, clamped to 1..255."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    base = np.array([LUMINANCE, CHROMINANCE], dtype=np.int64)
    scaled = (base[None] * scale[:, None, None] + 50) // 100
    return np.clip(scaled, 1, 255).astype(np.int64)


def estimated_quality(tables: Mapping[int, Sequence[int]] | None) -> int | None:
    """The IJG quality (1 to 100) whose tables are nearest by absolute difference, in natural order; None without any.

    `tables` are Pillow's `quantization`: table 0 is taken as luminance, table 1 as chrominance. Encoders with tables
    of their own (Photoshop, phones) get the nearest quality, no more.
    """
    if not tables or any(len(table) != 64 for table in tables.values()):
        return None
    found = np.array([tables[key] for key in sorted(tables)[:2]], dtype=np.int64)
    distance = np.abs(_ijg_tables()[:, : len(found)] - found).sum(axis=(1, 2))
    return int(distance.argmin()) + 1
