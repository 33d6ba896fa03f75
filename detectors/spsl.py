"""SPSL (CVPR 2021) as DeepfakeBench trains it: Xception that sees, beside the image, the phase of its spectrum.

The grey image is the mean of the normalised channels; of its Fourier transform F only the phase stays, exp(i angle F), and
the real part of what that transforms back to is a fourth channel. Up-sampling leaves traces there that an amplitude hides.
The first convolution has four channels, each the mean of the pretrained filter's three. All is trained by cross-entropy as
Xception is, on 4 frames of a clip (32 are scored). 20,811,338 parameters: Xception's and 32 more filters of 3 x 3.

Source: DeepfakeBench, `training/detectors/spsl_detector.py`, `training/config/detector/spsl.yaml` (commit 8a4a7bf), read
for facts alone. The paper cuts Xception short (three blocks); DeepfakeBench, whose figures are the ones compared with, does
not.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from mmidd.runs.detector import Detector, Preset

from .xception import DETECTOR as XCEPTION
from .xception import Xception, XceptionOptions, first_convolution, widen


class SPSLOptions(XceptionOptions):
    averaged: Literal["all", "added"] = Field(
        "all",
        description="channels of the first convolution that begin as the mean of the pretrained filter's three: all four, "
        "as released, or the added one",
    )


class SPSL(Xception):
    def __init__(self, options: SPSLOptions) -> None:
        super().__init__(options)
        layer = first_convolution(self.tower, options.backbone)
        mean = layer.weight.mean(dim=1, keepdim=True)
        widen(layer, mean.repeat(1, 4, 1, 1) if options.averaged == "all" else torch.cat([layer.weight, mean], dim=1))

    def seen(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image, phase(image)], dim=1)


def phase(image: torch.Tensor) -> torch.Tensor:
    """What of an image is its spectrum's phase alone, (n, 1, height, width), of float32 (n, channels, height, width)."""
    spectrum = torch.fft.fft2(image.float().mean(dim=1, keepdim=True))
    angle = spectrum.angle()
    return torch.fft.ifft2(torch.polar(torch.ones_like(angle), angle)).real


_TRAINING = XCEPTION.presets["paper"].settings
DETECTOR = Detector(
    title="SPSL",
    paper="Spatial-Phase Shallow Learning, CVPR 2021 (arXiv 2103.01856); as trained in DeepfakeBench (arXiv 2307.01426)",
    code=XCEPTION.code,
    code_licence=XCEPTION.code_licence,
    backbone=XCEPTION.backbone,
    backbone_licence=XCEPTION.backbone_licence,
    options=SPSLOptions,
    build=SPSL,
    presets={
        "paper": Preset({}, {**_TRAINING, "augment": "spsl", "frames": 4}),
        "small": Preset(
            XCEPTION.presets["small"].options, {**XCEPTION.presets["small"].settings, "augment": "spsl", "frames": 4}
        ),
        "tiny": XCEPTION.presets["tiny"],
    },
    open_questions=(
        "the released code transforms over the whole batch (fftn without dim), so that an image's phase depends on the"
        " images beside it; here each image is transformed by itself, as the paper says",
        "all four channels begin as the mean filter, as released; averaged=added keeps the first three as they are",
        "the paper's Xception ends after three blocks, DeepfakeBench's does not: the latter",
    ),
)
