"""One training step of a reference detector (`mmidd.detectors`), its weights random, its batch on the device already.

Networks, losses and optimisers are the product's. Of its loop only what costs next to nothing is missing (its checks); SAM,
which SBI is trained with and the product has not, is the benchmark's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import torch

from mmidd.runs.detector import Batch, Detector, Features, Network
from mmidd.runs.optim import optimiser, trained
from mmidd.runs.settings import Settings

WORDS = 75
"""Of a caption: with its ends as long as CLIP's texts can be."""


@dataclass(frozen=True)
class Step:
    """`features`: the network's, or what they were compiled to. `twice`: SAM takes two passes."""

    network: Network
    features: Callable[[Batch], Features]
    settings: Settings
    optimiser: torch.optim.Optimizer
    twice: bool = False

    @property
    def trained(self) -> int:
        """How many parameters it trains."""
        return sum(each.numel() for each in trained(self.network).values())

    @property
    def total(self) -> int:
        """How many parameters it has."""
        return sum(each.numel() for each in self.network.parameters())

    @property
    def batch(self) -> int:
        """Images, or clips, that it is trained with at once."""
        return self.settings.micro or self.settings.batch

    def __call__(self, batch: Batch, *, half: bool) -> Any:
        """Forward, backward and the optimiser's step; the loss. `half`: features under bf16 autocast."""
        over = batch["over"]

        def passed() -> Any:
            loss: Any
            with torch.autocast(batch["image"].device.type, torch.bfloat16, enabled=half):
                features = self.features(batch)
            features = {name: each.float() if each.is_floating_point() else each for name, each in features.items()}
            loss = sum(self.network.losses(features, batch, over).terms.values())
            loss.backward()
            return loss.detach()

        loss = passed()
        if self.twice:
            sharpen(self.network.parameters(), self.optimiser, passed)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss


def made(
    name: str,
    preset: Literal["paper", "tiny"],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    twice: bool = False,
) -> Step:
    """The step of the detector `mmidd.detectors.NAME` by a preset and what is changed of it, on the default device."""
    detector: Detector = import_module(f"mmidd.detectors.{name}").DETECTOR
    chosen = detector.presets[preset]
    network = detector.build(detector.options(**{**chosen.options, **options, "weights": "random"}))
    found = Settings(**{**chosen.settings, **settings})
    if found.checkpointing:
        network.checkpointing()
    return Step(network.train(), network.features, found, optimiser(found, trained(network)), twice)


def given(network: Network, count: int, device: str, *, channels_last: bool = False) -> dict[str, Any]:
    """A batch of random images or clips as the network is fed, on the device, and under `over` its rows. Half are fakes, of
    all types; each caption is another; the mask of a fake is its middle."""
    seen, places = network.input, torch.arange(count)
    shape = (count, *((seen.frames,) if seen.frames > 1 else ()), 3, seen.side, seen.side)
    label = places % 2
    batch: dict[str, Any] = {"label": label, "forgery_type": label * (1 + places // 2 % 4)}
    for column in seen.columns:
        if column.endswith("_caption"):
            batch[column] = [" ".join(f"{column[0]}{place}x{word}" for word in range(WORDS)) for place in range(count)]
    if seen.mask:
        quarter = seen.side // 4
        mask = torch.zeros(count, 1, seen.side, seen.side, dtype=torch.uint8)
        mask[label == 1, :, quarter:-quarter, quarter:-quarter] = 255
        batch |= {"mask": mask, "has_mask": torch.ones(count, dtype=torch.int64)}
    over = network.rows(batch)
    batch = {name: each.to(device) if isinstance(each, torch.Tensor) else each for name, each in batch.items()}
    image = torch.randn(shape, device=device)
    if channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    return {**batch, "image": image, "over": over}


def sharpen(parameters: Iterable[Any], optimiser: Any, passed: Callable[[], Any], rho: float = 0.05) -> None:
    """SAM: the gradient at the worst point within `rho`, instead of the one that is there."""
    moved = [each for each in parameters if each.grad is not None]
    with torch.no_grad():
        norm = torch.stack([each.grad.norm() for each in moved]).norm() + 1e-12
        shifts = [each.grad * (rho / norm) for each in moved]
        for each, shift in zip(moved, shifts, strict=True):
            each.add_(shift)
    optimiser.zero_grad(set_to_none=True)
    passed()
    with torch.no_grad():
        for each, shift in zip(moved, shifts, strict=True):
            each.sub_(shift)
