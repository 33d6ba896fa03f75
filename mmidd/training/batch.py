"""From samples to a batch: numbers and images become tensors with one entry an item, texts lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

from mmidd.errors import CorpusError


class Skipped(NamedTuple):
    """A row that could not be read, in the place of its sample: the unit whose other draws are left out with it."""

    unit: int
    row: int
    id: str
    reason: str


class Room:
    """Where the images of a batch are decoded to, side by side: the size of the first is that of all. In a worker it is
    shared memory. What lies there already is not copied when it becomes a batch."""

    def __init__(self, count: int) -> None:
        self._count, self._images = count, torch.empty(0)
        self._pixels: npt.NDArray[np.uint8] | None = None

    def at(self, place: int) -> Slot:
        """The place of one image."""
        return Slot(self, place)

    def pixels(self, place: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
        """Where an image of that (height, width) is to be written: (height, width, 3). None for one of another size."""
        if self._pixels is None:
            self._images = _empty(self._count, torch.empty((*shape, 3), dtype=torch.uint8))
            self._pixels = self._images.numpy()
        return self._pixels[place] if self._pixels.shape[1:3] == shape else None

    def tensor(self, place: int, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Pixels as (3, height, width): the tensor of that place where they were written there."""
        there = self._pixels is not None and pixels.ctypes.data == self._pixels[place].ctypes.data
        return (self._images[place] if there else torch.from_numpy(pixels)).permute(2, 0, 1)


class Slot(NamedTuple):
    """The place of one image in a batch."""

    room: Room
    place: int

    def __call__(self, shape: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
        return self.room.pixels(self.place, shape)

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Pixels as (3, height, width), without a copy."""
        return self.room.tensor(self.place, pixels)


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
    if (together := _side_by_side(values)) is not None:
        return together
    found = _empty(len(values), first)
    for place, value in enumerate(values):
        found[place].copy_(value)
    return found


def _side_by_side(values: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """The tensors as one where they are all of one memory, each behind the one before."""
    first, size = values[0], values[0].numel()
    at = (first.untyped_storage().data_ptr(), first.storage_offset(), first.stride())
    if not size or first.untyped_storage().nbytes() != size * len(values) * first.element_size():
        return None
    for place, value in enumerate(values):
        if (value.untyped_storage().data_ptr(), value.storage_offset() - place * size, value.stride()) != at:
            return None
    return first.as_strided((len(values), *first.shape), (size, *first.stride()))


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
