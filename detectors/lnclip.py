"""LNCLIP-DF (arXiv 2508.06248 v1, GenD's predecessor): the layer norms of CLIP's image encoder are trained, and a linear
head on unit features, with cross-entropy on features that were mixed with others of their class.

Specification: in training each feature is moved along the great circle towards that of a random row of its class (spherical
interpolation, t ~ U[0, 1], a permutation of the class; the row itself may be drawn); a class with one row stays as it is.
AdamW 8e-5, cosine to 5e-5 over 10 epochs, no decay, batches of 128, bf16; FF++ c23 with 32 frames of a clip at 224. CLIP
ViT-L/14: 303,968,258 parameters, 104,450 trained. Source: github.com/yermandy/deepfake-detection, commit 0b872f7 (MIT),
`run.py` and `src/model/dfdet.py`, read for facts.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional as F

from mmidd.runs.detector import Batch, Detector, Features, Loss, Preset

from .gend import CLIP_LICENCE, SMALL_BACKBONE, SMALL_SETTINGS, TINY, TINY_SETTINGS, Tuned, TunedOptions

_NEARLY = 1 - 1e-7


class LNCLIPOptions(TunedOptions):
    slerp: bool = True
    """Are features mixed within their class in training?"""


class LNCLIP(Tuned):
    def __init__(self, options: LNCLIPOptions) -> None:
        super().__init__(options)
        self.slerp = options.slerp

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        seen, label = features["seen"], batch["label"]
        if self.slerp and self.training:
            seen = mixed(seen, label)
        return Loss({"cross_entropy": F.cross_entropy(self.logits(seen), label, reduction="sum") / over["rows"]})


def mixed(seen: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Each of the features (n, d) moved towards that of a random row of its label, as unit features; one that is alone with
    its label as it is."""
    found = seen.clone()
    for each in label.unique():
        places = (label == each).nonzero()[:, 0]
        if len(places) > 1:
            others = places[torch.randperm(len(places), device=places.device)]
            t = torch.rand(len(places), 1, device=seen.device, dtype=seen.dtype)
            found[places] = slerp(seen[places], seen[others], t)
    return found


def slerp(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Unit vectors on the great circle from a to b, both (n, d), at t (n, 1) of the way. Of opposite ones, between which
    there are many, it is the a that shrinks through 0 to b; gradients are finite for equal and opposite ones as well."""
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    angle = (a * b).sum(dim=-1, keepdim=True).clamp(-_NEARLY, _NEARLY).acos()
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


DETECTOR = Detector(
    title="LNCLIP-DF",
    paper="Deepfake Detection that Generalizes Across Benchmarks, arXiv 2508.06248 v1 (2025)",
    code="github.com/yermandy/deepfake-detection, commit 0b872f7",
    code_licence="MIT",
    backbone="CLIP ViT-L/14",
    backbone_licence=CLIP_LICENCE,
    options=LNCLIPOptions,
    build=LNCLIP,
    presets={
        "paper": Preset(
            {},
            {
                "epochs": 10, "batch": 128, "optimiser": "adamw", "lr": 8e-5, "min_lr": 5e-5, "schedule": "cosine",
                "frames": 32,
            },
        ),
        "small": Preset({"backbone": SMALL_BACKBONE}, {**SMALL_SETTINGS, "lr": 8e-5, "min_lr": 5e-5, "schedule": "cosine"}),
        "tiny": Preset(TINY, TINY_SETTINGS),
    },
    open_questions=(
        "augmentation: the code's own settings name none, the paper is not clear; augment=none",
        "features are mixed among the rows of one part of a batch (`micro`); the paper's batch of 128 is one part",
    ),
)  # fmt: skip
