"""What a mask of what was forged says of an image's patches, and losses that compare patches with each other."""

from __future__ import annotations

import torch
from torch.nn import functional as F

FORGED, SHARE = 40, 0.1
"""A patch is forged if more than this share of its mask's pixels is above that level (of 255)."""


def edge(mask: torch.Tensor) -> torch.Tensor:
    """Where the blending boundary of a mask uint8 (n, 1, h, w) is: (n, h, w) in 0..1."""
    kernel = torch.tensor([0.25, 0.5, 0.25], device=mask.device)
    soft = F.pad(mask.float() / 255, (1, 1, 1, 1), mode="reflect")
    soft = F.conv2d(soft, (kernel[:, None] * kernel)[None, None])[:, 0]
    return 4 * soft * (1 - soft)


def cut(mask: torch.Tensor, grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each of grid x grid patches of a mask uint8 (n, 1, h, w), in rows (n, l): is it forged, and does it hold a
    boundary, being forged in part?"""
    side = mask.shape[-1] // grid
    share = F.avg_pool2d((mask > FORGED).float(), side).flatten(1)
    return share > SHARE, (share > SHARE) & (share < 1)


def patch_contrast(unit: torch.Tensor, forged: torch.Tensor, temperature: float, *, count_all: bool) -> torch.Tensor:
    """-log of the share that pairs of real patches have among these and the pairs of a forged and a real one, each weighing
    exp(cosine / temperature): of the unit patches (n, l, d) of forged images, pairs within an image, `forged` (n, l) bool.
    `count_all`: every pair that is none of the kind counts as one of cosine 0. 0 where nothing can be compared."""
    real = ~forged
    alike, unlike = real[:, :, None] & real[:, None, :], forged[:, :, None] & real[:, None, :]
    if not len(unit) or not (count_all or alike.any()):
        return unit.sum() * 0
    weight = torch.exp(unit @ unit.mT / temperature)
    empty = 1.0 if count_all else 0.0
    near, far = (torch.where(pairs, weight, empty).sum() for pairs in (alike, unlike))
    return -torch.log(near / (near + far))


def image_contrast(unit: torch.Tensor, label: torch.Tensor, temperature: float) -> tuple[torch.Tensor, int]:
    """As `patch_contrast`, of pairs of patches within a real image, and pairs of one in it and one in a forged image, which
    is another for each; of the label that there are more of so many are drawn. Also, how many reals took part."""
    reals, forgeries = ((label == kind).nonzero()[:, 0] for kind in (0, 1))
    paired = min(len(reals), len(forgeries))
    if not paired:
        return unit.sum() * 0, 0
    reals, forgeries = (
        each if len(each) == paired else each[torch.randperm(len(each))[:paired].to(each.device)]
        for each in (reals, forgeries)
    )
    real, fake = unit[reals], unit[forgeries]
    near, far = (torch.exp(real @ other.mT / temperature).sum() for other in (real, fake))
    return -torch.log(near / (near + far)), paired
