"""How good a network is on the validation rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from mmidd.runs.detector import Network
from mmidd.runs.parts import flat, moved, ready
from mmidd.runs.settings import Settings
from mmidd.training import CorpusDataset, Loader, SequentialSampler


@dataclass(frozen=True)
class Validation:
    """AUROC over rows."""

    frame_auroc: float
    video_auroc: float
    loss: float
    rows: int

    def document(self) -> dict[str, Any]:
        return asdict(self)


def validate(network: Network, data: CorpusDataset, settings: Settings, device: torch.device) -> Validation:
    """Of a network in `eval` mode."""
    scores, labels = [], []
    for batch in Loader(data, SequentialSampler(data, 32, rank=0, ranks=1)):
        with torch.no_grad():
            part = ready(moved(flat(batch, network.input.frames), device), network.input)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                features = network.features(part)
            scores.append(network.scores({k: v.float() for k, v in features.items()}).fake.cpu())
        labels.append(batch["label"])
    score, label = torch.cat(scores).numpy(), torch.cat(labels).numpy()
    real, fake = score[label == 0], score[label == 1]
    value = float(((fake[:, None] > real).mean() + (fake[:, None] >= real).mean()) / 2)
    loss = float(-np.log(np.clip(np.where(label == 1, score, 1 - score), 1e-7, 1)).mean())
    return Validation(value, value, loss, len(label))
