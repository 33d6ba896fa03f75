"""A batch in parts that fit into memory, on the device and normalised as its network wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from mmidd.errors import UsageError
from mmidd.runs.detector import Features, Input, Network
from mmidd.runs.settings import Settings

WIDTH = {"pairs": 2, "self-blended": 2}
"""Rows of a batch that stay together, by the order."""
_MOST_PARTS = 4096
"""Sizes of a part that a message looks for, at most."""


def check_sizes(settings: Settings, ranks: int) -> int:
    """The rows of a rank's batch. Raises UsageError where ranks, parts and pairs do not go into it."""
    own, width = settings.batch // ranks, WIDTH.get(settings.order, 1)
    if settings.batch % ranks:
        raise UsageError(f"batch={settings.batch} cannot be shared among {ranks} processes: choose a multiple of {ranks}")
    if own % width:
        raise UsageError(f"batch={settings.batch}: with order={settings.order} a process gets a multiple of {width} rows")
    micro = own if settings.micro is None else settings.micro
    if own % micro:
        fits = [each for each in range(width, min(own, _MOST_PARTS) + 1, width) if own % each == 0]
        raise UsageError(f"micro={micro} does not divide the {own} rows of a batch: one of {', '.join(map(str, fits))}")
    if micro % width:
        raise UsageError(f"micro={micro} would cut pairs in two: with order={settings.order} it is a multiple of {width}")
    return own


def cut(batch: Mapping[str, Any], micro: int | None) -> list[dict[str, Any]]:
    """A batch in parts of at most `micro` rows, in order. What belongs together lies side by side and is never cut, where
    `micro` is a multiple of it."""
    rows = len(batch["label"])
    size = micro or rows
    return [{key: value[start : start + size] for key, value in batch.items()} for start in range(0, rows, size)]


def flat(batch: Mapping[str, Any], frames: int) -> dict[str, Any]:
    """A batch of clips with one entry a clip: of what the loader gives for each frame (label, type, texts) the first."""
    if frames == 1:
        return dict(batch)
    found = dict(batch)
    for key, value in batch.items():
        if key in ("image", "mask"):
            continue
        found[key] = value[:, 0] if isinstance(value, torch.Tensor) else [each[0] for each in value]
    return found


def moved(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Its tensors on the device, numbers as int64; the image as it is, uint8."""
    return dict(_moved(batch, device))


def _moved(batch: Mapping[str, Any], device: torch.device) -> Iterator[tuple[str, Any]]:
    for key, value in batch.items():
        if isinstance(value, torch.Tensor):
            found = value.to(device, non_blocking=True)
            value = found.long() if found.dtype in (torch.int8, torch.int16, torch.int32) else found
        yield key, value


def normalised(image: torch.Tensor, seen: Input) -> torch.Tensor:
    """uint8 (..., 3, height, width) as float32, (x / 255 - mean) / std, in the same order of memory."""
    mean, std = (torch.tensor(each, device=image.device).view(3, 1, 1) for each in (seen.mean, seen.std))
    return image.float().div_(255).sub_(mean).div_(std)


def ready(part: Mapping[str, Any], seen: Input) -> dict[str, Any]:
    """A part as a network takes it."""
    return {**part, "image": normalised(part["image"], seen)}


def features_of(network: Network, part: Mapping[str, Any], settings: Settings, device: torch.device) -> Features:
    """Of a part that is ready, under mixed precision where that is asked for, as float32."""
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        found = network.features(part)
    return {name: each.float() if each.is_floating_point() else each for name, each in found.items()}
