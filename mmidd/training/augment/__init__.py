"""Augmentations of the field as one typed, seeded list; the same draw does the same to a real and its fake.

    Augment([Flip(), Jpeg(p=0.5, quality=(40, 100)), Video(p=0.2, chains=platforms("messenger"))])
    preset("effort")

`batch` does to tensors where they lie what the list does to samples. `sheet` draws what a list does, to be looked at.
"""

from mmidd.training.augment.base import Augmentation, Operation
from mmidd.training.augment.codecs import PLATFORMS, Encoding, Jpeg, Video, WebP, platforms
from mmidd.training.augment.colour import Brightness, ChannelShift, Colour, Contrast, Grey
from mmidd.training.augment.filters import Blur, Noise, ResizeAndBack, Sharpen
from mmidd.training.augment.geometry import Crop, CropShift, Flip, Rotate
from mmidd.training.augment.listed import Augment, OneOf, chain, seeded
from mmidd.training.augment.presets import PRESETS, Preset, preset
from mmidd.training.augment.sheet import sheet
from mmidd.training.draws import chance_of

__all__ = [
    "PLATFORMS", "PRESETS", "Augment", "Augmentation", "Blur", "Brightness", "ChannelShift", "Colour", "Contrast", "Crop",
    "CropShift", "Encoding", "Flip", "Grey", "Jpeg", "Noise", "OneOf", "Operation", "Preset", "ResizeAndBack", "Rotate",
    "Sharpen", "Video", "WebP", "chain", "chance_of", "platforms", "preset", "seeded", "sheet",
]  # fmt: skip
