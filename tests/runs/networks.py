"""Tiny networks to train, store and score: no detector of the field's."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores


class Tower(nn.Module):  # type: ignore[misc]
    """A backbone: `source` as the bundled ones have it."""

    def __init__(self, width: int, weights: str) -> None:
        super().__init__()
        self.source = {"name": "toy", "weights": weights}
        self.linear, self.norm = nn.Linear(3, width), nn.LayerNorm(width)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("table", torch.arange(3), persistent=False)

    def forward(self, images: torch.Tensor) -> Any:
        return self.norm(self.linear(images))


class Toy(Network):
    """Looks at the mean of each colour; its norm and its head are trained. With `types` it tells the five types."""

    def __init__(self, width: int = 4, weights: str = "pretrained", types: bool = False, frames: int = 1) -> None:
        super().__init__()
        self.tower, self.head = Tower(width, weights), nn.Linear(width, 5 if types else 1)
        self.tower.linear.requires_grad_(False)
        self.types = types
        self.input = Input(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "stretch", frames)

    def features(self, batch: Batch) -> Features:
        images = batch["image"]
        return {
            "seen": self.head(self.tower(images.mean((-2, -1)))).reshape(len(images), -1, self.head.out_features).mean(1)
        }

    def losses(self, features: Features, batch: Batch, over: Any) -> Loss:
        if not self.types:
            loss = F.binary_cross_entropy_with_logits(features["seen"][:, 0], batch["label"].float(), reduction="sum")
            return Loss({"cross_entropy": loss / over["rows"]})
        known = batch["forgery_type"] >= 0
        loss = F.cross_entropy(features["seen"][known], batch["forgery_type"][known], reduction="sum")
        return Loss({"types": loss / max(1, over["known"])}, {"unknown type": int((~known).sum())})

    def rows(self, batch: Batch) -> dict[str, int]:
        return super().rows(batch) | {"known": int((batch["forgery_type"] >= 0).sum())}

    def scores(self, features: Features) -> Scores:
        if not self.types:
            return Scores(features["seen"][:, 0].sigmoid())
        types = features["seen"].softmax(1)
        return Scores(1 - types[:, 0], types)


class ToyOptions(DetectorOptions):
    """As `Toy` takes them."""

    width: int = 4
    weights: str = "random"
    types: bool = False
    clip: int = 1


def _built(options: ToyOptions) -> Toy:
    return Toy(options.width, options.weights, options.types, options.clip)


DETECTOR = Detector(
    title="Toy", paper="none", code="none", code_licence="none", backbone="none", backbone_licence="none",
    options=ToyOptions, build=_built,
    presets={"tiny": Preset({}, {"batch": 32, "epochs": 3, "lr": 0.05, "precision": "float32"})},
)  # fmt: skip
