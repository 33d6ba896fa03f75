"""A small picture with a face's landmarks, smooth and textured, and the augmentations that every contract is held to."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from mmidd.training.augment import (
    Augmentation,
    Blur,
    Brightness,
    ChannelShift,
    Colour,
    Contrast,
    Crop,
    CropShift,
    Flip,
    Grey,
    Jpeg,
    Noise,
    OneOf,
    ResizeAndBack,
    Rotate,
    Sharpen,
    Video,
    WebP,
    platforms,
)
from mmidd.training.sample import Sample

LANDMARKS = torch.tensor([[35.0, 40], [61, 41], [48, 56], [37, 70], [59, 70]])

EVERY: dict[str, Augmentation] = {
    "flip": Flip(p=1),
    "rotate": Rotate(degrees=(5, 20)),
    "rotate black": Rotate(degrees=(-20, -5), border="black"),
    "rotate replicate": Rotate(degrees=(-20, -5), border="replicate"),
    "crop shift": CropShift(scale=(0.8, 1.2), shift=(-0.1, 0.1), degrees=(-5, 5)),
    "crop": Crop(share=(0.6, 0.9)),
    "brightness": Brightness(factor=(0.7, 0.9), shift=(-0.1, 0.1)),
    "contrast": Contrast(factor=(1.2, 1.5)),
    "channel shift": ChannelShift(levels=(5, 30)),
    "colour": Colour(hue=(10, 40), saturation=(0.5, 1.5)),
    "grey": Grey(p=1),
    "blur": Blur(sigma=(0.8, 3)),
    "blur by kernel": Blur(sigma=None, kernel=(3, 7)),
    "blur by both": Blur(sigma=(0.5, 2), kernel=(7, 7)),
    "sharpen": Sharpen(amount=(0.5, 1)),
    "noise": Noise(sigma=(2, 10)),
    "resize": ResizeAndBack(scale=(0.3, 0.8)),
    "jpeg": Jpeg(quality=(20, 60), subsampling=("420", "422", "444")),
    "webp": WebP(quality=(10, 60)),
    "video": Video(),
    "platforms": Video(chains=platforms()),
    "one of": OneOf(choices=(Blur(sigma=(1, 2)), Jpeg(quality=(20, 40)), Brightness(factor=(0.5, 0.8)))),
}
GEOMETRIC = ("flip", "rotate", "rotate black", "rotate replicate", "crop shift", "crop")


def picture(height: int = 96, width: int = 96, seed: int = 0) -> torch.Tensor:
    """uint8 (3, height, width), a view of (height, width, 3)."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(40, 216, (8, 8, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = chance.normal(0, 6, (height, width, 3))
    return torch.from_numpy(np.clip(smooth + fine, 0, 255).astype(np.uint8)).permute(2, 0, 1)


def face(height: int = 96, width: int = 96, seed: int = 0) -> Sample:
    return Sample(
        image=picture(height, width, seed),
        mask=torch.zeros(1, height, width, dtype=torch.uint8),
        has_mask=0,
        label=0,
        forgery_type=0,
        landmarks=LANDMARKS.clone(),
        row=7,
        id="0123456789abcdef01234567",
        pair="",
        method="",
    )
