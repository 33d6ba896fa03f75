"""Where a run computes: its device, and the other processes that torchrun started beside this one."""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from mmidd.errors import UsageError

_PATIENCE = timedelta(hours=12)
"""The others wait while the first one validates."""


@dataclass(frozen=True)
class Here:
    """`rank` of `ranks`; the first (0) alone writes and speaks."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def summed(self, values: Sequence[float]) -> list[float]:
        """Each number added up over all processes."""
        if self.ranks == 1:
            return [float(value) for value in values]
        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(found)
        return [float(value) for value in found.tolist()]

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Add up tensors over all processes, in place."""
        if self.ranks > 1:
            for handle in [dist.all_reduce(each, async_op=True) for each in tensors]:
                handle.wait()

    def same(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put into the tensors of all processes what the first one has: what each computed by itself, such as a network's
        beginning, may differ in its last bits between machines, and would do so for ever."""
        for each in tensors if self.ranks > 1 else ():
            held = each.detach().contiguous()
            dist.broadcast(held, 0)
            each.detach().copy_(held)

    def told(self, value: Any) -> Any:
        """What the first process has, in each of them."""
        if self.ranks == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, 0)
        return held[0]

    def gathered(self, value: Any) -> list[Any]:
        """What each process has, in their order."""
        if self.ranks == 1:
            return [value]
        found: list[Any] = [None] * self.ranks
        dist.all_gather_object(found, value)
        return found

    def rows_of_all(self, rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        """Rows (n, ...) of all processes, which have so many each, behind one another."""
        if self.ranks == 1:
            return rows
        full = rows.new_zeros((max(counts), *rows.shape[1:]))
        full[: len(rows)] = rows
        found = [torch.empty_like(full) for _ in counts]
        dist.all_gather(found, full.contiguous())
        return torch.cat([each[:count] for each, count in zip(found, counts, strict=True)])

    def same_statistics(self, network: nn.Module) -> None:
        """Give all processes the mean of their running statistics (batch norm), which each took of its own rows."""
        if self.ranks > 1:
            held = [
                each
                for module in network.modules()
                if module.training and isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
                for each in (module.running_mean, module.running_var)
            ]
            self.add(held)
            for each in held:
                each.div_(self.ranks)


def here(device: str) -> Here:
    """This process, on "cpu", "cuda" or what there is ("auto"); joins those of torchrun. Raises UsageError without a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; mmidd doctor says why. --device cpu computes without one")
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device {device!r}: choose auto, cpu or cuda")
    cpu = device == "cpu" or not torch.cuda.is_available()
    if not dist.is_torchelastic_launched():  # alone: no state of the whole process is needed
        return Here(torch.device("cpu" if cpu else "cuda"))
    from accelerate import PartialState

    if not dist.is_initialized():
        atexit.register(_leave)
    state = PartialState(cpu=cpu, timeout=_PATIENCE)
    return Here(state.device, state.process_index, state.num_processes)


def _leave() -> None:
    """Else a thread of torch that is still at work as the process ends aborts it, and torchrun calls a whole run failed."""
    if dist.is_initialized():
        dist.destroy_process_group()
