"""GenD (arXiv 2508.06248 v2, v3; WACV 2026): only the layer norms of a large image encoder are trained, and a linear head on
unit features, held apart by a uniformity and an alignment term."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part

from .backbones import Weights, freeze, image_tower


class GenDOptions(DetectorOptions):
    """`uniformity` and `alignment` weigh the two terms."""

    backbone: str = "clip:openai/clip-vit-large-patch14"
    weights: Weights = "pretrained"
    uniformity: float = 0.5
    alignment: float = 0.1


class GenD(Network):
    def __init__(self, options: GenDOptions) -> None:
        super().__init__()
        self.options, self.tower = options, image_tower(options.backbone, options.weights)
        freeze(self.tower)
        for norm in self.tower.norms():
            norm.requires_grad_(True)
        self.head = nn.Linear(self.tower.width, 2)
        self.input = Input(self.tower.side, self.tower.mean, self.tower.std)

    def features(self, batch: Batch) -> Features:
        return {"seen": self.tower(batch["image"]).last}

    def losses(self, features: Features, batch: Batch, over: Any) -> Loss:
        unit, label = F.normalize(features["seen"], dim=1), batch["label"]
        terms = {"cross_entropy": F.cross_entropy(self.head(unit), label, reduction="sum") / over["rows"]}
        uniform, alike = spread(unit, label)
        weight = part(batch, over)
        return Loss(
            {
                **terms,
                "uniformity": self.options.uniformity * weight * uniform,
                "alignment": self.options.alignment * weight * alike,
            }
        )

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(F.normalize(features["seen"], dim=1)).softmax(1)[:, 1])


def spread(unit: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Uniformity, log mean exp(-2 d^2) over pairs i < j, and alignment, the mean of d^2 over those of one label; from the
    Gram matrix of unit features (n, d)."""
    squares = (2 - 2 * unit @ unit.T).clamp(min=0)
    pairs = torch.ones_like(squares).triu(1)
    same = pairs * (label[:, None] == label)
    uniform = (torch.exp(-2 * squares) * pairs).sum() / pairs.sum().clamp(min=1)
    return uniform.clamp(min=1e-6).log(), (squares * same).sum() / same.sum().clamp(min=1)


_TINY = Preset(
    {"backbone": "clip:tiny", "weights": "random"},
    {"epochs": 2, "batch": 16, "precision": "float32", "schedule": "constant"},
)
DETECTOR = Detector(
    title="GenD",
    paper="Deepfake Detection that Generalizes Across Benchmarks, arXiv 2508.06248 (WACV 2026)",
    code="github.com/yermandy/GenD, commit e03532d",
    code_licence="MIT",
    backbone="CLIP ViT-L/14",
    backbone_licence="MIT (code of CLIP); the weights' card asks for research use",
    options=GenDOptions,
    build=GenD,
    presets={
        "paper": Preset(
            {},
            {
                "epochs": 30, "batch": 128, "optimiser": "adamw", "lr": 3e-4, "min_lr": 1e-5, "warmup": 1.0,
                "schedule": "cycles", "cycle": 10.0, "augment": "gend", "frames": 32, "patience": 30,
            },
        ),
        "small": _TINY,
        "tiny": _TINY,
    },
)  # fmt: skip
