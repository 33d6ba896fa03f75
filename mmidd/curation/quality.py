"""Sharpness, brightness and perceptual hash of a crop: the columns that curation and audits rest on.

Every sum is over integers (or over multiples of 1/1024 below 2**53 in float64), so it has one exact value whatever
the order of addition: the results do not depend on the CPU's SIMD width. Only the final divisions round, once each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

GRID = 32
LOW = 8
_BASIS_SCALE = 1 << 12
_MEAN_SCALE = 1 << 8
_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True)
class Quality:
    """Measures of one crop. `sharpness` in grey levels squared, `brightness` 0..255, `phash` 16 hex digits."""

    sharpness: float
    brightness: float
    phash: str


def measure(crop: npt.NDArray[np.uint8], padding: npt.NDArray[np.bool_] | None = None) -> Quality:
    """Measure one crop.

    `crop`: (h, w, 3) uint8 RGB of any size from 1x1. Sharpness is the population variance of the 4-neighbour
    Laplacian of the 8-bit Rec.601 luma (borders mirrored without repeating the edge), brightness the mean luma,
    phash the 64-bit DCT hash (see `phash`). `padding`: (h, w), where the crop shows no frame; sharpness and brightness
    leave it out, with the neighbours of it, as long as anything else is left. Raises ValueError for another shape or type.
    """
    luma = rec601(crop)
    edges = np.asarray(cv2.Laplacian(luma, cv2.CV_16S, ksize=1))
    seen, inner = luma, edges
    if padding is not None and padding.any():
        beside = cv2.dilate(padding.astype(np.uint8), _NEIGHBOURS) > 0
        seen = luma[~padding] if not padding.all() else luma
        inner = edges[~beside] if not beside.all() else edges
    return Quality(_variance(inner), int(seen.sum(dtype=np.int64)) / seen.size, phash(luma))


def measure_batch(crops: Iterable[npt.NDArray[np.uint8]]) -> list[Quality]:
    """Measure crops of any sizes, in their order; a crop's result does not depend on its neighbours."""
    return [measure(crop) for crop in crops]


def rec601(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The (h, w) uint8 Rec.601 luma of an (h, w, 3) uint8 RGB image, in 15-bit fixed point. ValueError if neither."""
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or 0 in crop.shape:
        raise ValueError(f"a crop is (h, w, 3) uint8 with h, w >= 1, not {crop.shape} {crop.dtype}")
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY), np.uint8)


def phash(luma: npt.NDArray[np.uint8]) -> str:
    """The 64-bit DCT perceptual hash of an (h, w) uint8 luma image, as 16 hex digits.

    Source: Zauner 2010, as popularised by the ImageHash package: area means on a 32x32 grid, DCT-II without
    normalisation, its 8x8 lowest frequencies row by row, a bit set where above their median. The first bit (the mean)
    is set for every picture that is not black. Close to `imagehash.phash` (which reduces with Lanczos), not equal.
    """
    coefficients = (_BASIS @ _cell_means(luma) @ _BASIS.T).ravel()
    middle = np.partition(coefficients, [31, 32])[31:33].sum()
    return np.packbits(2 * coefficients > middle).tobytes().hex()


def _variance(values: npt.NDArray[np.int16]) -> float:
    edges = np.asarray(values, np.float64).ravel()
    # `cv2.norm(..., NORM_L2SQR)` would be faster, but squares a rounded root: not exact.
    total, squares = int(edges.sum()), int(edges @ edges)
    return (edges.size * squares - total**2) / edges.size**2


def _cell_means(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(32, 32) whole numbers: 256 times the mean luma of each grid cell, rounded down."""
    height, width = luma.shape
    sums = np.asarray(cv2.integral(luma, sdepth=cv2.CV_64F), np.float64)
    columns = _at_grid_lines(_at_grid_lines(sums, height).T, width)
    cells = np.diff(np.diff(columns, axis=0), axis=1).T
    return np.asarray(np.floor(cells * (GRID * GRID * _MEAN_SCALE) / (height * width)), np.float64)


def _at_grid_lines(sums: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Rows of a summed-area table at the 33 grid lines; a line between two pixels is interpolated, which is exact."""
    whole, part = np.divmod(np.arange(GRID + 1) * length, GRID)
    after = np.minimum(whole + 1, length)
    weight = (part / GRID)[:, None]
    lower, upper = sums[whole], sums[after]
    return np.asarray(lower + (upper - lower) * weight, np.float64)


def _basis() -> npt.NDArray[np.float64]:
    positions = np.arange(GRID) * 2 + 1
    angles = np.arange(LOW)[:, None] * positions * np.pi / (2 * GRID)
    return np.round(np.cos(angles) * _BASIS_SCALE)


_BASIS = _basis()
