"""AIDE (ICLR 2025): what the smoothest and the busiest patches of an image look like to a high-pass filter, beside what a
large frozen network sees in the whole of it.

The image is cut into windows of 32 x 32, every 16 pixels. A window's score is what it has of high frequencies: for each of
six bands of its cosine transform (i + j in sixths of 0..64; where two bands meet, both) the mean of log(1 + |coefficient|),
weighted by 2^band, summed over the channels. The two windows of the lowest score and the two of the highest are enlarged to
the image's size and filtered by the 30 high-pass kernels of steganalysis (`srm`); a ResNet-50 of 30 channels sees the low
ones, another the high ones, and the four outputs are averaged. The whole image goes through a frozen OpenCLIP ConvNeXt-XXL
and a projection of 256. Two layers decide.

AdamW, batches of 256 (8 x 32), 1e-4 falling by a cosine to 1e-6 over 20 epochs, no weight decay, label smoothing .1, blur
.1 and JPEG .1, float32. 843,398,016 frozen parameters, 47,185,408 in the ResNets, 786,688 in the projection, 2,362,370 in
the head. Source: github.com/shilinyan99/AIDE, `data/dct.py`, `models/AIDE.py`, `scripts/train.sh` (commit 6725b71, MIT),
read for facts; written anew.

`train_projection` is false, as released: there the projection is called where no gradient is kept, so it stays as it was
drawn, for ever, and the published figures are of that. true trains it, which is what the paper tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores

from .backbones import IMAGENET_MEAN, IMAGENET_STD, Weights, freeze, image_tower
from .xception import WEIGHTS, first_convolution, widen

WINDOW, STRIDE, BANDS = 32, 16, 6


class AIDEOptions(DetectorOptions):
    trunk: str = Field("timm:convnext_xxlarge.clip_laion2b_soup", description="a ConvNeXt, frozen: sees the whole image")
    residuals: str = Field("timm:resnet50.tv_in1k", description="two convolutional networks: see the filtered patches")
    weights: Weights = Field("pretrained", description=WEIGHTS)
    side: int = Field(256, ge=WINDOW, description="pixels on a side of the image that patches are cut from")
    shown: int = Field(256, ge=WINDOW, description="pixels on a side of what the networks see")
    train_projection: bool = Field(False, description="train what comes after the trunk; as released it stays random")
    drop_path: float = Field(0.1, ge=0, lt=1, description="how often the trunk's last block is left out in training")
    smoothing: float = Field(0.1, ge=0, lt=1, description="of the labels")


class AIDE(Network):
    def __init__(self, options: AIDEOptions) -> None:
        super().__init__()
        self.options, self.input = options, Input(options.side, IMAGENET_MEAN, IMAGENET_STD)
        self.trunk = image_tower(options.trunk, options.weights)
        self._paths = _drop_paths(self.trunk.inner, options.trunk, options.drop_path)
        self.low, self.high = (_residual(options) for _ in range(2))
        self.projection = nn.Linear(self.trunk.width, 256)
        self.head = nn.Sequential(nn.Linear(256 + self.low.width, 1024), nn.GELU(), nn.Linear(1024, 2))
        freeze(self.trunk)
        self.projection.requires_grad_(options.train_projection)
        self.register_buffer("kernels", srm(), persistent=False)
        self.register_buffer("bands", bands(), persistent=False)
        seen, wanted = ((torch.tensor(each).view(3, 1, 1) for each in pair) for pair in _colours(self.trunk))
        (mean, std), (to_mean, to_std) = seen, wanted
        self.register_buffer("scale", std / to_std, persistent=False)
        self.register_buffer("shift", (mean - to_mean) / to_std, persistent=False)

    def train(self, mode: bool = True) -> AIDE:
        """What is frozen rests, but for the paths that the released loop drops."""
        super().train(mode)
        for each in self._paths:
            each.train(mode)
        return self

    def features(self, batch: Batch) -> Features:
        image = batch["image"]
        # Half precision would round away what the kernels are after, and choose other patches.
        with torch.autocast(image.device.type, enabled=False), torch.no_grad():
            lows, highs = self._patches(image.float())
        seen = [self.low(each).last for each in lows] + [self.high(each).last for each in highs]
        return {"seen": torch.cat([self.projection(self._whole(image)), torch.stack(seen).mean(dim=0)], dim=1)}

    def _whole(self, image: torch.Tensor) -> torch.Tensor:
        """(n, width) of the frozen trunk: its last norm comes before pooling, as in OpenCLIP."""
        net = self.trunk.inner
        with torch.no_grad():
            shown = _resized(image, self.options.shown) * self.scale + self.shift
            return net.head.norm(net.forward_features(shown)).mean(dim=(2, 3))

    def _patches(self, image: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The filtered two low and two high patches, each (n, 30, shown, shown)."""
        mean, std = (image.new_tensor(each).view(3, 1, 1) for each in (self.input.mean, self.input.std))
        cut = windows(image)
        order = scores_of(windows(image * std + mean), self.bands).argsort(dim=1, stable=True)
        rows, last = torch.arange(len(image), device=image.device), order.shape[1] - 1
        lows, highs = [
            [self._filtered(cut[rows, order[:, min(max(at, 0), last)]]) for at in pair]
            for pair in ((0, 1), (last, last - 1))
        ]
        return lows, highs

    def _filtered(self, patch: torch.Tensor) -> torch.Tensor:
        # Each kernel is the same for the three channels, whose sum it sees.
        return F.conv2d(_resized(patch, self.options.shown).sum(dim=1, keepdim=True), self.kernels[:, None], padding=2)

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        logits, smoothing = self.head(features["seen"]), self.options.smoothing
        entropy = F.cross_entropy(logits, batch["label"], reduction="sum", label_smoothing=smoothing)
        return Loss({"cross_entropy": entropy / over["rows"]})

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["seen"]).softmax(1)[:, 1])

    def checkpointing(self) -> None:
        self.low.checkpointing()
        self.high.checkpointing()


def windows(image: torch.Tensor) -> torch.Tensor:
    """(n, windows, channels, 32, 32) of an image (n, channels, height, width), row by row."""
    cut = image.unfold(2, WINDOW, STRIDE).unfold(3, WINDOW, STRIDE)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def cosines() -> torch.Tensor:
    """The orthonormal matrix D of the cosine transform (DCT-II) of 32 numbers: a window x has the coefficients D x D'."""
    at = torch.arange(WINDOW, dtype=torch.float64)
    found = torch.cos((at + 0.5) * at[:, None] * (math.pi / WINDOW)) * math.sqrt(2 / WINDOW)
    found[0] /= math.sqrt(2)
    return found.float()


def bands() -> torch.Tensor:
    """What log(1 + |coefficient|) of row i, column j counts in a window's score, (32, 32)."""
    at = torch.arange(WINDOW)
    found, total = torch.zeros(WINDOW, WINDOW), at + at[:, None]
    width = 2 * WINDOW / BANDS
    for band in range(BANDS):
        inside = ((total >= width * band) & (total <= width * (band + 1))).float()
        found += 2**band * inside / inside.sum()
    return found


def scores_of(cut: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """How much of high frequencies each window (n, windows, channels, 32, 32) of values 0..1 has: (n, windows)."""
    matrix = cosines().to(cut.device)
    return ((matrix @ cut @ matrix.T).abs().log1p() * weights).sum(dim=(2, 3, 4))


_SQUARE_3 = ((-1, 2, -1), (2, -4, 2), (-1, 2, -1))
_SQUARE_5 = ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1))
_STEPS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The eight directions, (down, right)."""


def srm() -> torch.Tensor:
    """The 30 linear kernels of the rich models of steganalysis (Fridrich and Kodovsky 2012), (30, 5, 5), each divided by
    its order: what is predicted of a pixel by its neighbours, less the pixel.

    Eight differences of the first order and eight of the third, one a direction; four of the second, one a line; the halves
    of the 3 x 3 square in four directions, those of the 5 x 5 square, and the two squares.
    """
    first = [_line({1: 1}, step) for step in _STEPS]
    second = [_line({1: 1, -1: 1}, step) / 2 for step in _STEPS[:4]]
    third = [_line({-1: 1, 1: 3, 2: -1}, step) / 3 for step in _STEPS]
    squares = [F.pad(torch.tensor(_SQUARE_3).float(), (1, 1, 1, 1)) / 4, torch.tensor(_SQUARE_5).float() / 12]
    halves = [_half(square, turns) for square in squares for turns in range(4)]
    return torch.stack([*first, *second, *third, *halves, *squares])


def _line(predicted: Mapping[int, float], step: tuple[int, int]) -> torch.Tensor:
    """What is predicted along a line through the middle, so many steps from it, less the middle as often."""
    found = torch.zeros(5, 5)
    for distance, weight in predicted.items():
        found[2 + distance * step[0], 2 + distance * step[1]] = weight
    found[2, 2] = -sum(predicted.values())
    return found


def _half(square: torch.Tensor, turns: int) -> torch.Tensor:
    """Of a square kernel what lies in the middle row and above, turned by so many quarters."""
    found = square.clone()
    found[3:] = 0
    return torch.rot90(found, turns)


def _residual(options: AIDEOptions) -> Any:
    """A network for filtered patches: pretrained but for its first convolution, which has 30 channels."""
    tower = image_tower(options.residuals, options.weights)
    layer = first_convolution(tower, options.residuals)
    weight = torch.empty(layer.out_channels, 30, *layer.kernel_size, device=layer.weight.device)
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    widen(layer, weight)
    return tower


def _colours(trunk: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (IMAGENET_MEAN, IMAGENET_STD), (trunk.mean, trunk.std)


def _drop_paths(net: Any, name: str, most: float) -> list[nn.Module]:
    """Leave blocks of a ConvNeXt out at random in training, rarely at its beginning and `most` at its end: what does it.
    Raises UsageError for another network."""
    from timm.layers import DropPath

    if type(net).__name__ != "ConvNeXt" or not isinstance(getattr(net.head, "norm", None), nn.Module):
        raise UsageError(f"trunk {name!r}: AIDE's is a ConvNeXt of timm, like timm:convnext_tiny, or a folder of one")
    blocks = [block for stage in net.stages for block in stage.blocks]
    for at, block in enumerate(blocks):
        rate = most * at / max(1, len(blocks) - 1)
        block.drop_path = DropPath(rate) if rate else nn.Identity()
    return [block.drop_path for block in blocks]


def _resized(image: torch.Tensor, side: int) -> torch.Tensor:
    if image.shape[-2:] == (side, side):
        return image
    return F.interpolate(image, (side, side), mode="bilinear", align_corners=False, antialias=True)


_TRAINING = {"optimiser": "adamw", "lr": 1e-4, "min_lr": 1e-6, "schedule": "cosine", "augment": "aide"}
DETECTOR = Detector(
    title="AIDE",
    paper="A Sanity Check for AI-generated Image Detection, ICLR 2025 (arXiv 2406.19435)",
    code="github.com/shilinyan99/AIDE, commit 6725b71",
    code_licence="MIT",
    backbone="OpenCLIP ConvNeXt-XXL (LAION-2B, soup), frozen; two ResNet-50, ImageNet (torchvision)",
    backbone_licence="MIT (OpenCLIP); BSD-3 (torchvision), trained on ImageNet",
    options=AIDEOptions,
    build=AIDE,
    presets={
        "paper": Preset({}, {**_TRAINING, "epochs": 20, "batch": 256, "micro": 32, "precision": "float32"}),
        "small": Preset(
            {"trunk": "timm:convnext_tiny.in12k", "residuals": "timm:resnet18.tv_in1k", "shown": 160},
            {**_TRAINING, "epochs": 4, "batch": 32, "frames": 8},
        ),
        "tiny": Preset(
            {
                "trunk": "timm:test_convnext", "residuals": "timm:test_resnet", "weights": "random", "side": 64, "shown": 64,
                "train_projection": True,
            },
            {"epochs": 2, "batch": 16, "optimiser": "adamw", "lr": 1e-3, "precision": "float32"},
        ),
    },
    open_questions=(
        "the released code trains no projection, and so does the paper preset; the paper knows of none that stays random",
        "the frozen trunk drops paths in training: OpenCLIP builds it so (.1), and the released loop does not stop it",
        "the released code cuts patches from images of any size; here from a square of side pixels, as corpora have them",
        "the released validation blurs and compresses too; here images are validated as they are",
        "the file of filters is not in the released code: these are the 30 that steganalysis shares, in our order",
    ),
)  # fmt: skip
