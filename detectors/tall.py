"""TALL (arXiv 2307.07494, ICCV 2023): frames that follow each other become one picture, a thumbnail of each laid out in
rows, and an image network with windows sees in it what differs between them.

From the authors' code (rainy-xu/TALL4Deepfake, commit 96d28d1: README, main.py, my_models/tall_swin.py,
video_dataset_aug.py): 4 frames of 112 pixels, 2x2; Swin-B of ImageNet-22k with windows of 14 patches in the first three
stages and 7 in the last; one learned vector for each frame, added to all its patches; in training a square of 16 pixels at
one random place, the same in each frame, set to the mean colour; cross-entropy with label smoothing .1; stochastic depth
.1; AdamW 1.5e-5, weight decay 1e-5, 10 epochs of warm-up, cosine to 1.5e-7, 60 epochs, float32, 4 videos of 8 clips a step.

The windows and their shifts matter: with 14, an unshifted window of the first two stages (56x56, 28x28 patches) lies inside
one frame and a shifted one reaches into its neighbours; from the third stage on a window holds all four frames. With Swin's
own 7 no unshifted window would hold more than one frame until the last stage.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores

from .backbones import Weights, image_tower


class TallOptions(DetectorOptions):
    backbone: str = "timm:swin_base_patch4_window7_224.ms_in22k"
    """A Swin of timm, by name or folder."""
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""
    rows: int = Field(2, ge=1)
    """So many squared frames make a thumbnail, as large as the backbone's images."""
    window: int = Field(14, ge=2)
    """Patches on a side of a window, at most."""
    mask: int = Field(16, ge=0, description="pixels on a side of what is covered of each frame in training; 0: nothing")
    enlarge: bool = True
    """Bring each frame to the thumbnail's size and shrink what is laid out of those (a slight blur), as the released
    code does."""
    smoothing: float = Field(0.1, ge=0, lt=1)
    """Of the labels."""


class Tall(Network):
    def __init__(self, options: TallOptions) -> None:
        super().__init__()
        self.options, self.tower = options, image_tower(options.backbone, options.weights)
        side, inner, rows = self.tower.side, self.tower.inner, options.rows
        if not hasattr(inner, "set_input_size") or not hasattr(inner, "layers") or not hasattr(inner, "patch_embed"):
            raise UsageError(f"backbone {options.backbone!r}: TALL takes a Swin of timm, such as {TallOptions().backbone}")
        patch = inner.patch_embed.patch_size[0]
        if side % (rows * patch):
            raise UsageError(f"rows {rows}: the backbone's {side} pixels are no multiple of {rows} x its patches of {patch}")
        inner.set_input_size((side, side), window_size=options.window)
        self.frames = nn.Parameter(torch.empty(rows**2, inner.patch_embed.proj.out_channels))
        self.head = nn.Linear(self.tower.width, 2)
        nn.init.trunc_normal_(self.frames, std=0.02)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.input = Input(side // rows, self.tower.mean, self.tower.std, frames=rows**2)

    def features(self, batch: Batch) -> Features:
        frames, rows, inner = batch["image"], self.options.rows, self.tower.inner
        if self.training and self.options.mask:
            frames = cover(frames, self.options.mask)
        patches = inner.patch_embed(thumbnail(frames, rows, enlarge=self.options.enlarge))  # (n, height, width, d)
        patches = patches + tiled(self.frames, rows, patches.shape[1], patches.shape[2])
        return {"seen": inner.forward_head(inner.norm(inner.layers(patches)), pre_logits=True)}

    def losses(self, features: Features, batch: Batch, over: Any) -> Loss:
        wrong = F.cross_entropy(
            self.head(features["seen"]), batch["label"], reduction="sum", label_smoothing=self.options.smoothing
        )
        return Loss({"cross_entropy": wrong / over["rows"]})

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["seen"]).softmax(1)[:, 1])

    def checkpointing(self) -> None:
        self.tower.checkpointing()


def thumbnail(frames: torch.Tensor, rows: int, *, enlarge: bool = False) -> torch.Tensor:
    """(n, rows^2, 3, h, w) as (n, 3, rows * h, rows * w), the frames row by row. `enlarge`: see TallOptions."""
    height, width = frames.shape[-2:]
    if enlarge:
        large = F.interpolate(frames.flatten(0, 1), scale_factor=rows, mode="bilinear", align_corners=False)
        frames = large.unflatten(0, frames.shape[:2])
    laid = frames.unflatten(1, (rows, rows)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    if not enlarge:
        return laid
    return F.interpolate(laid, size=(rows * height, rows * width), mode="bilinear", align_corners=False)


def cover(frames: torch.Tensor, side: int) -> torch.Tensor:
    """Of each clip of (n, frames, 3, h, w) a square around one random pixel, the same in each frame, set to 0."""
    height, width = frames.shape[-2:]
    y, x = (torch.randint(size, (len(frames), 1)).to(frames.device) for size in (height, width))
    half = side // 2

    def within(middle: torch.Tensor, size: int) -> torch.Tensor:
        places = torch.arange(size, device=frames.device)
        return (places >= middle - half) & (places < middle + half)

    covered = within(y, height)[:, :, None] & within(x, width)[:, None, :]
    return frames.masked_fill(covered[:, None, None], 0)


def tiled(vectors: torch.Tensor, rows: int, height: int, width: int) -> torch.Tensor:
    """(height, width, d): of each frame's vector (rows^2, d) as many as the thumbnail has patches of that frame."""
    grid = vectors.unflatten(0, (rows, rows))
    return grid.repeat_interleave(height // rows, 0).repeat_interleave(width // rows, 1)


DETECTOR = Detector(
    title="TALL",
    paper="TALL: Thumbnail Layout for Deepfake Video Detection, arXiv 2307.07494 (ICCV 2023)",
    code="github.com/rainy-xu/TALL4Deepfake, commit 96d28d1",
    code_licence="MIT (files taken from others in it say CC BY-NC)",
    backbone="Swin-B, ImageNet-22k",
    backbone_licence="MIT; the weights learnt from ImageNet-22k",
    options=TallOptions,
    build=Tall,
    presets={
        "paper": Preset(
            {},
            {
                "epochs": 60, "batch": 32, "optimiser": "adamw", "lr": 1.5e-5, "min_lr": 1.5e-7, "warmup": 10.0,
                "schedule": "cosine", "weight_decay": 1e-5, "precision": "float32", "augment": "recce",
            },
        ),
        "small": Preset(
            {"backbone": "timm:swin_tiny_patch4_window7_224.ms_in1k"},
            {
                "epochs": 10, "batch": 16, "lr": 5e-5, "schedule": "cosine", "warmup": 1.0, "weight_decay": 1e-5,
                "augment": "recce",
            },
        ),
        "tiny": Preset(
            {"backbone": "timm:tiny-swin", "weights": "random", "window": 8, "mask": 4},
            {"epochs": 4, "batch": 8, "lr": 1e-3, "precision": "float32"},
        ),
    },
    needs=("label", "frame"),
    open_questions=(
        "Clips: 4 frames that follow each other by one step; clips with fewer are left out, and the sampler says how many."
        " The authors draw 8 clips of a video in every epoch and average their outputs before the loss; here a clip is a row"
        " with a loss of its own, one of each video an epoch (the authors' 60 epochs are 8 times as many clips).",
        "Augmentation: the authors crop the frames of a clip alike, to 1, .875, .75 or .66 of their sides, and flip half of"
        " the clips; the preset recce is a flip and nothing else.",
        "The authors keep biases, norms and the frames' vectors from decaying; here the decay (1e-5) is on all.",
        "Their cosine counts from the first epoch, so after the warm-up it goes on below its height; here it starts there.",
        "They track an average of the weights (decay .99996) and evaluate without it: left out.",
        "Tables of relative positions of other windows are resized bilinearly there, bicubically by timm here.",
        "DeepfakeBench (commit 8a4a7bf) differs: frames of 224 shrunk once, Adam 2e-5 with weight decay 5e-4, 100 epochs, no"
        " smoothing, its usual augmentation (xception's, with rotation), and the square is covered at test time too, by -1."
        " All but the last can be set.",
        "Of the paper's text only parts were at hand: where it differs from the code, this is the code.",
    ),
)  # fmt: skip
