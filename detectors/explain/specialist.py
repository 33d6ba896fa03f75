"""The frozen specialist: a trained detector of ours whose features a language model is shown."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError
from mmidd.runs.detector import Features, Network
from mmidd.runs.parts import normalised
from mmidd.runs.trained import open_trained, run_named

from ..registry import REFERENCE_DETECTORS


class Specialist(nn.Module):  # type: ignore[misc]
    """`width`: numbers that it says of an image: its features, those of places in their mean, and the log-odds of its score;
    `trained_on`: as the run has it."""

    def __init__(self, run: str) -> None:
        """Raises what `open_trained` does, and UsageError for a detector that cannot be one."""
        super().__init__()
        opened = open_trained(run_named(run), REFERENCE_DETECTORS, download=True)
        self.network: Network = opened.network.requires_grad_(False)
        self.input, self.name = opened.input, opened.detector
        if self.network.explains or self.input.frames > 1:
            why = "explains itself" if self.network.explains else f"takes clips of {self.input.frames} frames"
            raise UsageError(f"specialist={run}: {self.name} {why}; take a detector of single images that does not")
        asked = opened.about["asked"]
        self.trained_on: dict[str, Any] = dict(asked.get("data") or {})
        digest = {"step": opened.step, "asked": asked, "network": _digest(self.network)}
        self.source = {
            "weights": "run", "name": f"{self.name} ({run})", "files": digest, "trained_on": self.trained_on,
        }  # fmt: skip
        with torch.no_grad():
            self.width = self(torch.zeros(1, 3, self.input.side, self.input.side)).shape[1]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Of images (n, 3, side, side) in 0..1, on its device: (n, width) float32."""
        look = self.input
        if image.shape[-1] != look.side:
            image = F.interpolate(image, (look.side, look.side), mode="bilinear", antialias=True, align_corners=False)
        with torch.autocast(image.device.type, enabled=False):
            seen = normalised((image * 255).round().clamp(0, 255).byte(), look)
            found = self.network.features({"image": seen})
            fake = self.network.scores(found).fake.clamp(1e-6, 1 - 1e-6)
        return torch.cat([*_flat(found), fake.logit()[:, None]], 1).float()


def _flat(features: Features) -> list[torch.Tensor]:
    """Each of (n, width), or of (n, ..., width) the mean over what lies between."""
    found = []
    for each in features.values():
        if each.is_floating_point() and each.ndim > 1:
            found.append(each.flatten(1) if each.ndim == 2 else each.flatten(2).mean(2) if each.ndim > 3 else each.mean(1))
    return found


def _digest(network: Network) -> str:
    import hashlib

    found = hashlib.sha256()
    for name, each in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(each.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
