"""Image networks behind one interface: CLIP's image tower (transformers) and every network of timm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mmidd.errors import UsageError

from .weights import RANDOM, Source

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
Which = Literal["as_released", "listed"]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Seen:
    """`last`: (n, width), the features that a head is put on. `layers`, where asked: (n, depth, width of the widest), each
    block's class token before the last norm; of a network without one the mean over its places, of one in stages each
    stage's mean, narrower stages filled up with zeros (`layer_widths` has their own)."""

    last: torch.Tensor
    layers: torch.Tensor | None = None


class ImageTower(nn.Module):  # type: ignore[misc]
    """An image network that gives one vector an image. `inner` is the library's module; what is not trained is frozen by
    whoever uses it (`freeze`).

    `width` of the features, `depth` of the layers and their `layer_widths`; `side`, `mean` and `std` of the images;
    `source`: where the weights are from.
    """

    inner: nn.Module
    width: int
    depth: int
    layer_widths: tuple[int, ...]
    side: int
    mean: Colour
    std: Colour
    source: Source

    @abstractmethod
    def forward(self, images: torch.Tensor, layers: bool = False) -> Seen:
        """Of normalised images (n, 3, side, side)."""

    @abstractmethod
    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        """Each linear layer of attention, as (the module that holds it, its name there): q, k, v and out; of timm's networks
        mostly qkv, which is the three in one layer, and proj. Raises UsageError for a network without attention."""

    @abstractmethod
    def norms(self, which: Which = "as_released") -> Iterator[nn.Module]:
        """The norm layers that GenD trains. Its code names them by parts of names (`norm`), which on the Perception Encoder
        also hits the norm of its attention pooling: `as_released` has that, `listed` those that the paper means alone."""

    @abstractmethod
    def checkpointing(self) -> None:
        """Compute activations again in the backward pass. Raises UsageError where the library cannot."""


class ClipTower(ImageTower):
    """The image tower of a CLIP. `last` is the pooled output after its norm; `projection` is CLIP's own, to the shared space
    (None where the files have none)."""

    projection: nn.Module | None

    def __init__(self, model: Any, source: Source = RANDOM, side: int | None = None) -> None:
        """`model`: transformers' CLIPModel or CLIPVisionModelWithProjection."""
        super().__init__()
        self.inner, self.projection = model.vision_model, getattr(model, "visual_projection", None)
        config = model.config.vision_config if hasattr(model.config, "vision_config") else model.config
        self.width, self.depth = config.hidden_size, config.num_hidden_layers
        self.layer_widths = (self.width,) * self.depth
        self.side, self._interpolate = side or config.image_size, side not in (None, config.image_size)
        self.mean, self.std, self.source = CLIP_MEAN, CLIP_STD, source

    def forward(self, images: torch.Tensor, layers: bool = False) -> Seen:
        found = self.inner(pixel_values=images, output_hidden_states=layers, interpolate_pos_encoding=self._interpolate)
        tokens = torch.stack([each[:, 0] for each in found.hidden_states[1:]], dim=1) if layers else None
        return Seen(found.pooler_output, tokens)

    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        for block in self.inner.encoder.layers:
            yield from ((block.self_attn, name) for name in ("q_proj", "k_proj", "v_proj", "out_proj"))

    def norms(self, which: Which = "as_released") -> Iterator[nn.Module]:
        yield self.inner.pre_layrnorm
        for block in self.inner.encoder.layers:
            yield from (block.layer_norm1, block.layer_norm2)
        yield self.inner.post_layernorm

    def checkpointing(self) -> None:
        compute_again(self.inner)


def compute_again(model: Any) -> None:
    """Activation checkpointing of a network of transformers, whatever its version calls that."""
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)({"use_reentrant": False})


_NORMS = (nn.LayerNorm, nn.GroupNorm, _BatchNorm)
_LISTED = ("norm_pre", "norm1", "norm2", "norm")


class TimmTower(ImageTower):
    """A network of timm without its classifier. `last` is what the classifier would have seen."""

    def __init__(self, model: Any, side: int, source: Source = RANDOM) -> None:
        super().__init__()
        self.inner, self.width, self.side = model, model.head_hidden_size, side
        self.mean, self.std = tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])
        self.source = source
        self.blocks = hasattr(model, "blocks") and hasattr(model, "num_prefix_tokens")
        self.layer_widths = (model.embed_dim,) * len(model.blocks) if self.blocks else _stages(model)
        self.depth = len(self.layer_widths)

    def forward(self, images: torch.Tensor, layers: bool = False) -> Seen:
        if not layers:
            return Seen(self.inner(images))
        how: dict[str, Any] = {"return_prefix_tokens": True, "output_fmt": "NLC"} if self.blocks else {}
        end, found = self.inner.forward_intermediates(images, **how)
        return Seen(self.inner.forward_head(end, pre_logits=True), self._layers(found))

    def _layers(self, found: Any) -> torch.Tensor:
        if not self.blocks:
            widest = max(self.layer_widths)
            means = (each.mean(dim=(2, 3)) for each in found)
            return torch.stack([F.pad(each, (0, widest - each.shape[1])) for each in means], dim=1)
        if self.inner.num_prefix_tokens == 0:
            return torch.stack([each.mean(dim=1) for each in found], dim=1)
        return torch.stack([prefix[:, 0] for _, prefix in found], dim=1)

    def attention_linears(self) -> Iterator[tuple[nn.Module, str]]:
        found = [
            (module, name)
            for module in self.inner.modules()
            for name in ("qkv", "q_proj", "k_proj", "v_proj", "proj")
            if isinstance(getattr(module, "qkv", getattr(module, "q_proj", None)), nn.Linear)
            and isinstance(getattr(module, name, None), nn.Linear)
        ]
        if not found:
            raise UsageError(
                f"{type(self.inner).__name__} has no attention whose linear layers could be changed; take a vision "
                "transformer such as clip:openai/clip-vit-large-patch14 or timm:vit_base_patch16_clip_quickgelu_224.openai"
            )
        yield from found

    def norms(self, which: Which = "as_released") -> Iterator[nn.Module]:
        """Of a network that is no vision transformer: every layer, batch and group norm (our reading; GenD has none)."""
        for name, module in self.inner.named_modules():
            if not any(True for _ in module.parameters(recurse=False)):
                continue
            if self.blocks and which == "listed":
                place, _, last = name.rpartition(".")
                wanted = last in _LISTED and (not place or place.removeprefix("blocks.").isdecimal())
            elif self.blocks:
                wanted = "norm" in name
            else:
                wanted = isinstance(module, _NORMS)
            if wanted:
                yield module

    def checkpointing(self) -> None:
        try:
            self.inner.set_grad_checkpointing(True)
        except (AttributeError, AssertionError, NotImplementedError) as error:
            raise UsageError(
                f"{type(self.inner).__name__} has no gradient checkpointing: leave checkpointing=false, and take a smaller "
                "micro"
            ) from error


def _stages(model: Any) -> tuple[int, ...]:
    return tuple(int(each["num_chs"]) for each in model.feature_info)


def freeze(module: nn.Module) -> None:
    """Nothing of it is trained."""
    module.requires_grad_(False)
