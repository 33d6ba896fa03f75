"""From samples to a batch: numbers and images become tensors with one entry an item, texts lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import get_worker_info

from mmidd.errors import CorpusError


class Skipped(NamedTuple):
    """A row that could not be read, in the place of its sample: the unit whose other draws are left out with it."""

    unit: int
    row: int
    id: str
    reason: str


def collate(items: Sequence[Mapping[str, Any] | Skipped]) -> dict[str, Any]:
    """One batch of samples, `blended` being 0 where a sample does not say. Where rows were skipped it has `skipped`, a list
    of them, and nothing else if none is left.

    Images stay in the order of bytes that they are decoded in (torch's channels_last). In a worker they are written straight
    into shared memory. Raises CorpusError for items of different keys or sizes.
    """
    skipped = [item for item in items if isinstance(item, Skipped)]
    samples = [item for item in items if not isinstance(item, Skipped)]
    batch: dict[str, Any] = {}
    if samples:
        if any("blended" in sample for sample in samples):
            samples = [{"blended": 0, **sample} for sample in samples]
        keys = samples[0].keys()
        for sample in samples:
            if sample.keys() != keys:
                raise CorpusError(f"the samples of a batch differ in their keys: {', '.join(sorted(keys ^ sample.keys()))}")
        batch = {key: _together(key, [sample[key] for sample in samples]) for key in keys}
    return batch | {"skipped": skipped} if skipped else batch


def _together(key: str, values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, torch.Tensor):
        return stacked(key, values)
    if isinstance(first, bool | int | float):
        return torch.tensor(values)
    return values


def stacked(key: str, values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors of one shape as one, the first dimension theirs."""
    first = values[0]
    for value in values:
        if value.shape != first.shape or value.dtype != first.dtype:
            ways = {str(tuple(each.shape)) for each in values}
            raise CorpusError(
                f"{key!r} has different sizes in one batch ({', '.join(sorted(ways))}): "
                "give size= to the dataset, or batches of one item"
            )
    found = _empty(len(values), first)
    for place, value in enumerate(values):
        found[place].copy_(value)
    return found


def _empty(count: int, like: torch.Tensor) -> torch.Tensor:
    """Room for so many, their dimensions in memory in the order that they have in one; shared memory in a worker."""
    shape = (count, *like.shape)
    order = sorted(range(1, len(shape)), key=lambda place: -like.stride(place - 1))
    strides, step = [0] * len(shape), 1
    for place in reversed([0, *order]):
        strides[place], step = step, step * shape[place]
    if get_worker_info() is None:
        return torch.empty_strided(shape, strides, dtype=like.dtype)
    storage = torch.UntypedStorage._new_shared(max(1, step * like.element_size()), device="cpu")
    return torch.empty(0, dtype=like.dtype).set_(storage, 0, shape, strides)
