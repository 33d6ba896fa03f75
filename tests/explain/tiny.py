"""The tiny network of `explain` in stage 2, and rows that it can tell apart: fakes are brighter."""

from __future__ import annotations

from typing import Any

import torch
from mmidd.detectors.explain.network import Explaining
from mmidd.detectors.registry import reference_detector


def network(**options: Any) -> Explaining:
    detector = reference_detector("explain")
    torch.manual_seed(0)
    held = {**detector.presets["tiny-rl"].options, "samples": 3, "reply_tokens": 8, **options}
    found: Explaining = detector.build(detector.options(**held))
    return found.train()


def rows(count: int = 4) -> dict[str, Any]:
    label = torch.arange(count) % 2
    chance = torch.Generator().manual_seed(1)
    image = 0.6 * torch.rand((count, 3, 56, 56), generator=chance) + 0.4 * label[:, None, None, None]
    return {"image": (image * 255).round() / 255, "label": label}


def disturb(found: Explaining) -> None:
    """As if it had been trained."""
    torch.manual_seed(5)
    with torch.no_grad():
        for each in found.parameters():
            if each.requires_grad:
                each.add_(0.05 * torch.randn_like(each))
