"""The reference detectors' networks, losses and optimisers at their papers' settings, with random weights.

Written anew from the settings (../shared/research/DETECTORS.md names the commits). A `Step` is what a detector's package of
its own could give as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 2
Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Step:
    """One training step. `loss`: of images (n, 3, h, w) float32 and labels (n,) int64. `twice`: SAM takes two passes."""

    network: nn.Module
    loss: Loss
    optimiser: Any
    twice: bool = False

    @property
    def trained(self) -> int:
        """How many parameters it trains."""
        return sum(each.numel() for each in self.network.parameters() if each.requires_grad)

    @property
    def total(self) -> int:
        """How many parameters it has."""
        return sum(each.numel() for each in self.network.parameters())

    def __call__(self, images: Any, labels: Any, *, half: bool) -> Any:
        """Forward, backward and the optimiser's step; the loss. `half`: under bf16 autocast."""

        def passed() -> Any:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                loss = self.loss(images, labels)
            loss.backward()
            return loss.detach()

        loss = passed()
        if self.twice:
            sharpen(self.network.parameters(), self.optimiser, passed)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss


def sharpen(parameters: Iterable[Any], optimiser: Any, passed: Callable[[], Any], rho: float = 0.05) -> None:
    """SAM: the gradient at the worst point within `rho`, instead of the one that is there."""
    moved = [each for each in parameters if each.grad is not None]
    with torch.no_grad():
        norm = torch.stack([each.grad.norm() for each in moved]).norm() + 1e-12
        shifts = [each.grad * (rho / norm) for each in moved]
        for each, shift in zip(moved, shifts, strict=True):
            each.add_(shift)
    optimiser.zero_grad(set_to_none=True)
    passed()
    with torch.no_grad():
        for each, shift in zip(moved, shifts, strict=True):
            each.sub_(shift)


# Networks


def tower(toy: bool) -> Any:
    """CLIP ViT-L/14's image tower with its projection, 303,966,208 weights (toy: two narrow layers, 56 pixels)."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**_vision(toy)))


def clip(toy: bool) -> Any:
    """CLIP ViT-L/14 with its text tower, 427,616,513 weights."""
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1}
    words = {**(small if toy else text), **ends, "projection_dim": _projection(toy)}
    return CLIPModel(CLIPConfig(text_config=words, vision_config=_vision(toy), projection_dim=_projection(toy)))


def _vision(toy: bool) -> dict[str, Any]:
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    size = {"patch_size": 14, "image_size": 56 if toy else 224, "projection_dim": _projection(toy)}
    return {**(small if toy else large), **size}


def _projection(toy: bool) -> int:
    return 32 if toy else 768


class Residual(nn.Module):  # type: ignore[misc]
    """Effort's linear layer: of its weight all but the weakest singular direction stands still, and that one is trained."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        u, scale, v = weakest(linear.weight.detach())
        self.register_buffer("main", linear.weight.detach() - scale * u[:, None] * v)
        self.register_buffer("bias", linear.bias.detach())
        self.u, self.scale, self.v = nn.Parameter(u[:, None]), nn.Parameter(scale[None]), nn.Parameter(v[None])

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.main + (self.u * self.scale) @ self.v, self.bias)


def weakest(weight: Any, rounds: int = 8) -> tuple[Any, Any, Any]:
    """The singular triplet (u, scale, v) of a square matrix's smallest singular value, by inverse iteration."""
    if weight.is_meta:
        return weight[:, 0], weight[0, 0], weight[0]
    factors, pivots = torch.linalg.lu_factor(weight.double())
    u = F.normalize(torch.randn(len(weight), 1, dtype=torch.float64, device=weight.device), dim=0)
    for _ in range(rounds):
        v = F.normalize(torch.linalg.lu_solve(factors, pivots, u), dim=0)
        u = F.normalize(torch.linalg.lu_solve(factors, pivots, v, adjoint=True), dim=0)
    v = F.normalize(torch.linalg.lu_solve(factors, pivots, u), dim=0)
    scale = (u * (weight.double() @ v)).sum()
    return u[:, 0].float(), scale.float(), v[:, 0].float()


class Clam(nn.Module):  # type: ignore[misc]
    """SD2's CLAM in our reading: attention over the layers' class tokens, its mean beside the last one, and an adapter."""

    def __init__(self, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.adapter = nn.Linear(2 * width, out)

    def forward(self, layers: Any, last: Any) -> Any:
        mixed, _ = self.attention(layers, layers, layers, need_weights=False)
        return self.adapter(torch.cat([mixed.mean(dim=1), last], dim=1))


def only(network: Any, names: tuple[str, ...]) -> None:
    """Train the parameters whose names hold one of these, and no other."""
    for name, each in network.named_parameters():
        each.requires_grad_(any(part in name for part in names))


# Losses


def spread(features: Any, labels: Any) -> Any:
    """GenD's two terms of unit features (n, d): half the uniformity, and a tenth of the alignment of equal labels."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        squares = (2 - 2 * features @ features.T).clamp(min=0)
        pairs = torch.ones_like(squares).triu(1)
        same = pairs * (labels[:, None] == labels)
        uniform = (torch.exp(-2 * squares) * pairs).sum() / pairs.sum()
        alike = (squares * same).sum() / same.sum().clamp(min=1)
        return 0.5 * uniform.clamp(min=1e-6).log() + 0.1 * alike


def sigmoid_pairs(left: Any, right: Any) -> Any:
    """SigLIP's loss of unit features (n, d), whose diagonal belongs together."""
    signs = 2 * torch.eye(len(left), device=left.device) - 1
    return -F.logsigmoid(signs * (10 * left @ right.T - 10)).sum(dim=1).mean()


# Detectors


def gend(toy: bool) -> Step:
    """LNCLIP-DF and GenD: the layer norms of CLIP ViT-L/14 and a head on unit features."""
    network = tower(toy)
    network.head = nn.Linear(network.config.hidden_size, CLASSES)
    only(network, ("pre_layrnorm", "layer_norm1", "layer_norm2", "post_layernorm", "head"))
    return _unit(network, lambda images: network.vision_model(pixel_values=images).pooler_output)


def gend_pe(toy: bool) -> Step:
    """GenD on the Perception Encoder."""
    return _timm_unit("vit_pe_core_large_patch14_336", toy)


def gend_dinov3(toy: bool) -> Step:
    """GenD on DINOv3."""
    return _timm_unit("vit_large_patch16_dinov3", toy)


def _timm_unit(name: str, toy: bool) -> Step:
    small = {"depth": 2, "embed_dim": 64, "num_heads": 4} if toy else {}
    network = _timm(name, num_classes=CLASSES, img_size=64 if toy else 224, **small)
    only(network, ("norm", "head."))
    inner = network.forward_features
    return _unit(network, lambda images: network.forward_head(inner(images), pre_logits=True))


def _unit(network: Any, features: Callable[[Any], Any]) -> Step:
    def loss(images: Any, labels: Any) -> Any:
        unit = F.normalize(features(images).float(), dim=1)
        return F.cross_entropy(network.head(unit).float(), labels) + spread(unit, labels)

    return Step(network, loss, torch.optim.AdamW(_trained(network), lr=3e-4, betas=(0.9, 0.999), weight_decay=0.0))


def effort(toy: bool) -> Step:
    """Effort: the weakest singular direction of every weight of attention in CLIP ViT-L/14."""
    network = tower(toy)
    network.requires_grad_(False)
    network.head = nn.Linear(network.config.hidden_size, CLASSES)
    for block in network.vision_model.encoder.layers:
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(block.self_attn, name, Residual(getattr(block.self_attn, name)))

    def loss(images: Any, labels: Any) -> Any:
        return F.cross_entropy(network.head(network.vision_model(pixel_values=images).pooler_output).float(), labels)

    return Step(network, loss, torch.optim.Adam(_trained(network), lr=2e-4, weight_decay=5e-4))


def univfd(toy: bool) -> Step:
    """UnivFD: one number from frozen CLIP features."""
    network = tower(toy)
    network.requires_grad_(False)
    network.head = nn.Linear(network.config.projection_dim, 1)

    def loss(images: Any, labels: Any) -> Any:
        with torch.no_grad():
            features = network.visual_projection(network.vision_model(pixel_values=images).pooler_output)
        return F.binary_cross_entropy_with_logits(network.head(features)[:, 0].float(), labels.float())

    return Step(network, loss, torch.optim.AdamW(_trained(network), lr=1e-4, weight_decay=0.0))


def clip_lora(toy: bool) -> Step:
    """CLIP-LoRA: rank 2 on q, k, v of both towers, and the cosine to two prompts."""
    model = clip(toy)
    network = _lora(model, rank=2, alpha=1, dropout=0.25, targets=["q_proj", "k_proj", "v_proj"])

    def loss(images: Any, labels: Any) -> Any:
        prompts = _texts(model, CLASSES, images.device)
        seen = F.normalize(model.visual_projection(model.vision_model(pixel_values=images).pooler_output).float(), dim=1)
        return F.cross_entropy(model.logit_scale.exp() * seen @ prompts.T, labels)

    return Step(network, loss, torch.optim.AdamW(_trained(network), lr=2e-4, weight_decay=1e-2))


def sd2(toy: bool) -> Step:
    """SD2 in our reading: rank 8 on q, v of both towers, CLAM, five types of texts, face and environment captions."""
    model, types = clip(toy), 5
    network = _lora(model, rank=8, alpha=8, dropout=0.0, targets=["q_proj", "v_proj"])
    width = model.vision_model.config.hidden_size
    network.clam = Clam(width, 4 if toy else 16, _projection(toy))

    def loss(images: Any, labels: Any) -> Any:
        found = model.vision_model(pixel_values=images, output_hidden_states=True)
        layers = torch.stack([hidden[:, 0] for hidden in found.hidden_states[1:]], dim=1)
        seen = F.normalize(network.clam(layers, found.pooler_output).float(), dim=1)
        named = _texts(model, types, images.device)
        faces, places = _texts(model, 2 * len(images), images.device).chunk(2)
        told = F.cross_entropy(100 * seen @ named.T, labels)
        apart = F.cross_entropy(100 * named @ named.T, torch.arange(types, device=images.device))
        return told + apart + 2 * (sigmoid_pairs(seen, faces) + sigmoid_pairs(seen, places))

    return Step(network, loss, torch.optim.AdamW(_trained(network), lr=5e-7))


def sbi(toy: bool) -> Step:
    """SBI: EfficientNet-B4 with TensorFlow's padding, under SAM. Half of a batch are fakes blended from the other half."""
    network = _timm("tf_efficientnet_b0" if toy else "tf_efficientnet_b4", num_classes=CLASSES)
    return Step(network, _labelled(network), torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9), twice=True)


def xception(toy: bool) -> Step:
    """DeepfakeBench's Xception."""
    network = _timm("legacy_xception", num_classes=CLASSES)
    return Step(network, _labelled(network), torch.optim.Adam(network.parameters(), lr=2e-4, weight_decay=5e-4))


def spsl(toy: bool) -> Step:
    """SPSL: Xception with the phase of the grey image's spectrum as a fourth channel."""
    network = _timm("legacy_xception", num_classes=CLASSES, in_chans=4)

    def loss(images: Any, labels: Any) -> Any:
        spectrum = torch.fft.fftn(images.mean(dim=1, keepdim=True), dim=(-1, -2))
        phase = torch.fft.ifftn(torch.exp(1j * torch.angle(spectrum)), dim=(-1, -2)).real
        return F.cross_entropy(network(torch.cat([images, phase], dim=1)).float(), labels)

    return Step(network, loss, torch.optim.Adam(network.parameters(), lr=2e-4, weight_decay=5e-4))


def _timm(name: str, **options: Any) -> Any:
    import timm

    return timm.create_model(name, pretrained=False, **options)


def _labelled(network: Any) -> Loss:
    return lambda images, labels: F.cross_entropy(network(images).float(), labels)


def _trained(network: Any) -> list[Any]:
    return [each for each in network.parameters() if each.requires_grad]


def _lora(model: Any, *, rank: int, alpha: int, dropout: float, targets: list[str]) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets))


def _texts(model: Any, count: int, device: Any) -> Any:
    """Unit features (count, d) of so many random texts of CLIP's full length."""
    ids = torch.randint(2, 49406, (count, 77), device=device)
    ids[:, 0], ids[:, -1] = 49406, 49407
    return F.normalize(model.text_projection(model.text_model(input_ids=ids).pooler_output).float(), dim=1)
