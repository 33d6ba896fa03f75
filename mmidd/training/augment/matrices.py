"""Resizing and blurring as matrices along one axis, one an item of a batch, made where the batch lies.

A picture whose item has a size or a strength of its own is then two matrix products away, whatever the others have.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from mmidd.training.augment.base import rounded


def separable(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) uint8, each through its matrices for rows (n, h2, h) and columns (n, w2, w), rounded once."""
    return rounded(rows[:, None] @ images.float() @ columns[:, None].transpose(-1, -2))


def resizing(sizes: Sequence[int], wanted: Sequence[int], hows: Sequence[str], device: torch.device | str) -> torch.Tensor:
    """(n, largest wanted, largest size) float32: OpenCV's resize of one axis, of each item from its size to the wanted one;
    0 in the rows and columns beyond. "area" has to make smaller."""
    size, want = (torch.tensor(each, dtype=torch.float64, device=device)[:, None] for each in (sizes, wanted))
    rows = torch.arange(max(wanted), dtype=torch.float64, device=device)[None]
    near, cubic = (torch.tensor([how == kind for how in hows], device=device)[:, None] for kind in ("nearest", "cubic"))
    ratio = size / want
    centres = torch.where(near, torch.floor(rows * ratio), (rows + 0.5) * ratio - 0.5)
    base = torch.floor(centres)
    matrix = torch.zeros((len(hows), max(wanted), max(sizes)), dtype=torch.float64, device=device)
    for offset in (-1, 0, 1, 2):
        x = (centres - base - offset).abs()
        weights = torch.where(cubic, _cubic(x), (1 - x).clamp(min=0))
        places = torch.minimum((base + offset).clamp(min=0), size - 1).long()
        matrix.scatter_add_(2, places[..., None], weights[..., None])
    area = [i for i, how in enumerate(hows) if how == "area" and wanted[i] < sizes[i]]
    if area:
        pixels = torch.arange(max(sizes), dtype=torch.float64, device=device)
        low, high = (((rows + end) * ratio[area])[..., None] for end in (0, 1))
        shares = torch.minimum(high, pixels + 1) - torch.maximum(low, pixels)
        matrix[area] = shares.clamp(min=0) / ratio[area][..., None]
    return (matrix * (rows < want)[..., None]).float()


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """The cubic kernel with a = -0.75, as OpenCV and torch have it."""
    a = -0.75
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, far)


def blurring(size: int, kernels: Sequence[int], sigmas: Sequence[float], device: torch.device | str) -> torch.Tensor:
    """(n, size, size) float32: a Gaussian along one axis, borders reflected without the border pixel."""
    most = max(kernels)
    weights = np.zeros((len(kernels), most), np.float32)
    for i, (kernel, sigma) in enumerate(zip(kernels, sigmas, strict=True)):
        start = (most - kernel) // 2
        weights[i, start : start + kernel] = cv2.getGaussianKernel(kernel, sigma).ravel()
    period = max(2 * (size - 1), 1)
    reach = torch.arange(most, device=device) - most // 2
    places = (torch.arange(size, device=device)[:, None] + reach).abs() % period
    places = torch.minimum(places, period - places).expand(len(kernels), -1, -1)
    spread = torch.from_numpy(weights).to(device)[:, None].expand(-1, size, -1)
    return torch.zeros((len(kernels), size, size), device=device).scatter_add_(2, places, spread)
