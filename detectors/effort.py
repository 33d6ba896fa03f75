"""Effort, or CLIP-SVD (ICML 2025, arXiv 2411.15633): of every weight of attention in CLIP ViT-L/14 all but the weakest
singular directions stand still; those are trained, and a linear head.

Source: YZY-stack/Effort-AIGI-Detection, commit 96f5dea, `effort.yaml` and `effort_detector.py` (read for facts; CC BY-NC,
so the code here is our own). Adam 2e-4 with L2 5e-4, batch 32, 10 epochs, 8 frames of each clip to train and to test, 224
pixels, cross-entropy alone. Layer norms, biases and everything else are frozen.

With W the backbone's weight and (u0, s0, v0) its weakest triplets, a layer computes (W - u0 s0 v0 + u s v) x + b. W is
never changed and never copied: a checkpoint holds both triplets and the head, and on the same backbone gives the same
network again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part

from .backbones import Weights, freeze, image_tower

_ROUNDS, _SPARE = 60, 7
_CLOSE = 1e-10


class EffortOptions(DetectorOptions):
    backbone: str = "clip:openai/clip-vit-large-patch14"
    """An image network, by name or folder (docs/reference-detectors.md)."""
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""
    rank: int = Field(1, ge=1, description="trained singular directions of each weight; all others stand still")
    orthogonality: float = Field(0.0, ge=0, description="weight of how far the bases are from orthogonal (released: off)")
    keep: float = Field(0.0, ge=0, description="weight of how far each weight's squared norm moved (released: off)")


@dataclass(frozen=True)
class Triplets:
    """Singular directions of a weight (out, in): u (out, k), s (k,), falling, and v (k, in). `searched`: found by inverse
    iteration, not by a full SVD."""

    u: torch.Tensor
    s: torch.Tensor
    v: torch.Tensor
    searched: bool


def weakest(weight: torch.Tensor, rank: int = 1) -> Triplets:
    """The triplets of the `rank` smallest singular values, of a weight's own kind; computed in float64.

    Inverse iteration on an LU factorisation, with a few directions to spare, until ||Wv - us|| and ||W'u - vs|| are at
    most 1e-10 ||W||. A full SVD takes its place where that does not come about: a singular weight, values that lie too
    close to many others, a rank of a third of all. Raises UsageError for a rank that leaves nothing as it is, and for a
    weight that is not finite.
    """
    out, wide = weight.shape
    least = min(out, wide)
    if rank >= least:
        raise UsageError(f"rank={rank} leaves nothing of a weight of {out} x {wide} as it is: take less than {least}")
    if weight.is_meta:
        return Triplets(weight[:, :rank], weight[0, :rank], weight[:rank], True)
    if not weight.isfinite().all():
        raise UsageError("a weight of the backbone is not finite (NaN or infinite): take another backbone")
    found = _searched(weight.double(), rank) or _decomposed(weight.double(), rank)
    return Triplets(found.u.to(weight), found.s.to(weight), found.v.to(weight), found.searched)


def _decomposed(weight: torch.Tensor, rank: int) -> Triplets:
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    return Triplets(u[:, -rank:], s[-rank:], v[-rank:], False)


def _searched(weight: torch.Tensor, rank: int) -> Triplets | None:
    """By inverse iteration; None where it does not settle."""
    out, wide = weight.shape
    if out < wide:
        found = _searched(weight.T, rank)
        return found and Triplets(found.v.T, found.s, found.u.T, True)
    if out > wide:
        base, square = torch.linalg.qr(weight)
        found = _searched(square, rank)
        return found and Triplets(base @ found.u, found.s, found.v, True)
    if 3 * rank >= out:
        return None
    factors, pivots, wrong = torch.linalg.lu_factor_ex(weight)
    if wrong:
        return None
    chance = torch.Generator(weight.device).manual_seed(0)
    shape = (out, min(out, rank + _SPARE))
    u = torch.randn(shape, dtype=weight.dtype, device=weight.device, generator=chance)
    for done in range(1, _ROUNDS + 1):
        v = torch.linalg.lu_solve(factors, pivots, u)
        if not v.isfinite().all():
            return None
        v = torch.linalg.qr(v).Q
        u = torch.linalg.qr(torch.linalg.lu_solve(factors, pivots, v, adjoint=True)).Q
        if done % 4:
            continue
        left, s, right = torch.linalg.svd(u.T @ weight @ v)
        left, s, right = (u @ left)[:, -rank:], s[-rank:], (v @ right.T)[:, -rank:]
        off = torch.cat([weight @ right - left * s, weight.T @ left - right * s], dim=1)
        if torch.linalg.vector_norm(off, dim=0).max() <= _CLOSE * torch.linalg.matrix_norm(weight):
            return Triplets(left, s, right.T, True)
    return None


class Residual(nn.Module):  # type: ignore[misc]
    """A linear layer whose weakest singular directions alone are trained. It takes the layer's weight and bias over."""

    def __init__(self, linear: Any, rank: int) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        first = weakest(linear.weight.detach(), rank)
        self.searched = first.searched
        self.u, self.s, self.v = (nn.Parameter(each.clone()) for each in (first.u, first.s, first.v))
        for name, each in (("u0", first.u), ("s0", first.s), ("v0", first.v)):
            self.register_buffer(name, each.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # By its factors: the product u s v would cost the gradient of a whole weight, and be lost beside W in bfloat16.
        into = torch.cat([self.u * self.s, self.u0 * -self.s0], dim=1)
        return F.linear(x, self.weight, self.bias) + F.linear(F.linear(x, torch.cat([self.v, self.v0])), into)

    def change(self) -> torch.Tensor:
        """What is added to the weight: u s v - u0 s0 v0."""
        return (self.u * self.s) @ self.v - (self.u0 * self.s0) @ self.v0

    def merged(self) -> torch.Tensor:
        """The weight of the plain linear layer that computes the same."""
        return (self.weight + self.change()).detach()

    def off_orthogonal(self) -> torch.Tensor:
        """Half of ||U'U - 1|| + ||V'V - 1|| (Frobenius), U being all left directions of the weight and V all right ones.
        Those that stand still are a basis of what u0 (v0) leaves, so this is ||uu' - u0 u0'||: they need not be known."""
        left = torch.linalg.matrix_norm(self.u @ self.u.T - self.u0 @ self.u0.T)
        return (left + torch.linalg.matrix_norm(self.v.T @ self.v - self.v0.T @ self.v0)) / 2

    def moved(self) -> torch.Tensor:
        """By how much the weight's squared Frobenius norm differs from that at the start."""
        change = self.change()
        return (change * (2 * self.weight + change)).sum().abs()


class Effort(Network):
    def __init__(self, options: EffortOptions) -> None:
        super().__init__()
        self.options, self.tower = options, image_tower(options.backbone, options.weights)
        freeze(self.tower)
        places = list(self.tower.attention_linears())
        if not places:
            raise UsageError(
                f"backbone {options.backbone!r} has no linear layers of attention, which Effort trains: take a ViT"
            )
        for holder, name in places:
            setattr(holder, name, Residual(getattr(holder, name), options.rank))
        slow = sum(not each.searched for each in self.residuals())
        if slow:
            warnings.warn(
                f"effort: {slow} of {len(places)} weights are singular, or have no weakest {options.rank} that stand apart: "
                "a full SVD of each took the place of the search", stacklevel=2,
            )  # fmt: skip
        self.head = nn.Linear(self.tower.width, 2)
        self.input = Input(self.tower.side, self.tower.mean, self.tower.std)

    def residuals(self) -> list[Residual]:
        """The layers of which a part is trained."""
        return [each for each in self.tower.modules() if isinstance(each, Residual)]

    def features(self, batch: Batch) -> Features:
        return {"seen": self.tower(batch["image"]).last}

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        entropy = F.cross_entropy(self.head(features["seen"]), batch["label"], reduction="sum") / over["rows"]
        terms, weight = {"cross_entropy": entropy}, part(batch, over)
        if self.options.orthogonality:
            terms["orthogonality"] = (
                self.options.orthogonality * weight * _mean([e.off_orthogonal() for e in self.residuals()])
            )
        if self.options.keep:
            terms["keep"] = self.options.keep * weight * _mean([each.moved() for each in self.residuals()])
        return Loss(terms)

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["seen"]).softmax(1)[:, 1])

    def checkpointing(self) -> None:
        self.tower.checkpointing()


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(values).mean()


_PAPER = {
    "epochs": 10, "batch": 32, "optimiser": "adam", "lr": 2e-4, "weight_decay": 5e-4, "schedule": "constant",
    "augment": "effort", "frames": 8, "validation_frames": 8,
}  # fmt: skip
DETECTOR = Detector(
    title="Effort (CLIP-SVD)",
    paper="Orthogonal Subspace Decomposition for Generalizable AI-Generated Image Detection, arXiv 2411.15633 (ICML 2025)",
    code="github.com/YZY-stack/Effort-AIGI-Detection, commit 96f5dea; ours is written anew",
    code_licence="CC BY-NC 4.0 (theirs); Apache-2.0 (this file)",
    backbone="CLIP ViT-L/14, image tower",
    backbone_licence="MIT (code of CLIP); the weights' card asks for research use",
    options=EffortOptions,
    build=Effort,
    presets={
        "paper": Preset({}, _PAPER),
        "small": Preset({"backbone": "clip:openai/clip-vit-base-patch16"}, _PAPER),
        "tiny": Preset(
            {"backbone": "clip:tiny", "weights": "random"},
            {**_PAPER, "epochs": 2, "batch": 16, "lr": 1e-3, "precision": "float32"},
        ),
    },
    open_questions=(
        "orthogonality and keep are in the paper and commented out in the released code: 0 by default, each the mean over "
        "the layers, so that their weights are the paper's lambdas",
        "L2 5e-4 pulls u, s and v to zero, not to where they began: as released",
        "a weight that holds q, k and v in one (timm's ViTs) has its weakest directions taken as one weight: CLIP's are "
        "three",
    ),
)
