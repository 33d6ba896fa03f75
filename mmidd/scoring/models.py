"""What a user names to score with: a RUN of mmidd train, an ONNX file, a Python function."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from mmidd.errors import UsageError
from mmidd.registry import Registry
from mmidd.runs.asked import Words
from mmidd.runs.processes import here
from mmidd.scoring.function import PREFIX, opened_function
from mmidd.scoring.model import Model
from mmidd.scoring.onnx_model import opened_onnx
from mmidd.scoring.run_model import EXPLAINS, RunModel, opened_run, refuse_words

_KINDS = "a RUN folder of mmidd train (or RUN/seed-0), FILE.onnx, or python:FILE.py:NAME"


def explaining(model: Model, name: str | None = None) -> Model:
    """The same model, asked for reasons before it answers. Raises UsageError for one that cannot."""
    if not isinstance(model, RunModel):
        what = name or str(model.about.get("name", "this model"))
        raise UsageError(f"--explain: {what} gives no reasons: a RUN of a detector that explains does; {EXPLAINS}")
    return model if model.explain else model.explaining()


def open_model(
    spec: str | Path, detectors: Registry[Any], *, device: str = "auto", download: bool = False, settings: Words = ()
) -> Model:
    """The model that `spec` names. `settings`: how an ONNX file or a function is fed (`scoring.fed`); `download`: may a
    run's backbone come from the Hub? A function computes where it wants to: `device` is for the others.

    Raises UsageError, ScoreError, and what `runs.trained.open_trained` raises for a run.
    """
    text = str(spec)
    if text.startswith(PREFIX):
        return opened_function(text, settings)
    if "://" in text:
        raise UsageError(f"{text[:200]} is an address: models are not fetched; download it, and name {_KINDS}")
    path = Path(spec)
    at = here(device)
    if at.ranks > 1:
        raise UsageError("scoring is done by one process: call it without torchrun")
    if path.is_dir():
        refuse_words(settings, f"the run {path}")
        return opened_run(path, detectors, at.device, download=download)
    if not path.exists():
        raise UsageError(f"there is no {path}: name {_KINDS}")
    if path.suffix != ".onnx":
        raise UsageError(f"{path} is none of what can be scored with: {_KINDS}")
    kind: Literal["cpu", "cuda"] = "cuda" if device == "cuda" else "cpu"
    return opened_onnx(path, settings, kind)
