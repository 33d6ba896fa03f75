"""Smooth shape changes: thin-plate splines between two sets of points, as maps for `cv2.remap`."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

STEP = 12  # the spline is evaluated on every 12th pixel: it is smooth, the rest is interpolated


def _kernel(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    kernel: npt.NDArray[np.float64] = squared * np.log(np.maximum(squared, 1e-12))
    return kernel


def _affine_part(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.ones((len(points), 1)), points], axis=1)


def spline(centres: Points, values: Points, at: Points) -> Points:
    """The thin-plate spline that takes `values` (n, k) at `centres` (n, 2), read at the points `at` (m, 2): (m, k)."""
    known, wanted = centres.astype(np.float64), at.astype(np.float64)
    n = len(known)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(known, known)
    system[:n, n:] = _affine_part(known)
    system[n:, :n] = system[:n, n:].T
    goal = np.concatenate([values.astype(np.float64), np.zeros((3, values.shape[1]))])
    weights = np.linalg.solve(system, goal)
    read: npt.NDArray[np.float64] = np.concatenate([_kernel(wanted, known), _affine_part(wanted)], axis=1) @ weights
    return read.astype(np.float32)


def border(width: int, height: int) -> Points:
    """Points around the edge of a picture, which hold it still while the middle is warped."""
    xs, ys = np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 4)
    edge = [(x, y) for x in xs for y in (0, height - 1)] + [(x, y) for x in (0, width - 1) for y in ys[1:-1]]
    return np.array(edge, np.float32)


def _nodes(width: int, height: int) -> tuple[int, int, Points]:
    """Columns, rows and positions of the coarse grid, one node beyond the picture on each axis."""
    columns, rows = (width - 1) // STEP + 2, (height - 1) // STEP + 2
    grid_x, grid_y = np.meshgrid(np.arange(columns) * STEP, np.arange(rows) * STEP)
    return columns, rows, np.stack([grid_x.ravel(), grid_y.ravel()], axis=1).astype(np.float32)


@cache
def _pixel_grid(width: int, height: int) -> tuple[Map, Map]:
    grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return grid_x, grid_y


def dense(coarse: Points, width: int, height: int) -> Map:
    """A field of (nodes, 2) on the coarse grid, interpolated to every pixel: (height, width, 2) float32."""
    columns, rows, _ = _nodes(width, height)
    grid_x, grid_y = _pixel_grid(width, height)
    field: Map = cv2.remap(coarse.reshape(rows, columns, 2), grid_x / STEP, grid_y / STEP, cv2.INTER_LINEAR)
    return field


def displacement(width: int, height: int, moved: Points, original: Points) -> Map:
    """How far to look back, (height, width, 2) float32 pixels, so that `original` points land on `moved` ones."""
    edge = border(width, height)
    centres = np.concatenate([moved, edge])
    values = np.concatenate([original - moved, np.zeros_like(edge)])
    return dense(spline(centres, values, _nodes(width, height)[2]), width, height)


def influence(width: int, height: int, points: Points) -> Points:
    """How much a unit move of each point moves every node of the coarse grid: (nodes, n) float32.

    `dense(-influence @ moves, ...)` is a quick `displacement` for small moves of the same points.
    """
    edge = border(width, height)
    values = np.eye(len(points) + len(edge), len(points), dtype=np.float32)
    return spline(np.concatenate([points, edge]), values, _nodes(width, height)[2])


def apply(image: Pixels, back: Map) -> Pixels:
    """`image` read through a displacement of its own size."""
    height, width = image.shape[:2]
    grid_x, grid_y = _pixel_grid(width, height)
    warped: Pixels = cv2.remap(
        image, grid_x + back[..., 0], grid_y + back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def soft_mask(width: int, height: int, outline: Points, feather: float) -> npt.NDArray[np.float32]:
    """A filled outline with a soft edge: (height, width) float32 in 0..1, the edge `feather` pixels wide (sigma)."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    if feather > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), feather)
    soft: npt.NDArray[np.float32] = (mask / 255).astype(np.float32)
    return soft


def curve(points: Points) -> Points:
    """A closed outline through the convex hull of `points`, rounded by corner cutting."""
    outline = cv2.convexHull(points.astype(np.float32))[:, 0]
    for _ in range(2):
        following = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], 1).reshape(-1, 2)
    rounded: Points = outline.astype(np.float32)
    return rounded
