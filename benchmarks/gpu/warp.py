"""Many crops at once by torch's grid_sample: the geometry of `align.warp`, with its own last bits. mmidd does not use it:
the CPU's crops are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmidd.faces.align import Border, invert, plan_cut
from mmidd.video.picture import Image, Picture

if TYPE_CHECKING:
    import torch


def warp_batch(
    pictures: Sequence[Picture],
    transforms: Sequence[npt.ArrayLike],
    *,
    size: int,
    border: Border = "black",
    device: str = "cuda",
) -> Image:
    """(n,size,size,3) uint8 RGB: what each float32 transform (2,3) cuts from its picture, bilinear, on a torch device.

    Only the parts of the pictures that the crops show travel to the device. Equal to `align.warp` within one grey level
    on average (that one interpolates in steps of 1/32 pixel). Raises ValueError as `plan_cut` does, and where the numbers
    differ.
    """
    import torch

    boxes = [
        plan_cut(transform, picture.width, picture.height, size=size, border=border).box
        for picture, transform in zip(pictures, transforms, strict=True)
    ]
    crops = np.zeros((len(boxes), size, size, 3), np.uint8)
    shown = [place for place, box in enumerate(boxes) if box is not None]
    if not shown:
        return crops
    parts = [pictures[place].part(*box) for place in shown if (box := boxes[place]) is not None]
    height, width = (max(part.shape[axis] for part in parts) for axis in (0, 1))
    laid = np.zeros((len(parts), height, width, 3), np.uint8)
    for place, part in enumerate(parts):
        laid[place, : part.shape[0], : part.shape[1]] = part
    inverse = np.stack([invert(np.asarray(transforms[place], np.float32)) for place in shown])
    starts = np.array([(box[0], box[1]) for place in shown if (box := boxes[place]) is not None], np.float64)
    sides = np.array([(pictures[place].width, pictures[place].height) for place in shown], np.float64)
    with torch.inference_mode():
        at = _places(inverse, starts, sides, size, border, device)
        scale = torch.tensor([max(width - 1, 1), max(height - 1, 1)], dtype=torch.float32, device=device)
        pixels = torch.from_numpy(laid).to(device).permute(0, 3, 1, 2).float()
        found = torch.nn.functional.grid_sample(
            pixels, at * 2 / scale - 1, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        crops[shown] = found.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return crops


def _places(
    inverse: npt.NDArray[np.float64],
    starts: npt.NDArray[np.float64],
    sides: npt.NDArray[np.float64],
    size: int,
    border: Border,
    device: str,
) -> torch.Tensor:
    """(n,size,size,2) float32: where in its part each crop pixel comes from, x before y, in pixels."""
    import torch

    matrix = torch.from_numpy(inverse).to(device)
    steps = torch.arange(size, dtype=torch.float64, device=device)
    across = matrix[:, None, None, :, 0] * steps[None, None, :, None]
    down = matrix[:, None, None, :, 1] * steps[None, :, None, None] + matrix[:, None, None, :, 2]
    at = across + down
    last = (torch.from_numpy(sides).to(device) - 1).clamp(min=1e-9)[:, None, None, :]
    if border == "replicate":
        at = torch.minimum(at.clamp(min=0), last)
    elif border == "reflect":
        at = last - (torch.remainder(at, 2 * last) - last).abs()
    return (at - torch.from_numpy(starts).to(device)[:, None, None, :]).float()
