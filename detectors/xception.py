"""Xception as DeepfakeBench trains it: a convolutional network, pretrained on ImageNet, with a linear head on its pooled
features, all of it trained by cross-entropy. The baseline of the field, and, with other networks and self-blended images,
of several others.

Specification: 256 pixels, mean = std = .5, Adam 2e-4 with L2 5e-4, batches of 32, 10 epochs, a constant rate, no mixed
precision, 32 frames of a clip; flip .5, blur .5, colour .5, JPEG .5, no rotation. 20,811,050 parameters. Source:
DeepfakeBench, `training/config/detector/xception.yaml` and `training/detectors/xception_detector.py` (commit 8a4a7bf), read
for facts alone.

timm has the weights of its Xception as a pickle alone, which mmidd does not open. A folder is made of it once, and given as
the backbone (timm opens it without running what is in it):

    python -c "import timm; timm.models.save_for_hf(timm.create_model('legacy_xception', pretrained=True), 'xception',
    safe_serialization=True)"

Any convolutional network of timm takes Xception's place: `mmidd train xception --set backbone=timm:tf_efficientnet_b4
--self-blended` is SBI's training (Self-Blended Images, CVPR 2022) without its optimiser SAM. Batch norms see the rows of
one part of a batch (`micro`), of one rank: only with all rows in one part are their statistics the whole batch's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores

from .backbones import ImageTower, Weights, image_tower

WEIGHTS = "pretrained, or random for the same network freshly initialised"


class XceptionOptions(DetectorOptions):
    backbone: str = Field("timm:legacy_xception", description="any convolutional network of timm, or a folder of one")
    weights: Weights = Field("pretrained", description=WEIGHTS)
    side: int = Field(256, ge=32, description="pixels on a side of the image")


class Xception(Network):
    """Also the base of what sees something else than the image alone (`seen`)."""

    def __init__(self, options: XceptionOptions) -> None:
        super().__init__()
        self.tower = image_tower(options.backbone, options.weights)
        self.head = nn.Linear(self.tower.width, 2)
        self.input = Input(options.side, self.tower.mean, self.tower.std)

    def seen(self, image: torch.Tensor) -> torch.Tensor:
        """What the network is given of normalised images (n, 3, side, side)."""
        return image

    def features(self, batch: Batch) -> Features:
        return {"pooled": self.tower(self.seen(batch["image"])).last}

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        logits = self.head(features["pooled"])
        return Loss({"cross_entropy": F.cross_entropy(logits, batch["label"], reduction="sum") / over["rows"]})

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["pooled"]).softmax(1)[:, 1])

    def checkpointing(self) -> None:
        self.tower.checkpointing()


def first_convolution(tower: ImageTower, name: str) -> nn.Conv2d:
    """The convolution that a timm network's image goes into. Raises UsageError, which begins with the backbone's name,
    where there is none of three channels."""
    network = tower.inner
    found = getattr(network, "pretrained_cfg", {}).get("first_conv")
    layer = network.get_submodule(found) if isinstance(found, str) else None
    if not isinstance(layer, nn.Conv2d) or layer.in_channels != 3 or layer.groups != 1:
        raise UsageError(
            f"backbone {name!r} does not begin with a convolution of three channels: take a convolutional network of timm"
        )
    return layer


def widen(layer: nn.Conv2d, weight: torch.Tensor) -> None:
    """Give a convolution another weight (out, channels, height, width), of as many channels as that has."""
    layer.in_channels, layer.weight = weight.shape[1], nn.Parameter(weight.detach().clone())


DETECTOR = Detector(
    title="Xception",
    paper="FaceForensics++, ICCV 2019; as trained in DeepfakeBench, NeurIPS 2023 (arXiv 2307.01426)",
    code="github.com/SCLBD/DeepfakeBench, commit 8a4a7bf",
    code_licence="CC BY-NC 4.0 (nothing of it is here)",
    backbone="Xception, ImageNet (timm legacy_xception)",
    backbone_licence="Apache-2.0 (timm); trained on ImageNet",
    options=XceptionOptions,
    build=Xception,
    presets={
        "paper": Preset(
            {},
            {
                "epochs": 10, "batch": 32, "optimiser": "adam", "lr": 2e-4, "weight_decay": 5e-4, "schedule": "constant",
                "augment": "xception", "frames": 32, "validation_frames": 32, "precision": "float32",
            },
        ),
        "small": Preset(
            {"backbone": "timm:tf_efficientnet_lite0", "side": 160},
            {
                "epochs": 4, "batch": 32, "optimiser": "adam", "lr": 2e-4, "weight_decay": 5e-4, "augment": "xception",
                "frames": 8,
            },
        ),
        "tiny": Preset(
            {"backbone": "timm:test_resnet", "weights": "random", "side": 64},
            {"epochs": 2, "batch": 16, "optimiser": "adam", "lr": 1e-3, "precision": "float32"},
        ),
    },
    open_questions=(
        "DeepfakeBench shuffles frames and balances nothing, four fakes to a real: so do we (order=shuffle)",
        "its test set chooses its checkpoint; here the validation split does",
        "SBI's optimiser SAM is not here: backbone=timm:tf_efficientnet_b4 with self-blended images is SBI without it",
    ),
)  # fmt: skip
