"""What a row costs each reference detector at its paper's size, counted and not measured.

    python -m benchmarks.cost            # a table in Markdown, for docs/reference-detectors.md (some minutes)

Counted on torch's meta device, which computes nothing; where a network looks at its values, on a CPU, with random weights.
What autograd keeps from the forward to the backward pass is every storage that it saves, once, parameters aside, in float32;
work is what torch's own counter counts of the forward pass. Of the losses nothing is counted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmidd.detectors.listing import about
from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
from torch.utils.flop_counter import FlopCounterMode

from mmidd.errors import UsageError
from mmidd.runs.detector import Batch, Network

ROWS = 2


@dataclass(frozen=True)
class Cost:
    """Of a row (an image, or a clip): `kept` bytes from forward to backward in float32, `lean` with gradient checkpointing
    (None where there is none), `work` in floating point operations, forward."""

    kept: float
    lean: float | None
    work: float


def cost(name: str) -> Cost:
    """Of the detector of that name at its paper's size."""
    try:
        return _cost(name, "meta")
    except (RuntimeError, NotImplementedError):
        return _cost(name, "cpu")


def _cost(name: str, device: str) -> Cost:
    network = _network(name, device)
    kept = _kept(network)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.features(_rows(network))
    try:
        network.checkpointing()
    except UsageError:
        return Cost(kept, None, counter.get_total_flops() / ROWS)
    return Cost(kept, _kept(network), counter.get_total_flops() / ROWS)


def _network(name: str, device: str) -> Network:
    detector = reference_detector(name)
    options = dict(detector.presets["paper"].options)
    if "weights" in detector.options.model_fields:
        options["weights"] = "random"
    with torch.device(device):
        network: Network = detector.build(detector.options(**options))
    network.train()
    return network


def _rows(network: Network) -> Batch:
    """As a loader gives them; every image is grey."""
    look = network.input
    shape = (ROWS, *((look.frames,) if look.frames > 1 else ()), 3, look.side, look.side)
    with next(network.parameters()).device:
        batch: dict[str, Any] = {"image": torch.zeros(shape), "label": torch.zeros(ROWS, dtype=torch.int64)}
        if look.mask:
            batch |= {"mask": torch.zeros(ROWS, 1, look.side, look.side, dtype=torch.uint8), "has_mask": batch["label"]}
    return batch | {name: ["A face in a room."] * ROWS for name in look.columns if name.endswith("caption")}


def _kept(network: Network) -> float:
    """Bytes a row that are saved for the backward pass."""
    known = {_storage(each) for each in [*network.parameters(), *network.buffers()]}
    found: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if _storage(tensor) not in known:
            found[_storage(tensor)] = tensor  # held, so that no other storage takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        features = network.features(_rows(network))
    del features
    return float(sum(each.untyped_storage().nbytes() for each in found.values())) / ROWS


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def lines() -> Iterator[str]:
    """The table of docs/reference-detectors.md."""
    yield "| detector | held, whatever the batch | and for each row of a part | the same, checkpointed | work forward |"
    yield "| --- | --- | --- | --- | --- |"
    for row in REFERENCE_DETECTORS.rows:
        if getattr(reference_detector(row.name).build, "explains", False):
            continue  # a language model: python -m benchmarks.explain counts by token
        size = next(each.size for each in about(row.name).presets if each.name == "paper")
        assert size is not None
        found = cost(row.name)
        lean = "-" if found.lean is None else f"{found.lean / 1e6:,.0f} MB"
        yield (
            f"| `{row.name}` | {size.held_bytes / 1e9:.2f} GB | {found.kept / 1e6:,.0f} MB | {lean} | "
            f"{found.work / 1e9:,.0f} GFLOP |"
        )


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
