"""A detector of a few thousand weights with everything that a loop may get wrong, and a corpus to train it on."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import made
from PIL import Image
from torch import nn
from torch.nn import functional as F
from training import corpora

from mmidd.runs.detector import Batch, Detector, DetectorOptions, Features, Input, Loss, Network, Preset, Scores, part

FACE = ((11.0, 13.0), (21.0, 13.0), (16.0, 18.0), (12.0, 23.0), (20.0, 23.0))


class ToyOptions(DetectorOptions):
    """`dropout`: its share; `norm`: with batch norm; `spread`: the weight of a term that compares rows; `nan`: from that
    many forward passes on features are NaN; `hungry`: the features take more memory than there is; `lost`: in validation the
    loss is NaN."""

    dropout: float = 0.3
    norm: bool = False
    spread: float = 0.0
    nan: int | None = None
    hungry: bool = False
    lost: bool = False
    columns: tuple[str, ...] = ()
    clip: int = 1


class Toy(Network):
    def __init__(self, options: ToyOptions) -> None:
        super().__init__()
        self.options, self.passes = options, 0
        self.input = Input(16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), frames=options.clip, columns=options.columns)
        self.frozen = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5)).requires_grad_(False)
        norm: nn.Module = nn.BatchNorm2d(8) if options.norm else nn.Identity()
        self.body = nn.Sequential(nn.Conv2d(6, 8, 3), norm, nn.GELU(), nn.Dropout(options.dropout))
        self.head, self.kind, self.unused = nn.Linear(8, 2), nn.Linear(8, 5), nn.Linear(2, 2)

    def features(self, batch: Batch) -> Features:
        self.passes += 1
        image = batch["image"]
        seen = self.body(self.frozen(image.reshape(-1, *image.shape[-3:]))).mean((2, 3))
        seen = seen.reshape(len(image), -1, 8).mean(1)
        if self.options.hungry:
            seen = seen + torch.empty(1 << 50).sum()
        late = self.options.nan is not None and self.passes > self.options.nan
        return {"seen": seen * torch.nan if late else seen}

    def rows(self, batch: Batch) -> dict[str, int]:
        return super().rows(batch) | {"typed": int((batch["forgery_type"] >= 0).sum())}

    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        seen, kind = features["seen"], batch["forgery_type"]
        known = kind >= 0
        terms = {
            "label": F.cross_entropy(self.head(seen), batch["label"], reduction="sum") / over["rows"],
            "type": F.cross_entropy(self.kind(seen[known]), kind[known], reduction="sum") / max(1, over["typed"]),
        }
        if self.options.lost and not self.training:
            terms["label"] = terms["label"] * torch.nan
        if self.options.spread:
            terms["spread"] = (
                self.options.spread * part(batch, over) * (F.normalize(seen) @ F.normalize(seen).T).exp().mean()
            )
        return Loss(terms, {"unknown type": int((~known).sum())})

    def scores(self, features: Features) -> Scores:
        return Scores(self.head(features["seen"]).softmax(1)[:, 1], self.kind(features["seen"]).softmax(1))


TOY = Detector(
    title="Toy", paper="none", code="none", code_licence="none", backbone="none", backbone_licence="none",
    options=ToyOptions, build=Toy,
    presets={
        name: Preset({}, {"batch": 8, "precision": "float32", "lr": 0.01, "epochs": 2, "validate_every": 0.5})
        for name in ("paper", "tiny")
    },
)  # fmt: skip


def batch(rows: int, seed: int = 0) -> dict[str, Any]:
    """As a loader gives it; a third of the rows has no type."""
    chance = np.random.default_rng(seed)
    pixels = torch.from_numpy(chance.integers(0, 256, (rows, 16, 16, 3), dtype=np.uint8)).permute(0, 3, 1, 2)
    kind = torch.from_numpy(chance.integers(0, 5, rows).astype(np.int8))
    kind[::3] = -1
    return {
        "image": pixels, "label": torch.from_numpy(chance.integers(0, 2, rows).astype(np.int8)), "forgery_type": kind,
        "id": [f"row {number}" for number in range(rows)],
    }  # fmt: skip


def corpus(folder: Path) -> Path:
    """Clips, pairs and all types, with faces that can be blended."""
    return made.corpus(folder, _change)


def broken(folder: Path) -> Path:
    """The same, but in each train file the first image does not decode."""

    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        _change(shard, rows)
        if shard.startswith("train"):
            rows[0]["image"] = b"no image at all"

    return made.corpus(folder, change)


def one_class(folder: Path) -> Path:
    """The same, all train rows fake."""

    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        _change(shard, rows)
        if shard.startswith("train"):
            rows[:] = [row for row in rows if row["label"]]

    return made.corpus(folder, change)


def _change(shard: str, rows: list[dict[str, Any]]) -> None:
    corpora._change(shard, rows)
    for number, row in enumerate(rows):
        row |= {"image": _picture(number), "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "landmarks": [list(p) for p in FACE]}
        row |= {"width": 32, "height": 32}


def _picture(seed: int) -> bytes:
    out = io.BytesIO()
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def without(folder: Path, split: str) -> Path:
    """The same without the rows of a split."""
    corpus(folder)
    content = made.about(folder)
    for name in [each for each in content["files"] if each.startswith(f"data/{split}-")]:
        (folder / name).unlink()
        del content["files"][name]
    made.sign(folder, content)
    return folder
