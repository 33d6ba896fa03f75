"""A list of augmentations as one transform, for samples and for whole batches; and other people's transforms made seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from mmidd.errors import UsageError
from mmidd.training.augment.base import Augmentation, Operation, Pixels, pixels_of, tensor_of
from mmidd.training.draws import chance_of, mixed
from mmidd.training.sample import Sample, Transform


@dataclass(frozen=True, kw_only=True)
class OneOf(Augmentation):
    """One of several, as likely as their own `p` says in proportion."""

    choices: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "choices", tuple(self.choices))
        if not sum(each.p for each in self.choices) > 0:
            raise UsageError("OneOf(choices=...): give at least one augmentation with p above 0")

    def draw(self, chance: np.random.Generator, shape: tuple[int, int]) -> Operation:
        steps = np.cumsum([each.p for each in self.choices])
        return self.choices[int(np.searchsorted(steps, chance.random() * steps[-1], "right"))].draw(chance, shape)

    def on_tensors(self) -> bool:
        return all(each.on_tensors() for each in self.choices)


class Augment:
    """Augmentations in turn: `transform=Augment([...])` of a dataset, or `batch` on tensors.

    Each draws from a generator of its own, seeded by its place in the list: one more at the end, or another range in the
    middle, changes nothing of what the others draw. `repr` says all there is to know, for notes and digests.
    """

    def __init__(self, steps: Iterable[Augmentation]) -> None:
        self.steps = tuple(steps)
        if strange := [each for each in self.steps if not isinstance(each, Augmentation)]:
            raise UsageError(
                f"Augment takes augmentations, not {type(strange[0]).__name__}: wrap any other callable in seeded(...)"
            )

    def __repr__(self) -> str:
        return f"Augment([{', '.join(map(repr, self.steps))}])"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Augment) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(self.steps)

    @property
    def on_cpu(self) -> tuple[str, ...]:
        """The augmentations that `batch` computes on the CPU, one picture after the other."""
        return tuple(type(each).__name__ for each in self.steps if not each.on_tensors())

    def drawn(self, chance: np.random.Generator, shape: tuple[int, int]) -> tuple[Operation | None, ...]:
        """What happens to a picture of `shape` (height, width): an operation a place, None where nothing does. Takes one
        number of `chance`, however long the list is."""
        numbers = mixed(int(chance.integers(2**63)), 0, np.arange(2 * len(self.steps)))
        coins, seeds = numbers[0::2] * 2.0**-64, numbers[1::2]
        return tuple(
            each.draw(chance_of(int(seed)), shape) if coin < each.p else None
            for each, coin, seed in zip(self.steps, coins, seeds, strict=True)
        )

    def __call__(self, sample: Sample, chance: np.random.Generator) -> Sample:
        if "image" not in sample:
            raise UsageError("augmentations need decoded images: ask the dataset for `image`")
        image = sample["image"]
        if image.dtype != torch.uint8 or image.ndim not in (3, 4) or image.shape[-3] != 3:
            raise UsageError(
                "augmentations take uint8 images (3, h, w) or clips (frames, 3, h, w),"
                f" not {image.dtype} {tuple(image.shape)}"
            )
        shape = (int(image.shape[-2]), int(image.shape[-1]))
        operations = [each for each in self.drawn(chance, shape) if each is not None]
        found = cast(dict[str, Any], dict(sample))
        if operations:
            pixels = pixels_of(image)
            for operation in operations:
                pixels = operation.frames(pixels)
            found["image"] = tensor_of(pixels if image.ndim == 4 else pixels[0])
            _follow(found, operations, shape)
        return cast(Sample, found)

    def image(self, image: torch.Tensor, seed: int) -> torch.Tensor:
        """One picture or clip alone, as `batch` treats it for that seed."""
        return self(Sample(image=image), chance_of(seed))["image"]

    def batch(self, images: torch.Tensor, seeds: torch.Tensor | Sequence[int]) -> torch.Tensor:
        """uint8 (n, 3, height, width), on any device, and a seed each (`batch["seed"]`), to the same.

        The i-th is drawn as `image(images[i], seeds[i])` is, and equals it within two levels in nearly every value: nothing
        but rounding differs. What `on_cpu` names is brought to the CPU and back, one picture after the other. Masks and
        landmarks stay as they are: where geometry has to move them, give the list to the dataset instead.
        """
        numbers = [int(each) for each in (seeds.tolist() if isinstance(seeds, torch.Tensor) else seeds)]
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8 or len(numbers) != len(images):
            raise UsageError(
                f"batch takes uint8 images (n, 3, h, w) and n seeds, not {images.dtype} {tuple(images.shape)}"
                f" and {len(numbers)} seeds"
            )
        shape = (int(images.shape[2]), int(images.shape[3]))
        drawn = [self.drawn(chance_of(seed), shape) for seed in numbers]
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):  # halves would be off by several levels
            return _together(images.clone(), drawn)


def _together(images: torch.Tensor, drawn: Sequence[Sequence[Operation | None]]) -> torch.Tensor:
    """Each item through its own operations, in place: those of one kind at one place of the list at once."""
    for place in range(len(drawn[0]) if drawn else 0):
        kinds: dict[type[Operation], list[int]] = {}
        for item, operations in enumerate(drawn):
            if (operation := operations[place]) is not None:
                kinds.setdefault(type(operation), []).append(item)
        for kind, items in kinds.items():
            images[items] = kind.many(images[items], [drawn[item][place] for item in items])
    return images


def _follow(sample: dict[str, Any], operations: Sequence[Operation], shape: tuple[int, int]) -> None:
    """Masks and landmarks move as the picture did."""
    if "mask" in sample:
        masks: Pixels = sample["mask"].numpy()
        flat = masks.reshape(-1, *masks.shape[-2:])
        if flat.shape[1:] != shape:
            raise UsageError(f"the mask is {flat.shape[1]}x{flat.shape[2]}, its picture {shape[0]}x{shape[1]}")
        for operation in operations:
            flat = operation.masks(flat)
        sample["mask"] = torch.from_numpy(flat.reshape(masks.shape))
    if "landmarks" in sample:
        given = sample["landmarks"].numpy()
        points = given.reshape(-1, 5, 2)
        for operation in operations:
            points = operation.points(points, shape)
        sample["landmarks"] = torch.from_numpy(points.reshape(given.shape))


@dataclass(frozen=True)
class Chained:
    """Transforms in turn, all from the one generator."""

    transforms: tuple[Transform, ...]

    def __call__(self, sample: Sample, chance: np.random.Generator) -> Sample:
        for transform in self.transforms:
            sample = transform(sample, chance)
        return sample


def chain(*transforms: Transform) -> Chained:
    """Several transforms as one, for instance `chain(Augment([...]), seeded(compose))`."""
    return Chained(transforms)


@dataclass(frozen=True)
class Seeded:
    change: Callable[[torch.Tensor], Any]

    def __call__(self, sample: Sample, chance: np.random.Generator) -> Sample:
        seed = int(chance.integers(2**32))
        python, legacy = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            try:
                torch.default_generator.manual_seed(seed)
                random.seed(seed)
                np.random.seed(seed)
                return cast(Sample, {**sample, "image": self.change(sample["image"])})
            finally:
                random.setstate(python)
                np.random.set_state(legacy)


def seeded(change: Callable[[torch.Tensor], Any]) -> Transform:
    """Any image -> image callable that draws from the global chance of torch, numpy or random (torchvision's `Compose`) as a
    transform that draws from the sample's own; the global chance is as before when it returns (that of GPUs is left alone).
    It sees the image alone: masks and landmarks do not follow."""
    return Seeded(change)
