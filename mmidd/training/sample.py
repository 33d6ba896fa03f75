"""What a dataset gives: one row as a typed mapping, and what may change it on its way into a batch."""

from __future__ import annotations

from typing import Protocol, TypedDict

import numpy as np
import torch


class Sample(TypedDict, total=False):
    """One row of a corpus for training. Only the keys that were asked for are there; an item of several rows (a clip) has
    `image` (frames, 3, height, width), and of each of the others a list or a tensor with one entry a frame.

    In a batch numbers and images are tensors with one entry an item, texts are lists.
    """

    image: torch.Tensor
    """uint8 RGB, (3, height, width)."""
    encoded: bytes
    """The image as it is stored, where decoding was not asked for."""
    mask: torch.Tensor
    """uint8, (1, height, width): 255 where a fake was manipulated. 0 everywhere for reals, and where the corpus has none
    (`has_mask` is then 0)."""
    has_mask: int
    label: int
    """0 real, 1 fake."""
    forgery_type: int
    """Index into `mmidd.schema.FORGERY_TYPES`; -1 where unknown."""
    landmarks: torch.Tensor
    """float32 (5, 2), pixels of the image; NaN for whole images."""
    row: int
    """Its number in the corpus."""
    seed: int
    """Of its draw, as a number of 64 bits with a sign."""
    id: str
    pair: str
    """Id of the real it was made from at the same frame; "" if there is none."""
    group: str
    dataset: str
    method: str
    media: str
    frame: int
    face_caption: str
    environment_caption: str
    blended: int
    """1 for a self-blended image, which the corpus holds as a real."""


class Transform(Protocol):
    """Changes a sample: augmentation, blending, normalisation. It takes every random choice from `chance`, and none from
    anywhere else, so that it is the same for any number of workers. May change the sample in place, but not its tensors."""

    def __call__(self, sample: Sample, chance: np.random.Generator) -> Sample: ...
