"""What stage 2 started from, held beside what is trained: the distance to it (KL) is a term where `beta` is over 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call

from .prompted import Prompted, logits_of

if TYPE_CHECKING:
    from .network import Explaining


class Reference(nn.Module):  # type: ignore[misc]
    """Copies of what is trained, the adapters and the projector. They are buffers: nothing trains them, and a checkpoint has
    them, so that a run that goes on is held to the same start."""

    def __init__(self, network: Explaining) -> None:
        super().__init__()
        self.names = tuple(name for name, each in network.named_parameters() if each.requires_grad)
        for name in self.names:
            self.register_buffer(_held(name), network.get_parameter(name).detach().clone())

    @torch.no_grad()
    def take(self, network: Explaining) -> None:
        """Hold what the network is now."""
        for name in self.names:
            self.get_buffer(_held(name)).copy_(network.get_parameter(name))

    @torch.no_grad()
    def logits(self, network: Explaining, given: Prompted, image: torch.Tensor, keep: int) -> torch.Tensor:
        """As `logits_of`, of the network as it was; `given`: with the replies behind it, `image`: of its rows, each of which
        has the same number of replies."""
        soft = None
        if network.specialist is not None:
            soft = self._called(network, "projector", network.specialist(image))
            soft = soft.repeat_interleave(given.rows // len(image), 0)
        shown = Prompted(given.inputs, soft, given.rows)
        return logits_of(lambda **inputs: self._called(network, "model", **inputs), network.placed, shown, keep)

    def _called(self, network: Explaining, part: str, *args: Any, **inputs: Any) -> Any:
        """A part of the network, computed with what is held here."""
        own = {
            name.removeprefix(f"{part}."): self.get_buffer(_held(name)) for name in self.names if name.startswith(f"{part}.")
        }
        return functional_call(network.get_submodule(part), own, args, inputs)


def _held(name: str) -> str:
    """A buffer's name has no dots."""
    return name.replace(".", "-")
