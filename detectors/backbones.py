"""Backbones by name or folder: CLIP from transformers, image networks from timm, and small random ones for a first look.

A name is `clip:NAME` (a repository of the Hub, or one of `CLIPS`), `timm:NAME` (any timm model), or a folder that holds
`config.json` and `model.safetensors` as transformers' `save_pretrained` or timm's `save_for_hf` write them. `weights` is
"pretrained", or "random" for the same network freshly initialised: chosen, never fallen back to.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from mmidd.errors import UsageError

Weights = Literal["pretrained", "random"]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

_TEXT = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1, "max_position_embeddings": 77}
CLIPS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14": {
        "projection_dim": 768,
        "vision_config": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "patch_size": 14, "image_size": 224, "projection_dim": 768,
        },
        "text_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "projection_dim": 768, **_TEXT,
        },
    },
    "openai/clip-vit-base-patch16": {
        "projection_dim": 512,
        "vision_config": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "patch_size": 16, "image_size": 224, "projection_dim": 512,
        },
        "text_config": {
            "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8,
            "projection_dim": 512, **_TEXT,
        },
    },
    "tiny": {
        "projection_dim": 32,
        "vision_config": {
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4,
            "patch_size": 8, "image_size": 64, "projection_dim": 32, "initializer_range": 0.125,
        },
        "text_config": {
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "projection_dim": 32, "initializer_range": 0.125, **_TEXT,
        },
    },
}  # fmt: skip
"""CLIPs whose shape is known here, so that a random one, or one on `meta`, needs no file. `tiny` is only ever random."""


@dataclass(frozen=True)
class Seen:
    """`last`: (n, width), the features that a head is put on. `layers`: (n, depth, width), each block's class token, where asked."""

    last: torch.Tensor
    layers: torch.Tensor | None = None


class ImageTower(nn.Module):  # type: ignore[misc]
    """An image network that gives one vector an image. `inner` is the library's module; what is not trained is frozen by whoever
    uses it (`freeze`, `train_norms`)."""

    width: int
    depth: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @abstractmethod
    def forward(self, images: torch.Tensor, layers: bool = False) -> Seen:
        """Of normalised images (n, 3, side, side)."""

    @abstractmethod
    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        """Each square linear layer of attention (q, k, v, out), as (the module that holds it, its name there)."""

    @abstractmethod
    def norms(self) -> Iterator[nn.Module]:
        """The layer norms that GenD trains."""

    @abstractmethod
    def checkpointing(self) -> None:
        """Compute activations again in the backward pass. Raises UsageError where the library cannot."""


class ClipTower(ImageTower):
    """The image tower of a CLIP. `last` is the pooled output after its norm; `projection` is CLIP's own, to the shared space."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner, self.projection = model.vision_model, model.visual_projection
        config = model.config.vision_config if hasattr(model.config, "vision_config") else model.config
        self.width, self.depth, self.side = config.hidden_size, config.num_hidden_layers, config.image_size
        self.mean, self.std = CLIP_MEAN, CLIP_STD

    def forward(self, images: torch.Tensor, layers: bool = False) -> Seen:
        found = self.inner(pixel_values=images, output_hidden_states=layers)
        tokens = torch.stack([each[:, 0] for each in found.hidden_states[1:]], dim=1) if layers else None
        return Seen(found.pooler_output, tokens)

    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        for block in self.inner.encoder.layers:
            yield from ((block.self_attn, name) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))

    def norms(self) -> Iterator[nn.Module]:
        yield self.inner.pre_layrnorm
        for block in self.inner.encoder.layers:
            yield from (block.layer_norm1, block.layer_norm2)
        yield self.inner.post_layernorm

    def checkpointing(self) -> None:
        self.inner.encoder.gradient_checkpointing = True


def clip(name: str, weights: Weights) -> Any:
    """A whole CLIPModel, both towers. Raises UsageError for an unknown one."""
    from transformers import CLIPConfig, CLIPModel

    if weights == "random" and name in CLIPS:
        return CLIPModel(CLIPConfig(**CLIPS[name]))
    raise UsageError(f"backbone {name!r}: not yet")


def image_tower(name: str, weights: Weights) -> ImageTower:
    """The image network of that name. Raises UsageError for an unknown one, MissingWeights where they are not at hand."""
    kind, _, rest = name.partition(":")
    if kind == "clip":
        return ClipTower(clip(rest, weights))
    raise UsageError(f"backbone {name!r}: not yet")


def freeze(module: nn.Module) -> None:
    """Nothing of it is trained."""
    module.requires_grad_(False)
