"""CLIP-LoRA (Zanella and Ben Ayed, CVPR workshops 2024): both towers of CLIP by low-rank adapters, and the cosines to one
prompt a class.

Source: github.com/MaxZanella/CLIP-LoRA, `main.py`, `lora.py`, `loralib/layers.py`, `run_utils.py` (commits 5f32cce,
37a196d, 68033ea): rank 2 on q, k and v of every layer of both towers, alpha 1 **over the root of the rank** (its own line
for alpha / rank is commented out), dropout .25 before A; the prompt `a photo of a {}.` is read anew each step;
cross-entropy over 100 cos; AdamW 2e-4, weight decay 1e-2, cosine to 1e-6, batch 32, 500 steps a shot (16 shots: 8,000).
SD2 has it as a baseline and does not say how it trained it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores
from mmidd.schema import FORGERY_TYPES

from . import texts
from .backbones import Targets, Weights, add_lora, clip_pair


class ClipLoraOptions(DetectorOptions):
    backbone: str = "clip:openai/clip-vit-large-patch14"
    """A CLIP, both towers of it, by name or folder (docs/reference-detectors.md)."""
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""
    lora_rank: int = Field(2, ge=1)
    """Of every adapter."""
    lora_alpha: float = Field(1.0, gt=0)
    """An adapter is multiplied by this over the rank, or over its root."""
    lora_dropout: float = Field(0.25, ge=0, lt=1)
    """Before the adapters, in training."""
    lora_targets: Targets = "qkv"
    """Which layers of attention have an adapter."""
    lora_scaling: Literal["root", "rank"] = Field(
        "root", description="alpha over the root of the rank (released), or over it"
    )
    classes: Literal["two", "five"] = Field("two", description="real and fake, or the five types")
    scale: float = Field(100.0, gt=0, description="what cosines are multiplied by; not trained")

    def needs(self) -> dict[str, str]:
        """The types, where they are what is told apart."""
        return {"forgery_type": "--set classes=two does without"} if self.classes == "five" else {}


class ClipLora(Network):
    def __init__(self, options: ClipLoraOptions) -> None:
        super().__init__()
        self.options, pair = options, clip_pair(options.backbone, options.weights)
        self.image, self.text = pair.image, pair.text
        if self.image.projection is None or self.text.projection is None:
            raise UsageError(f"backbone {options.backbone!r} lacks a projection into the space that images share with texts")
        texts.check_words(options.backbone, self.text.tokenizer)
        for tower in (self.image, self.text):
            add_lora(
                tower, options.lora_rank, options.lora_alpha, options.lora_targets, dropout=options.lora_dropout,
                root=options.lora_scaling == "root",
            )  # fmt: skip
        self.prompts = list(texts.TWO_CLASSES) if options.classes == "two" else texts.labels()
        self.input = Input(self.image.side, self.image.mean, self.image.std)

    def features(self, batch: Batch) -> Features:
        assert self.image.projection is not None
        return {"image": self.image.projection(self.image(batch["image"]).last)}

    def _logits(self, features: Features) -> torch.Tensor:
        named = F.normalize(texts.embedded(self.text, self.prompts), dim=1)
        found: torch.Tensor = self.options.scale * F.normalize(features["image"], dim=1) @ named.T
        return found

    def rows(self, batch: Batch) -> dict[str, int]:
        return {"rows": len(batch["label"]), "classed": int((self._classes(batch) >= 0).sum())}

    def _classes(self, batch: Batch) -> torch.Tensor:
        found: torch.Tensor = batch["label" if self.options.classes == "two" else "forgery_type"]
        return found

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        classes = self._classes(batch)
        known = classes >= 0
        cost = F.cross_entropy(self._logits(features)[known], classes[known], reduction="sum") / max(1, over["classed"])
        counts = {"unknown type": int((~known).sum())} if self.options.classes == "five" else {}
        return Loss({"cross_entropy": cost}, counts)

    def scores(self, features: Features) -> Scores:
        found = self._logits(features).softmax(dim=1)
        if self.options.classes == "two":
            return Scores(found[:, 1])
        return Scores(1 - found[:, FORGERY_TYPES.index("REAL")], found)

    def checkpointing(self) -> None:
        self.image.checkpointing()
        self.text.checkpointing()


_PAPER = {
    "steps": 8000, "batch": 32, "optimiser": "adamw", "lr": 2e-4, "weight_decay": 1e-2, "schedule": "cosine", "min_lr": 1e-6,
    "augment": "recce",
}  # fmt: skip
DETECTOR = Detector(
    title="CLIP-LoRA",
    paper="Low-Rank Few-Shot Adaptation of Vision-Language Models, arXiv 2405.18541 (CVPR workshops 2024)",
    code="github.com/MaxZanella/CLIP-LoRA, commit 5f32cce; ours is written anew, on peft",
    code_licence="Apache-2.0 (this file)",
    backbone="CLIP ViT-L/14, both towers",
    backbone_licence="MIT (code of CLIP); the weights' card asks for research use",
    options=ClipLoraOptions,
    build=ClipLora,
    presets={
        "paper": Preset({}, _PAPER),
        "small": Preset({"backbone": "clip:openai/clip-vit-base-patch16"}, _PAPER),
        "tiny": Preset(
            {"backbone": "clip:tiny", "weights": "random"},
            {**_PAPER, "steps": None, "epochs": 2, "batch": 16, "lr": 1e-3, "precision": "float32"},
        ),
    },
    open_questions=(
        "its training pictures are random crops of 8 to 100 % of the area, then flipped: a crop of 8 % leaves no face of an "
        "aligned one, so here is the flip alone (augment=recce)",
        "which backbone, prompts, classes and length SD2's baseline of this name has is not stated: CLIP ViT-L/14, real and "
        "fake, and 8,000 steps, the authors' for 16 shots",
        "its LoRA computes in float16 with a scaler: here bfloat16, or float32",
    ),
)
