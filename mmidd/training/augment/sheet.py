"""A contact sheet: what a list does to pictures, to be looked at before an epoch is spent on it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from mmidd.training.augment.base import Pixels, pixels_of
from mmidd.training.augment.listed import Augment


def sheet(images: Sequence[torch.Tensor], augment: Augment, *, draws: int = 8, seed: int = 0, size: int = 160) -> Pixels:
    """(height, width, 3) uint8: a row a picture (3, h, w), first as it is, then `draws` times; every row has the same draws.

    `PIL.Image.fromarray(sheet(...)).save("sheet.png")` writes it.
    """
    rows = [[image, *(augment.image(image, seed + i) for i in range(draws))] for image in images]
    return np.concatenate([np.concatenate([_small(each, size) for each in row], 1) for row in rows], 0)


def _small(image: torch.Tensor, size: int) -> Pixels:
    found: Pixels = cv2.resize(pixels_of(image)[0], (size, size), interpolation=cv2.INTER_AREA)
    return found
