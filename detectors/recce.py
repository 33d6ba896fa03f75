"""RECCE (CVPR 2022): real faces are reconstructed, and what cannot be reconstructed well is where a fake is looked for.

An Xception is cut at its fourth block: a decoder reconstructs the image from there, and is taught to by reals alone. Reals
are drawn together and away from fakes at three places of it. What the decoder's layers show is brought into the encoder
(`GraphReasoning`), and the error of the reconstruction says where it should look (`GuidedAttention`). The loss is

    |BCE - .04| + .04  +  .1 reconstruction  +  .1 contrast

with, at each of the three places, contrast = max(0, 1 - mean of c over two different reals + mean of c over a real and a
fake), where c is (cosine + 1) / 2 of features pooled over the image; a mean over nothing is 0. White noise, N(0, 1e-6),
goes into a random half of the images that are trained on.

299 pixels, mean = std = .5, flip .5 alone, Adam 2e-4 with L2 1e-5, halved every 22,500 steps, 90,000 steps, batches of 32,
dropout .2. 23,781,509 parameters. Source: github.com/VISION-SJTU/RECCE, `model/network/Recce.py`, `model/common.py`,
`trainer/`, `config/` (commit 58cabeb, MIT), read for facts; written anew.

Flooding is of the mean over a batch, and the contrast is between its rows. Where a batch is computed in parts (`micro`),
each part has its own and is weighted by its rows; the reconstruction adds up exactly. Batch norms are of one part of one
rank too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part

from .backbones import HALF, Weights, image_tower
from .xception import WEIGHTS

_WIDTHS = (32, 64, 128, 256, 728, 1024, 1536, 2048)
"""Of Xception: its two first convolutions, blocks 1, 2, 3 to 11, 12, and its two last convolutions."""


class RECCEOptions(DetectorOptions):
    backbone: str = Field("timm:legacy_xception", description="an Xception: that one, or a folder of it")
    weights: Weights = Field("pretrained", description=WEIGHTS)
    side: int = Field(299, ge=48, description="pixels on a side of the image")
    narrow: int = Field(1, ge=1, le=16, description="divides the width of every layer, of networks trained from scratch")
    dropout: float = Field(0.2, ge=0, lt=1, description="in the encoder's two ends, the reasoning and the attention")
    noise: float = Field(1e-6, ge=0, description="standard deviation of the noise in half of the images of training")
    flood: float = Field(0.04, ge=0, description="the classification loss below which its gradient is turned round")
    reconstruction_weight: float = Field(0.1, ge=0, description="of the reconstruction of reals")
    contrast_weight: float = Field(0.1, ge=0, description="of the contrast between reals and fakes")


class RECCE(Network):
    compares = ("flooded", "contrast")

    def __init__(self, options: RECCEOptions) -> None:
        super().__init__()
        self.options, self.input = options, Input(options.side, HALF, HALF)
        if options.narrow > 1 and options.weights != "random":
            raise UsageError(
                f"narrow={options.narrow}: there are no pretrained weights of it; set weights=random, or narrow=1"
            )
        self.tower = image_tower(options.backbone, options.weights)
        net = self.tower.inner
        if type(net).__name__ != "Xception":
            raise UsageError(
                f"backbone {options.backbone!r}: RECCE is cut out of an Xception, timm:legacy_xception or a folder of it"
            )
        widths = [width // options.narrow for width in _WIDTHS]
        if options.narrow > 1:
            _narrowed(net, widths)
        middle, (a, b, c) = widths[4], (256 // options.narrow, 128 // options.narrow, 64 // options.narrow)
        self.decoder1, self.decoder2 = _up(middle, a), _block(a)
        self.decoder3, self.decoder4 = _up(a, b), _block(b)
        self.decoder5 = nn.Sequential(_up(b, c), nn.Conv2d(c, 3, 1, bias=False), nn.Tanh())
        self.reasoning = GraphReasoning(middle, (a, b), a, options.dropout)
        self.attention = GuidedAttention(middle, options.dropout)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(widths[-1], 1)

    def features(self, batch: Batch) -> Features:
        """`pooled`, what the head is put on; `error`, of the reconstruction, its mean over each image; `places`, as the
        contrast sees them, beside each other; all by row."""
        image, net = batch["image"], self.tower.inner
        cut = _blocks(net, _stem(net, self._noised(image)), range(1, 5))
        coarse = self.decoder2(self.decoder1(self.dropout(cut)))
        fine = self.decoder4(self.decoder3(coarse))
        made = F.interpolate(self.decoder5(fine), image.shape[-2:], mode="bilinear", align_corners=True)
        deep = _blocks(net, cut, range(5, 8))
        deep = _blocks(net, deep + self.reasoning(deep, (coarse, fine)), range(8, 9))
        deep = _blocks(net, self.attention(image, made, deep), range(9, 13))
        pooled = self.dropout(_exit(net, deep).mean(dim=(2, 3)))
        places = {f"place{at}": each.mean(dim=(2, 3)) for at, each in enumerate((cut, coarse, fine))}
        return {"pooled": pooled, "error": (made - image).abs().mean(dim=(1, 2, 3)), **places}

    def _noised(self, image: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.options.noise:
            return image
        chosen = torch.rand(len(image), 1, 1, 1, device=image.device) > 0.5
        return (image + self.options.noise * torch.randn_like(image) * chosen).clamp(-1, 1)

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        label, options, weight = batch["label"], self.options, part(batch, over)
        entropy = F.binary_cross_entropy_with_logits(self.head(features["pooled"])[:, 0], label.float())
        apart = sum((contrast(features[f"place{at}"], label) for at in range(3)), start=entropy.new_zeros(()))
        real = label == 0
        return Loss(
            {
                "flooded": weight * flooded(entropy, options.flood),
                "reconstruction": options.reconstruction_weight * (features["error"] * real).sum() / max(1, over["real"]),
                "contrast": options.contrast_weight * weight * apart,
            },
            {"fewer than two reals beside each other: no contrast of reals": len(label) if real.sum() < 2 else 0},
        )

    def rows(self, batch: Batch) -> dict[str, int]:
        return {**super().rows(batch), "real": int((batch["label"] == 0).sum())}

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["pooled"])[:, 0].sigmoid())


def flooded(loss: torch.Tensor, level: float) -> torch.Tensor:
    """A loss that is not minimised below `level`: there its gradient is turned round."""
    return (loss - level).abs() + level


def contrast(pooled: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """How far reals are from each other, and how near to fakes, of features (n, d) and labels 0, 1: see the top."""
    unit = F.normalize(pooled, dim=1)
    alike, real = (unit @ unit.T + 1) / 2, (label == 0).to(pooled.dtype)
    together = (real[:, None] * real).fill_diagonal_(0)
    across = real[:, None] * (1 - real)
    return (1 - _mean(alike, together) + _mean(alike, across)).clamp(min=0)


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


class GraphReasoning(nn.Module):  # type: ignore[misc]
    """Each place of the encoder's map asks the patches of the decoder's maps that lie over it, 2 x 2 and 4 x 4, and takes a
    weighted mean of each. `of`: channels of those two maps; `width`: of all that is asked and answered."""

    def __init__(self, channels: int, of: tuple[int, int], width: int, dropout: float) -> None:
        super().__init__()
        self.ask = nn.Sequential(_point(channels, width), nn.ReLU(), _point(width, width))
        self.gates = nn.ModuleList(_point(channels, width) for _ in of)
        self.answers = nn.ModuleList(nn.Sequential(_point(each, width), nn.ReLU(), _point(width, width)) for each in of)
        self.weigh = nn.ModuleList(nn.Linear(2 * width, 1, bias=False) for _ in of)
        self.out = nn.Sequential(_point(3 * width, channels), nn.ReLU(), _point(channels, channels), nn.Dropout(dropout))

    def forward(self, deep: torch.Tensor, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Of the encoder's map (n, channels, h, w) and two of the decoder, 2 and 4 times its size: as the encoder's."""
        asked = self.ask(deep)
        found = [self._answer(at, deep, asked, each) for at, each in enumerate(maps)]
        return self.out(torch.cat([*found, asked], dim=1).sigmoid())

    def _answer(self, at: int, deep: torch.Tensor, asked: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        ratio, width = 2 << at, asked.shape[1]
        patches = F.unfold(self.answers[at](seen), ratio, stride=ratio).unflatten(1, (width, ratio * ratio))
        mine, its = self.weigh[at].weight[0].split(width)
        fits = torch.einsum("nchw,c->nhw", asked, mine).flatten(1)[:, None] + torch.einsum("ncpl,c->npl", patches, its)
        answer = (patches * fits.relu().softmax(dim=1)[:, None]).sum(dim=2)
        return answer.unflatten(2, asked.shape[2:]) * (1 - self.gates[at](deep).sigmoid())


class GuidedAttention(nn.Module):  # type: ignore[misc]
    """A map, strengthened where the image was reconstructed badly."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.ReLU(), _point(3, 1), nn.Sigmoid())
        self.strong = nn.Sequential(_point(channels, channels), nn.BatchNorm2d(channels), nn.ReLU())
        self.dropout = nn.Dropout(dropout)

    def forward(self, image: torch.Tensor, made: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
        error = F.interpolate((image - made).abs(), deep.shape[-2:], mode="bilinear", align_corners=True)
        return self.gate(error) * self.strong(deep) + self.dropout(deep)


def _point(channels: int, out: int) -> nn.Module:
    """A linear layer at every place."""
    return nn.Conv2d(channels, out, 1, bias=False)


def _separable(channels: int, out: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        _point(channels, out),
        nn.BatchNorm2d(out),
    )


def _up(channels: int, out: int) -> nn.Module:
    """To twice the size."""
    return nn.Sequential(nn.UpsamplingNearest2d(scale_factor=2), *_separable(channels, out), nn.ReLU())


class _Residual(nn.Sequential):  # type: ignore[misc]
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


def _block(channels: int) -> nn.Module:
    """Xception's, of three separable convolutions that keep size and channels."""
    return _Residual(*(layer for _ in range(3) for layer in (nn.ReLU(), *_separable(channels, channels))))


def _stem(net: Any, image: torch.Tensor) -> torch.Tensor:
    return net.act2(net.bn2(net.conv2(net.act1(net.bn1(net.conv1(image))))))


def _blocks(net: Any, x: torch.Tensor, numbers: range) -> torch.Tensor:
    for number in numbers:
        x = getattr(net, f"block{number}")(x)
    return x


def _exit(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.act4(net.bn4(net.conv4(net.act3(net.bn3(net.conv3(x))))))


def _narrowed(net: Any, widths: Sequence[int]) -> None:
    """timm's Xception with other widths (see `_WIDTHS`), freshly initialised."""
    from timm.models.xception import Block, SeparableConv2d

    first, second, one, two, middle, twelve, three, four = widths
    net.conv1, net.bn1 = nn.Conv2d(3, first, 3, 2, bias=False), nn.BatchNorm2d(first)
    net.conv2, net.bn2 = nn.Conv2d(first, second, 3, bias=False), nn.BatchNorm2d(second)
    net.block1 = Block(second, one, 2, 2, start_with_relu=False)
    net.block2, net.block3 = Block(one, two, 2, 2), Block(two, middle, 2, 2)
    for number in range(4, 12):
        setattr(net, f"block{number}", Block(middle, middle, 3, 1))
    net.block12 = Block(middle, twelve, 2, 2, grow_first=False)
    net.conv3, net.bn3 = SeparableConv2d(twelve, three, 3, 1, 1), nn.BatchNorm2d(three)
    net.conv4, net.bn4 = SeparableConv2d(three, four, 3, 1, 1), nn.BatchNorm2d(four)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


_STEPS = {"optimiser": "adam", "lr": 2e-4, "weight_decay": 1e-5, "schedule": "steps", "step_gamma": 0.5, "augment": "recce"}
DETECTOR = Detector(
    title="RECCE",
    paper="End-to-End Reconstruction-Classification Learning for Face Forgery Detection, CVPR 2022",
    code="github.com/VISION-SJTU/RECCE, commit 58cabeb",
    code_licence="MIT",
    backbone="Xception, ImageNet (timm legacy_xception)",
    backbone_licence="Apache-2.0 (timm); trained on ImageNet",
    options=RECCEOptions,
    build=RECCE,
    presets={
        "paper": Preset({}, {**_STEPS, "steps": 90_000, "batch": 32, "step_every": 22_500}),
        "small": Preset({"side": 160}, {**_STEPS, "steps": 2_000, "batch": 32, "step_every": 500, "frames": 8}),
        "tiny": Preset(
            {"weights": "random", "narrow": 16, "side": 64},
            {"epochs": 2, "batch": 16, "optimiser": "adam", "lr": 1e-3, "augment": "recce", "precision": "float32"},
        ),
    },
    open_questions=(
        "how many GPUs saw 32 images each is not said: batch=32 is all of them here",
        "batch norms are synchronised over GPUs in the released code; here each rank's part of a batch has its own",
        "trained under float16 with a scaled loss; here bf16",
        "its best checkpoint is that of the best accuracy on the test split; here the validation split chooses",
        "validated every 1,000 steps there, once an epoch here (validate_every)",
        "how many frames of a clip were used lies in index files that are not published: all",
        "DeepfakeBench's RECCE has none of the two extra losses: reconstruction_weight=0 and contrast_weight=0 give that",
    ),
)  # fmt: skip
