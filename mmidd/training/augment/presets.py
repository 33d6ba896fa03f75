"""What papers train with, as lists: each says where it is from, and where it only comes close."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmidd.errors import UsageError
from mmidd.training.augment.base import Augmentation
from mmidd.training.augment.codecs import Jpeg, Video, WebP, platforms
from mmidd.training.augment.colour import Brightness, ChannelShift, Colour, Contrast, Grey
from mmidd.training.augment.filters import Blur, Noise, ResizeAndBack, Sharpen
from mmidd.training.augment.geometry import Crop, CropShift, Flip, Rotate
from mmidd.training.augment.listed import Augment, OneOf


@dataclass(frozen=True)
class Preset:
    """`source`: the paper's code or text. `stated`: what is as published; `ours`: what is close, or made up, and why."""

    source: str
    stated: str
    ours: str
    steps: Callable[[], tuple[Augmentation, ...]]


def _deepfakebench(rotate: float) -> tuple[Augmentation, ...]:
    return (
        Flip(p=0.5),
        Rotate(p=rotate, degrees=(-10, 10)),
        Blur(p=0.5, sigma=None, kernel=(3, 7)),
        OneOf(
            p=0.5,
            choices=(
                Brightness(factor=(0.9, 1.1), shift=(-0.1, 0.1)),
                ChannelShift(levels=(-10, 10)),
                Colour(hue=(-20, 20), saturation=(0.8, 1.2)),
            ),
        ),
        Jpeg(p=0.5, quality=(40, 100)),
    )


_DFB_OURS = (
    "FancyPCA as shifts of the channels, HSV as turned and scaled chroma; their strengths are ours, for the file states"
    " none; borders reflected"
)

PRESETS: dict[str, Preset] = {
    "none": Preset("nobody's", "nothing happens", "", lambda: ()),
    "effort": Preset(
        "Effort, DeepfakeBench/training/config/detector/effort.yaml (commit 96f5dea)",
        "flip .5; rotation 10 degrees .5; blur 3-7 .5; one of brightness/contrast .1, FancyPCA, HSV, .5; JPEG 40-100 .5",
        _DFB_OURS,
        lambda: _deepfakebench(0.5),
    ),
    "xception": Preset(
        "DeepfakeBench, training/config/detector/xception.yaml (commit 8a4a7bf)",
        "as effort, but no rotation (rotate_prob 0.0)",
        _DFB_OURS,
        lambda: _deepfakebench(0.0),
    ),
    "spsl": Preset(
        "DeepfakeBench, training/config/detector/spsl.yaml (commit 8a4a7bf)",
        "as effort (rotate_prob 0.5)",
        _DFB_OURS,
        lambda: _deepfakebench(0.5),
    ),
    "gend": Preset(
        "GenD, src/config.py and src/exp/wacv_rebuttal.py (commit e03532d)",
        "flip .5; affine 10 degrees, shift .1, scale .9-1.1; blur kernel 7 .1; jitter of brightness and contrast .1;"
        " JPEG 40-100",
        "sigma .1-2 (torchvision's own); the affine map always, JPEG .5 and the order as written here: not in our notes of"
        " the code; brightness before contrast; bilinear, borders reflected",
        lambda: (
            Flip(p=0.5),
            CropShift(scale=(0.9, 1.1), shift=(-0.1, 0.1), degrees=(-10, 10)),
            Blur(p=0.1, sigma=(0.1, 2), kernel=(7, 7)),
            Brightness(factor=(0.9, 1.1)),
            Contrast(factor=(0.9, 1.1)),
            Jpeg(p=0.5, quality=(40, 100)),
        ),
    ),
    "univfd": Preset(
        "UniversalFakeDetect, data/ and train.py (commit 76a0e3e)",
        "blur sigma 0-3 .5, then JPEG 30-100 .5, then a random crop of 224/256 of the sides, then flip",
        "resizing to 256 comes before the list (the dataset's size); the crop is enlarged to the picture's size again; one"
        " JPEG encoder, since OpenCV's and Pillow's give the same pixels",
        lambda: (
            Blur(p=0.5, sigma=(0, 3)),
            Jpeg(p=0.5, quality=(30, 100)),
            Crop(share=(224 / 256, 224 / 256)),
            Flip(p=0.5),
        ),
    ),
    "recce": Preset(
        "RECCE, config/Recce.yml and dataset/ (commit 58cabeb)", "flip .5 and nothing else", "", lambda: (Flip(),)
    ),
    "aide": Preset(
        "AIDE, data/datasets.py (commit 6725b71)",
        "blur of sigma .1-3 and kernel 3 .1, then JPEG 30-100 .1; no flip",
        "kornia's JPEG is an imitation, this is one",
        lambda: (Blur(p=0.1, sigma=(0.1, 3), kernel=(3, 3)), Jpeg(p=0.1, quality=(30, 100))),
    ),
    "sd2": Preset(
        "SD2, paper (no code is published)",
        "rotation, resizing, brightness/contrast, compression",
        "every strength, every p and the order: the paper states none",
        lambda: (
            Rotate(p=0.5, degrees=(-10, 10)),
            ResizeAndBack(p=0.5, scale=(0.5, 0.9)),
            Brightness(p=0.5, factor=(0.9, 1.1), shift=(-0.1, 0.1)),
            Jpeg(p=0.5, quality=(40, 100)),
        ),
    ),
    "sbi": Preset(
        "Self-Blended Images (CVPR 2022), section 4.1",
        "compression, shifts of the channels, hue/saturation/value, brightness/contrast, after blending (training/blend.py)",
        "every strength and p, from memory of the paper and not checked against it; value by brightness; the flip",
        lambda: (
            Flip(p=0.5),
            ChannelShift(p=0.3, levels=(-20, 20)),
            Colour(p=0.3, hue=(-10, 10), saturation=(0.7, 1.3)),
            Brightness(p=0.3, factor=(0.7, 1.3), shift=(-0.1, 0.1)),
            Jpeg(p=0.5, quality=(40, 100)),
        ),
    ),
    "strong": Preset(
        "mmidd",
        "nothing",
        "all of it: what happens to a face between its camera and a court, for detectors that have to survive platforms",
        lambda: (
            Flip(p=0.5),
            CropShift(p=0.5, scale=(0.9, 1.15), shift=(-0.05, 0.05), degrees=(-10, 10)),
            OneOf(
                p=0.3,
                choices=(Brightness(factor=(0.7, 1.3), shift=(-0.1, 0.1)), Contrast(factor=(0.7, 1.3)), Grey(p=0.2)),
            ),
            Colour(p=0.3, hue=(-12, 12), saturation=(0.6, 1.4)),
            OneOf(p=0.3, choices=(Blur(sigma=(0.2, 2.5)), Sharpen(amount=(0.2, 1)), Noise(sigma=(1, 10)))),
            ResizeAndBack(p=0.3, scale=(0.3, 0.9)),
            OneOf(
                p=0.6,
                choices=(
                    Jpeg(quality=(30, 95), subsampling=("420", "444")),
                    WebP(p=0.3, quality=(30, 95)),
                    Video(p=0.7, chains=platforms()),
                ),
            ),
            Jpeg(p=0.3, quality=(50, 95)),
        ),
    ),
}


def preset(name: str) -> Augment:
    """The list of that name; `PRESETS[name]` says where it is from and what of it is ours."""
    if name not in PRESETS:
        raise UsageError(f"no preset {name!r}: one of {', '.join(map(repr, PRESETS))}, or write Augment([...])")
    return Augment(PRESETS[name].steps())
