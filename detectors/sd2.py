"""SD2, the detector of MMI-DD: both towers of CLIP ViT-L/14 by LoRA, CLAM over every layer's class token, and two
supervisions, texts of the five types and captions of face and environment.

Source: the paper's text (OpenReview hNd5L7WnjC; the code that it promises is not published). As it says: LoRA of rank 8
on both towers; CLAM is self-attention over the class tokens of all layers, their mean beside the final feature, and a
light adapter; L_C, cross-entropy over the cosines to one text of each type, drawn from several phrasings; L_S, which
makes the similarities of these five texts the identity; L_D, SigLIP's sigmoid loss between images and their face, and
their environment, captions; alpha 2.0; lr 5e-7, batch 1024 by accumulation, 4 epochs. Scored by one simple text a type:
fake is 1 - p(REAL), the type the largest. What it leaves open is in `open_questions`, and is an option where it could be
read otherwise.

**Negatives.** A batch that is computed in parts of `micro` rows contrasts the rows of one part alone: 1024 accumulated
from 32 is 32 negatives, not 1024. `contrast=whole` takes all rows of the batch (GradCache), at twice the forward passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part
from mmidd.schema import FORGERY_TYPES

from . import texts
from .backbones import Targets, Weights, add_lora, clip_pair, image_tower, text_tower

REAL = FORGERY_TYPES.index("REAL")
Term = Literal["classification", "separation", "contrast"]
KINDS = {"none": (), "face": ("face",), "environment": ("environment",), "both": ("face", "environment")}


class SD2Options(DetectorOptions):
    backbone: str = "clip:openai/clip-vit-large-patch14"
    """A CLIP, both towers of it, by name or folder (docs/reference-detectors.md); with `text` the image network alone."""
    text: str | None = Field(None, description="the text tower, where it is not that of the same CLIP")
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""
    lora_rank: int = Field(8, ge=0, description="0: both towers stand still, and the heads alone are trained")
    lora_alpha: float = Field(8.0, gt=0)
    """An adapter is multiplied by this over the rank."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Before the adapters, in training."""
    lora_targets: Targets = "qv"
    """Which layers of attention have an adapter."""
    clam: bool = Field(True, description="look at all layers; false: a linear adapter on the final feature (its ablation)")
    heads: int | None = Field(None, ge=1, description="of CLAM's attention; null: one for 64 of its width")
    text_head: bool = Field(False, description="a trained linear map of text features, the identity at first")
    captions: Literal["both", "face", "environment", "none"] = Field("both", description="which captions are contrasted")
    positives: Literal["identical", "diagonal"] = Field(
        "identical", description="which captions belong to an image: all of its wording"
    )
    phrasings: int = Field(5, ge=1, le=5, description="of each type, to draw from; 1: the text that is scored with")
    alpha: float = Field(2.0, ge=0)
    """Weight of the term that `alpha_on` names."""
    alpha_on: Term = "contrast"
    """Which of the three losses alpha multiplies."""
    scale: float = Field(100.0, gt=0, description="what cosines to the types' texts are multiplied by: CLIP's own")
    learn_scale: bool = False
    """Is `scale` trained?"""
    temperature: float = Field(10.0, gt=0, description="what cosines to captions are multiplied by, at first")
    bias: float = Field(-10.0, description="what is added to them, at first")
    learn_temperature: bool = Field(True, description="train temperature and bias, as SigLIP does")

    def needs(self) -> dict[str, str]:
        """Columns that its terms need, and the way out where one is empty."""
        others = {"face": "environment", "environment": "face"}
        one = "--set captions={} leaves its term out, captions=none both"
        kinds = KINDS[self.captions]
        return {f"{kind}_caption": one.format(others[kind] if len(kinds) > 1 else "none") for kind in kinds}


class Clam(nn.Module):  # type: ignore[misc]
    """Cross-layer attention: self-attention over the class tokens of all layers (n, depth, width), their mean beside the
    final feature, and a linear adapter to `out`."""

    def __init__(self, width: int, heads: int, last: int, out: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.adapter = nn.Linear(width + last, out)

    def forward(self, layers: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        mixed, _ = self.attention(layers, layers, layers, need_weights=False)
        found: torch.Tensor = self.adapter(torch.cat([mixed.mean(dim=1), last], dim=1))
        return found


class Last(nn.Module):  # type: ignore[misc]
    """What stands in CLAM's place without it: the adapter on the final feature alone."""

    def __init__(self, last: int, out: int) -> None:
        super().__init__()
        self.adapter = nn.Linear(last, out)

    def forward(self, layers: torch.Tensor | None, last: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.adapter(last)
        return found


class SD2(Network):
    compares = ("face", "environment")

    def __init__(self, options: SD2Options) -> None:
        super().__init__()
        self.options, self.kinds = options, KINDS[options.captions]
        self.image, self.text = _towers(options)
        texts.check_words(options.text or options.backbone, self.text.tokenizer)
        for tower in (self.image, self.text):
            add_lora(tower, options.lora_rank, options.lora_alpha, options.lora_targets, dropout=options.lora_dropout)
        shared, width = texts.width_of(self.text), max(self.image.layer_widths)
        heads = options.heads or max(1, width // 64)
        if options.clam and width % heads:
            raise UsageError(f"heads={heads} does not divide the {width} numbers of a layer's token: choose one that does")
        self.clam = Clam(width, heads, self.image.width, shared) if options.clam else Last(self.image.width, shared)
        self.text_head = nn.Linear(shared, shared, bias=False) if options.text_head else nn.Identity()
        if options.text_head:
            nn.init.eye_(self.text_head.weight)
        self.log_scale = _number(math.log(options.scale), options.learn_scale)
        self.log_temperature = _number(math.log(options.temperature), options.learn_temperature and bool(self.kinds))
        self.bias = _number(options.bias, options.learn_temperature and bool(self.kinds))
        columns = tuple(f"{kind}_caption" for kind in self.kinds)
        self.input = Input(self.image.side, self.image.mean, self.image.std, columns=columns)

    def features(self, batch: Batch) -> Features:
        """`image`, and of each kind of caption that column of them where they are asked for and at hand."""
        seen = self.image(batch["image"], layers=self.options.clam)
        found = {"image": self.clam(seen.layers, seen.last)}
        for kind in self.kinds:
            if (captions := batch.get(f"{kind}_caption")) is not None:
                found[kind] = self._captions(captions, found["image"])
        return found

    def _captions(self, captions: Sequence[str], like: torch.Tensor) -> torch.Tensor:
        """(n, width), zeros for a row without one."""
        rows = texts.said(captions)
        empty = torch.zeros_like(like)
        if not len(rows):
            return empty
        found = self._told([captions[row] for row in rows.tolist()])
        return empty.index_copy(0, rows.to(like.device), found.to(like.dtype))

    def _told(self, said: Sequence[str]) -> torch.Tensor:
        found: torch.Tensor = self.text_head(texts.embedded(self.text, said))
        return found

    def rows(self, batch: Batch) -> dict[str, int]:
        said = {kind: len(texts.said(batch[f"{kind}_caption"])) for kind in self.kinds}
        return {"rows": len(batch["label"]), "typed": int((batch["forgery_type"] >= 0).sum()), **said}

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        image, counts, scale = F.normalize(features["image"], dim=1), dict[str, int](), self.log_scale.exp()
        named = F.normalize(self._told(texts.sampled(self.options.phrasings)), dim=1)
        known = batch["forgery_type"] >= 0
        counts["unknown type"] = int((~known).sum())
        cost = classification(scale * image[known] @ named.T, batch["forgery_type"][known]) / max(1, over["typed"])
        terms = {"classification": cost}
        if self._separates():
            terms["separation"] = separation(scale * named @ named.T) * part(batch, over)
        else:
            counts["separation: of the texts nothing is trained"] = len(image)
        for kind in ("face", "environment"):
            if kind in self.kinds:
                cost = self._contrast(kind, image, features[kind], batch[f"{kind}_caption"], counts)
                terms[kind] = cost / max(1, over[kind])
            else:
                counts[f"{kind} contrast: captions={self.options.captions}"] = len(image)
        weighted = {"contrast": ("face", "environment")}.get(self.options.alpha_on, (self.options.alpha_on,))
        return Loss({name: self.options.alpha * each if name in weighted else each for name, each in terms.items()}, counts)

    def _separates(self) -> bool:
        return any(each.requires_grad for each in [*self.text.parameters(), *self.text_head.parameters(), self.log_scale])

    def _contrast(
        self, kind: str, image: torch.Tensor, told: torch.Tensor, captions: Sequence[str], counts: dict[str, int]
    ) -> torch.Tensor:
        rows = texts.said(captions)
        counts[f"no {kind} caption"] = len(image) - len(rows)
        tokens = self.text.tokenizer([captions[row] for row in rows.tolist()])
        if tokens.cut:
            counts[f"{kind} caption longer than the text tower reads (its end was cut, not left out)"] = tokens.cut
        identical = self.options.positives == "identical"
        belong = texts.same(tokens) if identical else torch.eye(len(rows), dtype=torch.bool)
        rows, belong = rows.to(image.device), belong.to(image.device)
        cosines = image[rows] @ F.normalize(told[rows], dim=1).T
        return contrast(self.log_temperature.exp() * cosines + self.bias, belong)

    def scores(self, features: Features) -> Scores:
        named = F.normalize(self._told(texts.labels()), dim=1)
        types = (self.log_scale.exp() * F.normalize(features["image"], dim=1) @ named.T).softmax(dim=1)
        return Scores(1 - types[:, REAL], types)

    def checkpointing(self) -> None:
        self.image.checkpointing()
        self.text.checkpointing()


def _towers(options: SD2Options) -> tuple[Any, Any]:
    if options.text is None:
        pair = clip_pair(options.backbone, options.weights)
        return pair.image, pair.text
    return image_tower(options.backbone, options.weights), text_tower(options.text, options.weights)


def _number(value: float, trained: bool) -> nn.Parameter:
    return nn.Parameter(torch.tensor(float(value)), requires_grad=trained)


def classification(logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    """L_C as a sum over rows: logits (n, 5) of cosines to the types' texts."""
    return F.cross_entropy(logits, types, reduction="sum")


def separation(logits: torch.Tensor) -> torch.Tensor:
    """L_S: each text of the five is most like itself, of their similarities (5, 5) to each other."""
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def contrast(logits: torch.Tensor, belong: torch.Tensor) -> torch.Tensor:
    """L_D as a sum over rows: of each image and caption (n, n) by itself, whether they belong together."""
    return -F.logsigmoid(torch.where(belong, logits, -logits)).sum()


_PAPER = {
    "epochs": 4, "batch": 1024, "micro": 32, "optimiser": "adamw", "lr": 5e-7, "schedule": "constant", "augment": "sd2",
    "checkpointing": True,
}  # fmt: skip
DETECTOR = Detector(
    title="SD2",
    paper="MMI-DD and SD2 (OpenReview hNd5L7WnjC)",
    code="none published; written from the paper",
    code_licence="Apache-2.0 (this file)",
    backbone="CLIP ViT-L/14, both towers",
    backbone_licence="MIT (code of CLIP); the weights' card asks for research use",
    options=SD2Options,
    build=SD2,
    presets={
        "paper": Preset({}, _PAPER),
        "small": Preset(
            {"backbone": "clip:openai/clip-vit-base-patch16"},
            {**_PAPER, "batch": 128, "micro": None, "lr": 2e-5, "epochs": 10},
        ),
        "tiny": Preset(
            {"backbone": "clip:tiny", "weights": "random"},
            {**_PAPER, "epochs": 2, "batch": 16, "micro": None, "lr": 1e-3, "precision": "float32", "checkpointing": False},
        ),
    },
    needs=("label", "forgery_type"),
    uses=("face_caption", "environment_caption"),
    open_questions=(
        "micro-batches: the paper reaches 1024 by accumulation and does not say over which rows L_D contrasts. By default "
        "over those of one part (micro=32), so a row meets 31 negatives; contrast=whole takes the whole batch (GradCache)",
        "identical captions in a batch belong to each other's images (positives=identical); the paper's diagonal makes them "
        "negatives (positives=diagonal). They are the same where the text tower reads the same",
        "which term alpha multiplies is not known: alpha_on=contrast reads L_C + L_S + alpha (L_face + L_environment)",
        "L_S: cross-entropy of the similarities of the five texts against the identity, at L_C's scale; where of the text "
        "side nothing is trained (lora_rank=0, text_head=false) it would be a constant and is left out, which is counted",
        "scales: CLIP's 100, fixed, for L_C and L_S; for L_D SigLIP's 10 and -10, trained, one pair for both kinds of "
        "captions",
        "rows of unknown type take part in L_D alone, rows without a caption not in its term, neither as image; both "
        "counted",
        "LoRA on q and v (as Hu et al.), alpha = rank, no dropout, no projections: lora_targets has q, k, v (and out). A "
        "layer that holds q, k and v in one (timm) is taken as one",
        "CLAM: one layer of attention on class tokens before the last norm, without places (the order of layers tells "
        "nothing), one head for 64 numbers, no residual; the final feature is the one after the norm; a linear adapter to "
        "the texts' width. Of a network in stages their means, filled up with zeros",
        "without CLAM (clam=false, the ablation's first row) the linear adapter is on the final feature alone; whether "
        "theirs has CLIP's own projection there is not stated",
        "phrasings are ours (detectors/texts.py); each part of a batch draws its own",
        "the score for AUC is not stated: 1 - p(REAL) of a softmax over the types at L_C's scale",
        "optimiser, weight decay and schedule are not stated: AdamW, 0, constant",
    ),
)
