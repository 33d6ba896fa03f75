"""Forensics Adapter (arXiv 2411.19715, CVPR 2025): beside a frozen CLIP a small transformer learns where a forged face was
blended in, and steers with what it found the attention of further class tokens in CLIP.

From the authors' code (OUC-VAS/ForensicsAdapter, commit a4cc94f: config/train.yaml, model/, dataset/abstract_dataset.py):

- The image, 256 pixels, is cut into 16x16 patches for the adapter, and goes, at 224, through CLIP ViT-L/14, whose patches
  are as many. The adapter: 128 queries and the patches through 8 blocks of a ViT-Tiny (192 wide, 3 heads, from scratch),
  the places' vectors added again before every block; to its patches after blocks 1, 2 and 3 are added CLIP's after its
  blocks 1, 8 and 15, layer-normed, projected, times .01.
- Of the queries and the patches after block 8 three-layer perceptrons make maps (query x patch): where the boundary is, and
  for each of CLIP's heads a bias of attention. 128 copies of CLIP's class token run through CLIP again beside its own
  tokens, each seeing itself and the patches by its biases, seen by no other; after CLIP's block 7 a bottleneck (192) adds
  to its patches, times .05. The copies after CLIP's last norm and projection, L2-normalised, are folded into one vector
  (convolutions over the copies) and classified by a perceptron.
- Loss: 10 cross-entropy + 200 boundary + 20 patches + 10 CLIP's patches. Boundary: the squared error of a picture, made of
  the queries' maps (of the patches that truly hold a boundary alone), to 4 m (1 - m) of the blurred mask m. Patches: after
  blocks 4, 5 and 6 real ones of forged images are alike and unlike forged ones. CLIP's patches: the same within its
  bottleneck, and patches of real images are alike and unlike those of forged ones.
- Adam 2e-4, L2 5e-4, batch 16, 60 epochs, 32 frames of a video, no augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part

from .backbones import ClipTower, Weights, freeze, image_tower
from .patches import cut, edge, image_contrast, patch_contrast

PATCH = 16
"""Pixels on a side of the adapter's patches."""


class ForensicsAdapterOptions(DetectorOptions):
    backbone: str = "clip:openai/clip-vit-large-patch14"
    """A CLIP's image tower, by name or folder (docs/reference-detectors.md)."""
    weights: Weights = "pretrained"
    """The backbone's own, or the same network freshly initialised."""
    queries: int = Field(128, ge=4)
    """Vectors that look for boundaries, and copies of CLIP's class token."""
    width: int = Field(192, ge=8)
    """Of the adapter's tokens."""
    heads: int = Field(3, ge=1)
    """Of the adapter's attention."""
    blocks: int = Field(8, ge=1)
    """Of the adapter."""
    meets: dict[int, int] = Field({1: 1, 2: 8, 3: 15})
    """After the adapter's block (the key) CLIP's patches of this block are added; blocks are counted from 1."""
    contrasted: tuple[int, ...] = (4, 5, 6)
    """Blocks of the adapter whose patches are contrasted."""
    bottleneck: int = Field(7, ge=1)
    """CLIP's block that the bottleneck follows."""
    temperature: float = Field(0.5, gt=0)
    """Cosines of patches are divided by it."""
    count_all: bool = True
    """Do pairs of patches that are none of a kind count with a cosine of 0, as in the released code?"""
    classification: float = 10.0
    """Weight of the cross-entropy."""
    boundary: float = 200.0
    """Weight of the boundary's error."""
    patches: float = 20.0
    """Weight of the contrast of the adapter's patches."""
    clip_patches: float = 10.0
    """Weight of the contrast of CLIP's patches."""


class ForensicsAdapter(Network):
    compares = ("patches", "clip_patches")

    def __init__(self, options: ForensicsAdapterOptions) -> None:
        super().__init__()
        self.options, self.tower = options, _clip(options)
        freeze(self.tower)
        vision = self.tower.inner.config
        self.grid = self.tower.side // vision.patch_size
        self.adapter = Adapter(options, self.tower.width, vision.num_attention_heads, self.grid)
        self.bottleneck = nn.ModuleList([nn.Linear(self.tower.width, 192), nn.Linear(192, self.tower.width)])
        self.drawn = _drawn(options.queries)
        self.fold = _folded(options.queries)
        self.classify = _perceptron(vision.projection_dim, vision.projection_dim // 2, vision.projection_dim // 4, 2)
        self.input = Input(PATCH * self.grid, self.tower.mean, self.tower.std, mask=True)
        self._again = False

    def rows(self, batch: Batch) -> dict[str, int]:
        return {"rows": len(batch["label"]), "masks": int(batch["has_mask"].sum())}

    def checkpointing(self) -> None:
        self._again = True

    def features(self, batch: Batch) -> Features:
        """`seen` (n, d). Of a batch with masks also `boundary` (n, side, side), and unit patches: `patches` (n, blocks, l,
        d) and `clip_patches` (n, l, d)."""
        image = batch["image"]
        inner, side = self.tower.inner, self.tower.side
        with torch.no_grad():
            first = inner.pre_layrnorm(inner.embeddings(F.interpolate(image, (side, side), mode="bilinear")))
            met, token = {0: first}, first
            for number, block in enumerate(inner.encoder.layers[: max(self.options.meets.values())], 1):
                token = met[number] = block(token, None)
        seen = self.adapter(image, {own: met[clip][:, 1:] for own, clip in self.options.meets.items()}, self._run)
        copies, narrow = self._through_clip(first, seen["bias"])
        found = {"seen": self.fold(F.normalize(copies.float(), dim=-1))[:, 0]}
        if "mask" in batch:
            found["boundary"] = self._boundary(seen["maps"], batch)
            found["patches"] = F.normalize(seen["patches"].float(), dim=-1)
            found["clip_patches"] = F.normalize(narrow.float(), dim=-1)
        return found

    def _run(self, module: Callable[..., torch.Tensor], *given: Any) -> torch.Tensor:
        found: torch.Tensor = checkpoint(module, *given, use_reentrant=False) if self._again else module(*given)
        return found

    def _through_clip(self, first: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The copies of the class token (n, queries, d) in CLIP's shared space, and the bottleneck's patches (n, l, 192)."""
        inner, queries, patches = self.tower.inner, self.options.queries, first.shape[1] - 1
        tokens = torch.cat([first[:, :1].expand(-1, queries, -1), first], dim=1)
        if bias.requires_grad:  # else CUDA's attention with a bias keeps nothing for the bias's gradient in the first block
            tokens.requires_grad_()
        mask = attention(bias)
        for number, block in enumerate(inner.encoder.layers, 1):
            tokens = self._run(block, tokens, mask)
            if number == self.options.bottleneck:
                narrow = F.relu(self.bottleneck[0](tokens[:, -patches:]))
                added = F.pad(self.bottleneck[1](narrow), (0, 0, tokens.shape[1] - patches, 0))
                tokens = tokens + 0.05 * added
        return self.tower.projection(inner.post_layernorm(tokens[:, :queries])), narrow  # type: ignore[misc]

    def _boundary(self, maps: torch.Tensor, batch: Batch) -> torch.Tensor:
        """A picture (n, side, side) of the queries' maps (n, queries, l), zero for who has no mask."""
        known, edges = batch["has_mask"].bool(), cut(batch["mask"], self.grid)[1]
        found = torch.zeros(len(known), *batch["mask"].shape[-2:], device=maps.device)
        if known.any():
            shown = (maps * edges[:, None])[known].unflatten(2, (self.grid, self.grid))
            found[known] = self.drawn(shown)[:, 0].float()
        return found

    def losses(self, features: Features, batch: Batch, over: Any) -> Loss:
        options, label, known = self.options, batch["label"], batch["has_mask"].bool()
        nothing = features["seen"].new_zeros(())
        wrong = F.cross_entropy(self.classify(features["seen"]), label, reduction="sum") / over["rows"]
        apart = (
            (features["boundary"] - edge(batch["mask"]))[known].square().mean(dim=(1, 2)).sum() if known.any() else nothing
        )
        forged, told = cut(batch["mask"], self.grid)[0], (label == 1) & known
        among = [
            patch_contrast(each[told], forged[told], options.temperature, count_all=options.count_all)
            for each in (*features["patches"].unbind(1), features["clip_patches"])
        ]
        images, paired = image_contrast(features["clip_patches"], label, options.temperature)
        share = part(batch, over)
        return Loss(
            {
                "cross_entropy": options.classification * wrong,
                "boundary": options.boundary * apart / max(1, over["masks"]),
                "patches": options.patches * share * sum(among[:-1], nothing),
                "clip_patches": options.clip_patches * share * (among[-1] + images),
            },
            {"no mask": int((~known).sum()), "no image of the other label to be contrasted with": len(label) - 2 * paired},
        )

    def scores(self, features: Features) -> Scores:
        return Scores(self.classify(features["seen"]).softmax(1)[:, 1])


class Adapter(nn.Module):  # type: ignore[misc]
    """The transformer beside CLIP. `clip_width`, `clip_heads`: CLIP's; `grid`: patches on a side."""

    def __init__(self, options: ForensicsAdapterOptions, clip_width: int, clip_heads: int, grid: int) -> None:
        super().__init__()
        width, deep = options.width, 256
        self.options = options
        self.embed = nn.Conv2d(3, width, PATCH, PATCH)
        self.queries = nn.Parameter(torch.empty(options.queries, width))
        self.places = nn.Parameter(torch.empty(options.queries + grid**2, width))
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, options.heads, 4 * width, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
            )
            for _ in range(options.blocks)
        )
        self.meet = nn.ModuleDict(
            {
                str(own): nn.Sequential(nn.LayerNorm(clip_width, eps=1e-6), nn.Linear(clip_width, width))
                for own in options.meets
            }
        )
        self.of_queries = _perceptron(width, deep, deep, 128)
        self.of_patches = _perceptron(width, deep, deep, 128)
        self.of_heads = _perceptron(width, deep, deep, 128 * clip_heads)
        self.scale = nn.Linear(1, 1)
        for each in (self.queries, self.places):
            nn.init.normal_(each, std=0.02)
        for name, each in self.blocks.named_parameters():
            if each.ndim == 2:
                nn.init.trunc_normal_(each, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(each)

    def forward(
        self, image: torch.Tensor, clip: Mapping[int, torch.Tensor], run: Callable[..., torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Of images (n, 3, side, side) and CLIP's patches (n, l, d) by the block that they meet: `maps` (n, queries, l),
        `bias` (n, heads, queries, l), and `patches` (n, contrasted blocks, l, width). `run` calls a block."""
        queries, kept = self.options.queries, []
        patches = self.embed(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.queries.expand(len(image), -1, -1), patches], dim=1)
        tokens = self.norm(tokens + self.places)
        for number, block in enumerate(self.blocks, 1):
            tokens = run(block, tokens if number == 1 else tokens + self.places)
            if number in clip:
                met = 0.01 * self.meet[str(number)](clip[number])
                tokens = tokens + F.pad(met, (0, 0, queries, 0))
            if number in self.options.contrasted:
                kept.append(tokens[:, queries:])
        asked, patches = self.of_queries(tokens[:, :queries]), tokens[:, queries:]
        by_head = self.of_heads(patches).unflatten(2, (-1, 128))  # (n, l, heads, 128)
        bias = self.scale(torch.einsum("nqd,nlhd->nhql", asked, by_head)[..., None])[..., 0]
        return {"maps": asked @ self.of_patches(patches).mT, "bias": bias, "patches": torch.stack(kept, dim=1)}


def attention(bias: torch.Tensor) -> torch.Tensor:
    """What is added to CLIP's attention (n, heads, t, t) of [queries, class token, patches], from the biases of queries to
    patches (n, heads, queries, patches): a query sees itself and the patches, the others see each other."""
    queries, patches = bias.shape[2:]
    mask = bias.new_zeros(queries + 1 + patches, queries + 1 + patches)
    mask[:, :queries] = -torch.inf
    mask[:queries, queries] = -torch.inf
    mask[:queries, :queries].fill_diagonal_(0)
    return mask + F.pad(bias, (queries + 1, 0, 0, 1 + patches))


def _clip(options: ForensicsAdapterOptions) -> ClipTower:
    tower = image_tower(options.backbone, options.weights)
    if not isinstance(tower, ClipTower) or tower.projection is None:
        raise UsageError(f"backbone {options.backbone!r}: Forensics Adapter takes a CLIP with its projection, as clip:NAME")
    last = max(*options.meets.values(), options.bottleneck)
    if last > tower.depth or max(*options.meets, *options.contrasted) > options.blocks:
        raise UsageError(
            f"meets, contrasted, bottleneck: CLIP has {tower.depth} blocks, the adapter {options.blocks}; name only such"
        )
    return tower


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _drawn(queries: int) -> nn.Sequential:
    """Maps of patches (n, queries, grid, grid) to a picture (n, 1, side, side)."""
    return nn.Sequential(
        nn.Conv2d(queries, queries // 2, 3, padding=1), nn.BatchNorm2d(queries // 2), nn.ReLU(),
        nn.Conv2d(queries // 2, queries // 4, 3, padding=1), nn.BatchNorm2d(queries // 4), nn.ReLU(),
        nn.Conv2d(queries // 4, 1, 1), nn.ConvTranspose2d(1, 1, PATCH, PATCH),
    )  # fmt: skip


def _folded(queries: int) -> nn.Sequential:
    """Vectors of copies (n, queries, d) to (n, 1, d)."""
    return nn.Sequential(
        nn.Conv1d(queries, queries // 2, 3, padding=1), nn.BatchNorm1d(queries // 2), nn.ReLU(),
        nn.Conv1d(queries // 2, queries // 4, 3, padding=1), nn.BatchNorm1d(queries // 4), nn.ReLU(),
        nn.Conv1d(queries // 4, 1, 3, padding=1),
    )  # fmt: skip


_SETTINGS = {"optimiser": "adam", "lr": 2e-4, "weight_decay": 5e-4, "batch": 16}
DETECTOR = Detector(
    title="Forensics Adapter",
    paper="Forensics Adapter: Adapting CLIP for Generalizable Face Forgery Detection, arXiv 2411.19715 (CVPR 2025)",
    code="github.com/OUC-VAS/ForensicsAdapter, commit a4cc94f; none of it is used here",
    code_licence="CC BY-NC 4.0",
    backbone="CLIP ViT-L/14",
    backbone_licence="MIT (code of CLIP); the weights' card asks for research use",
    options=ForensicsAdapterOptions,
    build=ForensicsAdapter,
    presets={
        "paper": Preset({}, {**_SETTINGS, "epochs": 60, "augment": "none", "frames": 32}),
        "small": Preset(
            {"backbone": "clip:openai/clip-vit-base-patch16", "meets": {1: 1, 2: 4, 3: 8}, "bottleneck": 4},
            {**_SETTINGS, "epochs": 10},
        ),
        "tiny": Preset(
            {
                "backbone": "clip:tiny", "weights": "random", "queries": 8, "width": 48, "blocks": 4, "contrasted": (2, 3),
                "meets": {1: 1, 2: 2}, "bottleneck": 1,
            },
            {**_SETTINGS, "epochs": 2, "precision": "float32"},
        ),
    },
    needs=("label",),
    uses=("mask",),
    open_questions=(
        "Parameters: the paper says 5.7 M trained. The released network gives a gradient to 5,619,335; it makes the"
        " projections of CLIP's patches (596,544) anew, at random, in every forward pass, in evaluation too, so they never"
        " learn. Here they are learned, and places are learned on the adapter's own grid (16x16; there 14x14, enlarged):"
        " 11,520 more. 6,227,399.",
        "Pairs that are none of a kind count as exp(0) in the released sums, for patches of the other kind are multiplied"
        " by 0 there; count_all=false leaves them out. Of its two ratios only that of real patches is used there, as here.",
        "One grid of forged patches serves both networks; the released code cuts CLIP's anew from the mask at 224.",
        "Masks: a real's boundary is empty. A fake without a mask is left out of boundary and patches and counted, and of"
        " the batch norm of the boundary's picture too; order=self-blended gives one to every image. A mask that covers"
        " all has no boundary.",
        "Batch norm in the heads: a step in several parts is not the same as in one.",
        "The authors choose the checkpoint by AUC on the test split: refused here, validation chooses.",
        "Of the paper's text only parts were at hand: where it differs from the code, this is the code.",
    ),
)  # fmt: skip
