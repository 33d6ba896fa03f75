"""UnivFD (Ojha, Li, Lee, CVPR 2023): a linear layer on the frozen image features of CLIP, in the space it shares with texts.

Specification: CLIP ViT-L/14's projected features (768, not brought to unit length), one logit, binary cross-entropy; 769
trained parameters, weights begun at N(0, .02), the bias as torch does. AdamW 1e-4, .9/.999, no decay, batches of 256, at
most 100 epochs; images at 256, then blur .5, JPEG .5, a random crop of 224, flip. Source:
github.com/WisconsinAIVision/UniversalFakeDetect, commit 76a0e3e, `train.py`, `networks/`, `models/clip_models.py`, read for
facts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores

from .backbones import ClipTower, Weights, freeze, image_tower
from .gend import CLIP_LICENCE, SMALL_BACKBONE, SMALL_SETTINGS, TINY, TINY_SETTINGS


class UnivFDOptions(DetectorOptions):
    backbone: str = "clip:openai/clip-vit-large-patch14"
    """Of a CLIP the projected features are taken, of another network those that its classifier would see."""
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""


class UnivFD(Network):
    def __init__(self, options: UnivFDOptions) -> None:
        super().__init__()
        self.tower = image_tower(options.backbone, options.weights)
        freeze(self.tower)
        self.head = nn.Linear(self._width(options.backbone), 1)
        nn.init.normal_(self.head.weight, 0.0, 0.02)
        self.input = Input(self.tower.side, self.tower.mean, self.tower.std)

    def _width(self, backbone: str) -> int:
        if not isinstance(self.tower, ClipTower):
            return self.tower.width
        if self.tower.projection is None:
            raise UsageError(
                f"backbone {backbone!r} is an image tower without CLIP's projection (visual_projection), which UnivFD is "
                "put on: take the whole CLIP, as CLIPModel.save_pretrained writes it"
            )
        return int(self.tower.projection.out_features)

    def features(self, batch: Batch) -> Features:
        seen = self.tower(batch["image"]).last
        projection = self.tower.projection if isinstance(self.tower, ClipTower) else None
        return {"seen": seen if projection is None else projection(seen)}

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        label = batch["label"].float()
        loss = F.binary_cross_entropy_with_logits(self.head(features["seen"])[:, 0], label, reduction="sum")
        return Loss({"cross_entropy": loss / over["rows"]})

    def scores(self, features: Features) -> Scores:
        return Scores(torch.sigmoid(self.head(features["seen"])[:, 0]))


DETECTOR = Detector(
    title="UnivFD",
    paper="Towards Universal Fake Image Detectors that Generalize Across Generative Models (CVPR 2023), arXiv 2302.10174",
    code="github.com/WisconsinAIVision/UniversalFakeDetect, commit 76a0e3e",
    code_licence="MIT",
    backbone="CLIP ViT-L/14",
    backbone_licence=CLIP_LICENCE,
    options=UnivFDOptions,
    build=UnivFD,
    presets={
        "paper": Preset(
            {},
            {
                "epochs": 100, "batch": 256, "optimiser": "adamw", "lr": 1e-4, "precision": "float32", "augment": "univfd",
                "patience": 5,
            },
        ),
        "small": Preset(
            {"backbone": SMALL_BACKBONE},
            {**SMALL_SETTINGS, "lr": 1e-3, "augment": "univfd"},
        ),
        "tiny": Preset(TINY, TINY_SETTINGS),
    },
    open_questions=(
        "its code selects by the accuracy of images at .5, which a corpus of few reals decides; here by the AUROC of clips",
        "its code goes on at a tenth of the rate when 5 epochs were no better, until the rate is under 1e-6, and ends then; "
        "here the run ends at the first such point (patience=5): run on with a lower lr by hand",
        "trained on crops of 224 of 256 pixels, enlarged, and validated on the whole face: there both are such crops",
        "its code augments validation images too, by fixed middle strengths; ours are validated as they are",
    ),
)  # fmt: skip
