"""Where a captioning model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mmidd.captions.protocol import CaptionerConfig
from mmidd.errors import UsageError


def device_of(config: CaptionerConfig) -> Literal["cpu", "cuda"]:
    """Where a `transformers` model runs: `auto` is a GPU where there is one. Raises UsageError for one that is not there."""
    if config.device == "cpu" or (config.device == "auto" and not any(Path("/dev").glob("nvidia[0-9]*"))):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if config.device == "cuda":
        raise UsageError("captioner.device is cuda, but torch sees no CUDA device here; use --set captioner.device=cpu")
    return "cpu"


def gpus() -> int:
    """How many GPUs torch sees."""
    import torch

    return int(torch.cuda.device_count())
