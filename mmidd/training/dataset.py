"""A corpus as a torch dataset: any row at once, as a sample."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.utils.data import Dataset

from mmidd.corpus.cells import CACHE_BYTES, Bounded, Cells, Spot
from mmidd.corpus.read import Corpus
from mmidd.corpus.where import unknown
from mmidd.errors import CorpusError, UsageError
from mmidd.schema import BY_NAME
from mmidd.training.arrow import filled
from mmidd.training.batch import Room, Skipped, Slot, stacked
from mmidd.training.draws import Draw, chance_of, mixed
from mmidd.training.images import Fit, Sizing, UnreadableRow, tensor
from mmidd.training.sample import Sample, Transform
from mmidd.training.select import select

COLUMNS = ("label", "forgery_type", "id", "row")
_NUMBERS = {
    name for name, column in BY_NAME.items() if pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
}
_SMALL = ("label", "forgery_type")
_BLENDS = {"label", "landmarks", "mask", "has_mask"}
"""What blending needs or makes, whether it was asked for or not."""
_PLACED = ("landmarks", "transform")
_OURS = ("landmarks", "row", "seed")
"""What a sample may have beside the schema's columns."""

Item = Sample | Skipped
Read = dict[str, Any]


class CorpusDataset(Dataset):  # type: ignore[misc]
    """The selected rows of a corpus as samples, in the order of the corpus.

    `split`, `where`, `fraction` and `seed` select rows (`training.select.select`); opening reads `mmidd.json`, and of the
    shards no more than these need. `columns` are the keys of a sample beside its picture: the schema's columns of numbers
    and texts, `landmarks`, `row` and `seed` (the draw's, for `augment.batch`). A null is -1, NaN or "". `image` is "pixels"
    (uint8 (3, height, width), in the memory order of channels_last), or "encoded" for the stored bytes. `size` and `fit` are
    `training.images.Sizing`'s. With `mask` a sample has `mask` and `has_mask`: 1 where the corpus has one, and for reals,
    whose mask is 0 everywhere. `cache_bytes` bounds the columns that are held, and the pictures where these have to be read
    by row groups.

    `data[i]` is the i-th selected row, `data[draw]` what a sampler asks for, of any row of the corpus; several rows in a
    draw become one clip. A position has one seed for ever: torch's own samplers bring the same augmentations in each epoch
    (warned of). A row that cannot be used is a CorpusError that names it, or with `on_error="skip"` a `Skipped`
    in its place. A shard that is missing or was changed is always an error.
    """

    def __init__(
        self,
        corpus: str | Path | Corpus,
        *,
        split: str | None = None,
        where: Mapping[str, Any] | None = None,
        fraction: float = 1.0,
        seed: int = 0,
        size: int | None = None,
        fit: Fit = "crop",
        image: Literal["pixels", "encoded"] = "pixels",
        columns: Sequence[str] = COLUMNS,
        mask: bool = False,
        transform: Transform | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
        self.sizing, self.columns = Sizing(size, fit), _checked(columns)
        for name, value, known in (("image", image, ("pixels", "encoded")), ("on_error", on_error, ("raise", "skip"))):
            if value not in known:
                raise UsageError(f"{name}={value!r}: {' or '.join(known)}")
        if image == "encoded" and (mask or size is not None):
            raise UsageError('image="encoded" gives the bytes as they are stored: neither size= nor mask= goes with it')
        if transform is not None:
            _check_transform(transform)
        self.rows = select(self.corpus, split=split, where=where, fraction=fraction, seed=seed)
        self.encoded, self.mask, self.transform, self.on_error = image == "encoded", mask, transform, on_error
        named = tuple(name for name in self.columns if name not in ("row", "seed"))
        self._stored = tuple(dict.fromkeys((*named, "label"))) if mask else named
        self._blended = tuple(dict.fromkeys((*named, "label", "landmarks")))
        self._told = f"{self.corpus.place.path('')}:"
        self._cache_bytes = cache_bytes
        self._cells, self._held = Cells(self.corpus, cache_bytes), Bounded[Read](cache_bytes)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        size = f", {self.sizing.size} px" if self.sizing.size is not None else ""
        transform = f", {self.transform!r}" if self.transform is not None else ""
        return f"<CorpusDataset: {self.rows!r}{size}, {', '.join(self.columns)}{transform}>"

    def settings(self) -> dict[str, Any]:
        """What pictures depend on beside their draws, JSON-able; a loader's state of other settings is not taken."""
        found: dict[str, Any] = {"size": self.sizing.size, "fit": self.sizing.fit, "transform": None}
        if self.transform is not None:
            # Of a list of augmentations its repr says all; that of anything else may be another one in each process.
            kind = type(self.transform)
            said = repr(self.transform) if kind.__name__ == "Augment" else kind.__qualname__
            found["transform"] = getattr(self.transform, "__qualname__", said)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": Bounded(self._cache_bytes)}

    def __getitem__(self, asked: int | Draw) -> Any:
        return self._items([asked])[0]

    def __getitems__(self, asked: Sequence[int | Draw]) -> list[Item]:
        """The samples of a batch in the order that was asked for, read in the order of the corpus. Of a unit with a skipped
        row only that row's `Skipped` is there."""
        if self.transform is not None and not all(isinstance(each, Draw) for each in asked):
            warnings.warn(
                "a batch was asked for by positions, which have the same augmentation in every epoch: give the DataLoader "
                "one of mmidd.training's samplers as batch_sampler, or use mmidd.training.Loader",
                stacklevel=2,
            )
        return self._items(asked)

    def _items(self, asked: Sequence[int | Draw]) -> list[Item]:
        draws = [each if isinstance(each, Draw) else self._draw(each) for each in asked]
        if self.encoded and any(draw.blend for draw in draws):
            raise UsageError('image="encoded" gives the bytes as they are stored: they cannot be blended')
        if any(draw.row == () for draw in draws):
            raise UsageError("a draw asks for a clip without rows")
        found: list[Item | None] = [None] * len(draws)
        # What no transform makes anew is decoded to where it lies in the batch.
        room = Room(len(draws)) if self.transform is None and len(draws) > 1 else None
        for place in sorted(range(len(draws)), key=lambda place: _first(draws[place])):
            found[place] = self._item(draws[place], None if room is None else room.at(place))
        lost = {item.unit for item in found if isinstance(item, Skipped)}
        return [
            item
            for draw, item in zip(draws, found, strict=True)
            if item is not None and (draw.unit not in lost or isinstance(item, Skipped))
        ]

    def _draw(self, place: int) -> Draw:
        if not -len(self) <= place < len(self):
            raise IndexError(f"position {place} of a dataset of {len(self)} rows")
        place = int(place) % len(self)
        seeded = self.transform is not None or "seed" in self.columns
        seed = int(mixed(0, 0, np.array([place]))[0]) if seeded else 0  # it takes as long as reading
        return Draw(int(self.rows.numbers[place]), seed, place)

    def _item(self, draw: Draw, slot: Slot | None) -> Item:
        clip = isinstance(draw.row, tuple)
        frames = []
        for row in cast(tuple[int, ...], draw.row) if clip else (cast(int, draw.row),):
            try:
                frames.append(self._sample(int(row), draw, None if clip or draw.blend else slot))
            except UnreadableRow as error:
                shard = self._cells.find(row).shard
                self._cells.check(shard)  # a shard that changed meanwhile is no fault of the row
                name = str(self.corpus.take([row], ["id"])["id"][0].as_py())
                if self.on_error == "skip":
                    return Skipped(draw.unit, int(row), name, str(error))
                listed = self.corpus.shards[shard].name
                raise CorpusError(
                    f'{error}; it is sample {name} in {listed}; on_error="skip" leaves such rows out'
                ) from error
        sample = clip_of(frames) if clip else frames[0]
        if "seed" in self.columns:
            sample["seed"] = draw.seed - (draw.seed >> 63 << 64)  # as the 64 bits of a tensor with a sign
        if self.transform is None:
            return sample
        changed: object = self.transform(sample, chance_of(draw.seed))
        if not isinstance(changed, Mapping):  # a None would be left out, and nobody would hear of it
            raise UsageError(f"the transform gave {type(changed).__name__} for a sample: it has to return the sample")
        return cast(Sample, changed)

    def _blend(self, sample: Sample, seed: int, row: int) -> Sample:
        from mmidd.training.blend import blend

        try:
            sample = blend(sample, np.random.default_rng((seed, 1)))  # not as the transform draws
        except CorpusError as error:
            raise UnreadableRow(f"{self._told} row {row} cannot be blended: {error}") from error
        for key in _BLENDS - {*self.columns, *(("mask", "has_mask") if self.mask else ())}:
            cast(dict[str, Any], sample).pop(key, None)
        return sample

    def _sample(self, row: int, draw: Draw, slot: Slot | None) -> Sample:
        blend = draw.blend
        spot, told = self._cells.find(row), f"{self._told} row {row}"
        data = self._cells.at(spot)
        if not data:
            raise UnreadableRow(f"{told} has no image")
        sample: dict[str, Any] = {}
        stored = (0, 0)
        if self.encoded:
            sample["encoded"] = data
        else:
            pixels, stored = self.sizing.image(data, told, slot)
            sample["image"] = tensor(pixels) if slot is None else slot.tensor(pixels)
        names = self._blended if blend else self._stored
        held = self._columns(spot, names) if names else {}
        for name in names:
            if name == "landmarks":
                points = _placed(held["landmarks"][spot.place], held["transform"][spot.place])
                sample[name] = torch.from_numpy(points if self.encoded else self.sizing.points(points, stored))
            else:
                sample[name] = held[name][spot.place].item() if name in _NUMBERS else held[name][spot.place].as_py() or ""
        if self.mask or blend:
            sample |= self._mask(spot, stored, sample["label"], told)
            if not blend and "label" not in self.columns:
                del sample["label"]
        if "row" in self.columns:
            sample["row"] = row
        return self._blend(cast(Sample, sample), draw.seed, row) if blend else cast(Sample, sample)

    def _mask(self, spot: Spot, stored: tuple[int, int], label: int, told: str) -> Read:
        data = self._cells.at(spot, "mask")
        if not data:
            height, width = (self.sizing.size,) * 2 if self.sizing.size is not None else stored
            return {"mask": torch.zeros((1, height, width), dtype=torch.uint8), "has_mask": int(label == 0)}
        pixels = self.sizing.mask(data, stored, f"{told}, its mask")
        return {"mask": torch.from_numpy(pixels)[None], "has_mask": 1}

    def _columns(self, spot: Spot, names: Sequence[str]) -> Read:
        """Columns of a row group, ready to be indexed by a row's place in it."""

        def make() -> tuple[Read, int]:
            stored = list(dict.fromkeys(name for each in names for name in (_PLACED if each == "landmarks" else (each,))))
            table = self._cells.table(spot.shard, spot.group, stored)
            found = {name: _ready(name, table[name].combine_chunks()) for name in stored}
            return found, sum(each.nbytes for each in found.values())

        return self._held.get((spot.shard, spot.group, names), make)


def _check_transform(transform: Any) -> None:
    """Raises UsageError for what cannot be called with a sample and a generator, such as a transform of torchvision."""
    way_out = "a transform takes (sample, chance): write Augment([...]), or seeded(transform) for one that takes an image"
    if not callable(transform) or type(transform).__module__.startswith("torchvision."):
        raise UsageError(f"transform={type(transform).__name__}: {way_out} (both in mmidd.training.augment)")
    try:
        inspect.signature(transform).bind(None, None)
    except TypeError:
        raise UsageError(f"transform={transform!r} cannot be called so: {way_out} (in mmidd.training.augment)") from None
    except ValueError:
        pass  # one in C does not tell


def _checked(columns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise UsageError(f"columns are given as a list of names: [{columns!r}]")
    known = [name for name, column in BY_NAME.items() if not pa.types.is_nested(column.type)]
    for name in columns:
        if name not in (*known, *_OURS):
            hints = {"image": "image=", "mask": "mask=True", "split": "split=", "box": "landmarks", "transform": "landmarks"}
            hint = f"; a dataset has {hints[name]} for that" if name in hints else ""
            raise CorpusError(unknown("column", name, [*known, *_OURS]) + hint)
    return tuple(dict.fromkeys(columns))


def _ready(name: str, column: pa.Array) -> Any:
    """Numbers as numpy, null as -1 or NaN; lists as (rows, values), null as NaN; texts as they are."""
    if pa.types.is_fixed_size_list(column.type):
        inner = column.type.value_type
        lists = pa.types.is_fixed_size_list(inner)
        null: list[Any] = [math.nan] * (inner.list_size if lists else column.type.list_size)
        null = [null] * column.type.list_size if lists else null
        flat = (column.fill_null(null) if column.null_count else column).flatten()
        return filled(flat.flatten() if lists else flat, math.nan).reshape(len(column), -1)
    if pa.types.is_floating(column.type):
        return filled(column, math.nan)
    if pa.types.is_integer(column.type):
        found = filled(column, -1)
        return found.astype(np.int8) if name in _SMALL else found
    return column


def _placed(points: npt.NDArray[np.float32], transform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Landmarks of a frame as those of its crop: (5, 2)."""
    found: npt.NDArray[np.float32] = points.reshape(5, 2) @ transform.reshape(2, 3)[:, :2].T + transform.reshape(2, 3)[:, 2]
    return found.astype(np.float32)


def _first(draw: Draw) -> int:
    return min(draw.row) if isinstance(draw.row, tuple) else draw.row


def clip_of(frames: Sequence[Sample]) -> Sample:
    """Frames as one sample: tensors one upon the other, numbers as a tensor, texts as a list."""
    found: dict[str, Any] = {}
    for key in frames[0]:
        values = [cast(Mapping[str, Any], frame)[key] for frame in frames]
        first = values[0]
        if isinstance(first, torch.Tensor):
            found[key] = stacked(key, values)
        else:
            found[key] = torch.tensor(values) if isinstance(first, int | float) else values
    return cast(Sample, found)
