"""Rows as a loader gives them to a reference detector, made by chance: what its `Input` asks for, by the columns' types."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import torch

from mmidd.runs.detector import Batch, Input
from mmidd.schema import BY_NAME

TEXTS = (
    "A face, seen from the front, soft and evenly lit.", "A face, turned to the left, in hard light.",
    "A wall behind it, beige.", "Dark; a window on the right.",
)  # fmt: skip
POINTS = torch.tensor([[0.35, 0.38], [0.65, 0.38], [0.5, 0.55], [0.38, 0.72], [0.62, 0.72]])


def rows(wanted: Input, labels: tuple[int, ...], types: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    """So many rows of noise with these labels and types. Every column that is no text is a number by its row."""
    count, draw = len(labels), torch.Generator().manual_seed(seed)
    shape = (count, *((wanted.frames,) if wanted.frames > 1 else ()), 3, wanted.side, wanted.side)
    batch: dict[str, Any] = {
        "image": torch.randn(shape, generator=draw),
        "label": torch.tensor(labels),
        "forgery_type": torch.tensor(types),
    }
    for name in wanted.columns:
        batch.setdefault(name, _column(name, count, wanted.side))
    if wanted.mask:
        mask = torch.zeros(count, 1, wanted.side, wanted.side, dtype=torch.uint8)
        above, below = wanted.side // 4 + 3, wanted.side // 2 + 5  # where no grid of patches has its lines
        mask[batch["label"] == 1, :, above:below, above:] = 255
        batch |= {"mask": mask, "has_mask": batch["label"].clone()}
    return batch


def _column(name: str, count: int, side: int) -> Any:
    if name == "landmarks":
        return (POINTS * side).expand(count, 5, 2).clone()
    if BY_NAME[name].type in (pa.string(), pa.large_string()):
        return [TEXTS[place % len(TEXTS)] for place in range(count)]
    return torch.arange(count, dtype=torch.float32)


def part_of(batch: Batch, start: int, stop: int) -> dict[str, Any]:
    """Some rows of it."""
    return {key: value[start:stop] for key, value in batch.items()}
