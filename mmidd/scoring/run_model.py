"""A run's network as something to score with: computed as in the run's validations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmidd.engine.files import digest
from mmidd.errors import RunError, ScoreError, UsageError, is_memory
from mmidd.explanations.reply import Said
from mmidd.registry import Registry
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.checkpoint import BEST, MODEL, STATE
from mmidd.runs.detector import Scores
from mmidd.runs.folder import SCORES, known_as
from mmidd.runs.parts import features_of, moved, ready
from mmidd.runs.settings import Settings
from mmidd.runs.trained import Opened, open_trained
from mmidd.runs.validation import check_scores
from mmidd.scoring.model import Found, Look, checked

EXPLAINS = "explain and rft-fas do (mmidd detectors)"
"""Which detectors give reasons."""


class RunModel:
    """See `Model`. `about` has the run's digest (of what was asked for, its network's files and its backbone's), the rows
    it was trained and validated on, and its precision."""

    def __init__(self, opened: Opened, device: torch.device, *, explain: bool = False) -> None:
        """`explain`: its scores are those of the answer behind reasons, and it tells what was said. Raises UsageError for a
        network that gives no reasons."""
        seen = opened.input
        self.look = Look(seen.side, seen.fit, seen.frames, seen.columns)
        self.settings = Settings.model_validate(opened.about["asked"]["settings"])
        self.explain = explain
        self.about: Mapping[str, Any] = about(opened) | {"device": _named(device)}
        self.validation = None if explain else opened.folder / BEST / SCORES  # those are of scores without reasons
        self._network, self._device = opened.network, device
        self._opened, self._whose = opened, f"the run {opened.folder} ({opened.detector})"
        if explain:
            if not self._network.explains or self.look.frames > 1:
                raise UsageError(f"--explain: {self._whose} gives no reasons: {EXPLAINS}")
            self.about = {**self.about, "reasons": True, "digest": digest(self.about["digest"], "behind reasons")[:16]}

    def explaining(self) -> RunModel:
        """The same network, asked for reasons first. Raises UsageError."""
        return RunModel(self._opened, self._device, explain=True)

    @property
    def words(self) -> tuple[str, ...]:
        """What it may answer, the first for real; empty for a network that gives no reasons."""
        return tuple(getattr(getattr(self._network, "options", None), "words", ()))

    def scores(self, batch: Mapping[str, Any]) -> Found:
        count = len(batch["image"])
        devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.no_grad(), torch.random.fork_rng(devices):
                seed_torch(0, For.features)
                part = ready(moved(batch, self._device), self._network.input)
                found, said = self._explained(part) if self.explain else (self._direct(part), None)
        except (RuntimeError, MemoryError) as error:
            if is_memory(error):
                raise ScoreError(f"{self._whose}: there is not enough memory for {count} images: --device cpu?") from error
            raise
        check_scores(found, count)
        types = None if found.types is None else found.types.double().cpu().numpy().astype(np.float64)
        shares = checked(found.fake.double().cpu().numpy(), types, count, self._whose)
        if said is None:
            return shares
        if len(said) != count:
            raise ScoreError(f"{self._whose}: it said something of {len(said)} of {count} images: one each")
        answered = np.array([each.answer is not None for each in said])
        return Found(np.where(answered, shares.fake, np.nan), shares.types, tuple(said))

    def _direct(self, part: Mapping[str, Any]) -> Scores:
        features = features_of(self._network, part, self.settings, self._device)
        with torch.autocast(self._device.type, enabled=False):
            return self._network.scores(features)

    def _explained(self, part: Mapping[str, Any]) -> tuple[Scores, list[Said]]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            return self._network.explain(part)


def opened_run(path: Path, detectors: Registry[Any], device: torch.device, *, download: bool) -> RunModel:
    """Raises what `open_trained` does."""
    return RunModel(open_trained(path, detectors, device=device, download=download), device)


def about(opened: Opened) -> dict[str, Any]:
    """What a score file says of a run."""
    state = opened.folder / BEST / STATE
    try:
        sha256 = json.loads(state.read_bytes())["files"][MODEL]["sha256"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{state} changed while the run was opened: wait until its training has ended") from error
    return known_as(opened.about, opened.folder, opened.step, sha256)


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def refuse_words(words: Any, what: str) -> None:
    """A run says itself how it is fed."""
    if words:
        raise UsageError(f"--set goes with an ONNX file or a Python function: {what} has its own settings")
