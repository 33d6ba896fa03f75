"""TALL (arXiv 2307.07494, ICCV 2023): frames that follow each other become one picture, a thumbnail of each laid out in rows, and an
image network with windows sees in it what differs between them.

From the authors' code (rainy-xu/TALL4Deepfake, commit 96d28d1: README, main.py, my_models/tall_swin.py, video_dataset_aug.py):
4 frames of 112 pixels, 2x2; Swin-B of ImageNet-22k with windows of 14 patches in the first three stages and 7 in the last; one
learned vector for each frame, added to all its patches; in training a square of 16 pixels at one random place, the same in each
frame, set to the mean colour; cross-entropy with label smoothing .1; AdamW 1.5e-5, weight decay 1e-5, 10 epochs of warm-up, cosine to
1.5e-7, 60 epochs, float32, 4 videos of 8 clips a step.

The windows matter: with 14, an unshifted window of the first two stages (56x56, 28x28 patches) lies inside one frame, a shifted one
reaches into its neighbours, and from the third stage on a window holds all four frames. With Swin's own 7 a window would hold no
more than one frame until the last stage, the shifts apart.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores

from .backbones import IMAGENET_MEAN, IMAGENET_STD, Weights


class TallOptions(DetectorOptions):
    """`rows` squared frames make a thumbnail of `side` pixels. `window`: patches a window has at most on a side. `enlarge`: bring
    each frame to the thumbnail's size first, and shrink what was laid out of those (a slight blur), as the released code does."""

    backbone: str = "timm:swin_base_patch4_window7_224.ms_in22k"
    weights: Weights = "pretrained"
    side: int = Field(224, ge=8, description="pixels of the thumbnail")
    rows: int = Field(2, ge=1)
    window: int = Field(14, ge=2)
    mask: int = Field(16, ge=0, description="pixels of a frame that are covered in training, square; 0: none")
    enlarge: bool = True
    smoothing: float = Field(0.1, ge=0, lt=1)
    drop_path: float = Field(0.1, ge=0, lt=1)


class Tall(Network):
    def __init__(self, options: TallOptions) -> None:
        super().__init__()
        self.options = options
        self.inner = _swin(options)
        patch = self.inner.patch_embed.patch_size[0]
        if options.side % (options.rows * patch):
            raise UsageError(
                f"side {options.side}: has to be a multiple of rows x the backbone's patches, {options.rows * patch}"
            )
        self.frames = nn.Parameter(torch.empty(options.rows**2, self.inner.patch_embed.proj.out_channels))
        self.head = nn.Linear(self.inner.num_features, 2)
        nn.init.trunc_normal_(self.frames, std=0.02)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.input = Input(options.side // options.rows, IMAGENET_MEAN, IMAGENET_STD, frames=options.rows**2)

    def features(self, batch: Batch) -> Features:
        frames, rows = batch["image"], self.options.rows
        if self.training and self.options.mask:
            frames = cover(frames, self.options.mask)
        patches = self.inner.patch_embed(thumbnail(frames, rows, enlarge=self.options.enlarge))  # (n, height, width, d)
        patches = patches + tiled(self.frames, rows, patches.shape[1], patches.shape[2])
        return {"seen": self.inner.forward_head(self.inner.norm(self.inner.layers(patches)))}

    def losses(self, features: Features, batch: Batch, over: Any) -> Loss:
        wrong = F.cross_entropy(
            self.head(features["seen"]), batch["label"], reduction="sum", label_smoothing=self.options.smoothing
        )
        return Loss({"cross_entropy": wrong / over["rows"]})

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["seen"]).softmax(1)[:, 1])

    def checkpointing(self) -> None:
        self.inner.set_grad_checkpointing(True)


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
    """Of each clip of (n, frames, 3, h, w) a square around one random pixel set to 0 in every frame, less what lies outside."""
    count, height, width = len(frames), *frames.shape[-2:]
    y, x = (torch.randint(size, (count, 1)).to(frames.device) for size in (height, width))
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


def _swin(options: TallOptions) -> Any:
    """timm's Swin with these windows. A pretrained one's tables of relative positions are resized (bicubic) to fit them."""
    import timm

    kind, _, name = options.backbone.partition(":")
    if kind != "timm":
        raise UsageError(f"backbone {options.backbone!r}: TALL takes a Swin of timm, such as {TallOptions().backbone}")
    shape: dict[str, Any] = {"img_size": options.side, "window_size": options.window, "drop_path_rate": options.drop_path}
    if name == "tiny":
        name, shape = "swin_tiny_patch4_window7_224", shape | {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)}
    return timm.create_model(name, pretrained=options.weights == "pretrained", num_classes=0, **shape)


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
            {"epochs": 10, "batch": 16, "lr": 5e-5, "schedule": "cosine", "warmup": 1.0, "weight_decay": 1e-5, "augment": "recce"},
        ),
        "tiny": Preset(
            {"backbone": "timm:tiny", "weights": "random", "side": 64, "window": 8, "mask": 4, "drop_path": 0.0},
            {"epochs": 4, "batch": 8, "lr": 1e-3, "precision": "float32"},
        ),
    },
    needs=("label", "frame"),
    open_questions=(
        "Clips: each has 4 frames that follow each other by one step; clips with fewer are left out, and the sampler says how many."
        " The authors draw 8 clips of a video in every epoch and average their outputs before the loss; here a clip is a row with a"
        " loss of its own, one of each video an epoch (of 60 epochs the authors' is 8 times as many clips).",
        "Augmentation: the authors crop each clip alike at 1, .875, .75 or .66 of its sides and flip half of them; there is no such"
        " preset, and only the flip is here (the preset recce is a flip and nothing else).",
        "The authors' code keeps weights decaying off biases, norms and the frames' vectors; here the decay (1e-5) is on all.",
        "Their cosine counts from the first epoch, so it goes on from below its height after the warm-up; here it starts after it.",
        "They track an average of weights (decay .99996) and evaluate without it: left out.",
        "The tables of relative positions are resized bilinearly there, bicubically by timm.",
        "DeepfakeBench (commit 8a4a7bf) sets other figures: frames of 224 shrunk once, Adam 2e-5 with weight decay 5e-4, 100 epochs,"
        " no smoothing, its usual augmentation, and covers the square at test time too, with -1. Of these `enlarge`, `smoothing` and"
        " the settings can be set.",
        "The paper's text is not at hand in full; where it differs from the code, this is the code.",
    ),
)  # fmt: skip
