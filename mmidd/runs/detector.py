"""What a reference detector is: a network with losses, what it sees, and the presets that it is trained with.

A detector is one file with a `DETECTOR` and one row in `detectors/registry.py`; other packages bring theirs by entry point.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from mmidd.errors import UsageError
from mmidd.explanations.reply import Said
from mmidd.training.images import Fit

Batch = Mapping[str, Any]
"""What a loader gives, with `image` as `Input` says and everything on the network's device: float32 (n, 3, side, side) or
(n, frames, 3, side, side); `label` and `forgery_type` int64 (n,), -1 for an unknown type; the columns of `Input.columns`
(texts are lists, "" for null); with `Input.mask` `mask` uint8 (n, 1, side, side) and `has_mask` (n,)."""
Features = dict[str, torch.Tensor]
PRESETS = ("paper", "small", "tiny")


class DetectorOptions(BaseModel):
    """Base of a detector's own options: their defaults are the paper's. Unknown keys are errors. Each says what it is, by
    `Field(description=...)` or a docstring below it: `mmidd detectors NAME` shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def needs(self) -> dict[str, str]:
        """Columns of the corpus that a network of these options cannot be trained without, beside `Detector.needs`, and what
        to do where one is empty."""
        return {}


@dataclass(frozen=True)
class Input:
    """What a network sees. `side`: pixels, square, brought there by `fit`; `mean` and `std`: of RGB in 0..1; `frames`: more
    than 1 for clips; `columns`: of the corpus, beside the label and the type; `mask`: with the mask of what was forged."""

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Fit = "crop"
    frames: int = 1
    columns: tuple[str, ...] = ()
    mask: bool = False


@dataclass(frozen=True)
class Loss:
    """What a batch costs. `terms`: scalars by name, weighted; their sum is minimised. `counts`: rows that a term left out,
    by why ("unknown type", "no face caption"). `told`: scalars by name that are only logged, such as rewards: sums over
    rows, divided as terms are, so that those of the parts of a batch add up."""

    terms: Mapping[str, torch.Tensor]
    counts: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """`fake`: how likely each is forged, float32 (n,) in 0..1. `types`: float32 (n, 5), adding up to 1, in the order of
    `schema.FORGERY_TYPES`; None from a detector that knows no types."""

    fake: torch.Tensor
    types: torch.Tensor | None = None


class Network(nn.Module):  # type: ignore[misc]
    """Base of a detector's network. Parameters that are not trained have `requires_grad` false.

    The loop computes `features` under mixed precision where that is asked for; `losses` and `scores` get them as float32 and
    are computed in float32. All chance is torch's own, which the loop seeds before each part of a batch.
    """

    input: Input
    explains: bool = False
    """Can it say why (`explain`)?"""
    compares: tuple[str, ...] = ()
    """The terms that compare rows with each other: of a batch that is computed in parts they see one part at a time. All
    others are sums over rows, the same however a batch is cut."""

    @abstractmethod
    def features(self, batch: Batch) -> Features:
        """Of each row by itself: tensors whose first axis is the batch. Here lies the work."""

    @abstractmethod
    def losses(self, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
        """What these rows add to the loss of the whole batch, of which they may be a part: a sum over rows is divided by the
        whole batch's number of them, `over` (see `rows`); a term that compares rows with each other, which cannot be
        split, is weighted by its part (`part`)."""

    @abstractmethod
    def scores(self, features: Features) -> Scores:
        """Of a network in `eval` mode."""

    looks_back: int = 0
    """How many steps `halt` and `learnt` are told of."""

    def begin(self, batches: Iterator[Batch], data: Mapping[str, Any]) -> Sequence[str]:
        """Called once before the first step of a run, not where one goes on: load what it starts from, or refuse to train
        with RunError. `batches`: validation rows, ready, the same for every process; `data`: digests of the corpus and of
        the rows of train and validation, as `run.json` has them. What it gives is told to the user."""
        return ()

    def explain(self, batch: Batch) -> tuple[Scores, list[Said]]:
        """Scores by an answer that the network first gives reasons for, and what it said of each row. Only of a network that
        `explains`; in `eval` mode. A row without an answer has a score that says nothing: see `Said.wrong`."""
        raise UsageError(f"{type(self).__name__} gives no reasons")

    def halt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        """Why training must not go on, in words; None where it may. `recent`: what the last `looks_back` steps told
        (`Loss.told`), oldest first."""
        return None

    def learnt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        """Why there is nothing more to learn, in words: training ends before its steps, and well. Else as `halt`."""
        return None

    def rows(self, batch: Batch) -> dict[str, int]:
        """How many rows of a batch each kind of term is the mean over. Asked of a whole batch on the CPU, before its image
        is made floating."""
        return {"rows": len(batch["label"])}

    def stored(self) -> tuple[str, ...]:
        """The names, in `state_dict`, of what a checkpoint holds: all but the frozen parameters that a backbone's files give
        again, which are those of a module that has a `source` (below). A detector that derives frozen ones from them holds
        these too, unless they are the same wherever they are derived."""
        frozen = {
            parameter
            for module in self.modules()
            if _source(module).get("weights", "random") != "random"
            for parameter in module.parameters()
            if not parameter.requires_grad
        }
        named = dict(self.named_parameters(remove_duplicate=False))
        own = {name for name, parameter in self.named_parameters() if parameter not in frozen}
        return tuple(name for name in self.state_dict() if name in own or name not in named)

    def sources(self) -> dict[str, dict[str, Any]]:
        """Where its backbones are from: the `source` of each module that has one, by the module's name. JSON: `weights`
        ("random", or how they were had), and for files what tells them from others, such as name, files, sha256."""
        return {name: dict(found) for name, module in self.named_modules() if (found := _source(module))}

    def train(self, mode: bool = True) -> Network:
        """Training mode, but for the parts none of whose parameters is trained: these compute as they were pretrained, with
        their batch norm's statistics and without their dropout. Here and not in the loop, so that whoever trains a network,
        a test or another trainer, gets the same."""
        super().train(mode)
        if mode:
            _rest(self)
        return self

    def checkpointing(self) -> None:
        """Compute activations again in the backward pass instead of holding them. Raises UsageError where it cannot."""
        raise UsageError(f"{type(self).__name__} has no gradient checkpointing: leave checkpointing=false")


def _source(module: nn.Module) -> Mapping[str, Any]:
    found = getattr(module, "source", None)
    return found if isinstance(found, Mapping) else {}


def _rest(module: nn.Module) -> None:
    """Put the parts that are wholly frozen into eval mode; what has no parameters goes with what holds it."""
    for child in module.children():
        held = list(child.parameters())
        if held and not any(each.requires_grad for each in held):
            child.eval()
        else:
            _rest(child)


def part(batch: Batch, over: Mapping[str, int]) -> float:
    """The share of the whole batch that these rows are."""
    return len(batch["label"]) / max(1, over["rows"])


@dataclass(frozen=True)
class Preset:
    """What a preset changes of the detector's options and of `runs.settings.Settings`."""

    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Detector:
    """One reference detector.

    `build` makes a network of its options, frozen and trained parts told apart, randomly initialised parts drawn from
    torch's own chance. `presets` has `paper` (as its authors train it), `small` (a pretrained backbone of modest size) and
    `tiny` (a few random layers: minutes on a CPU, says nothing of the detector). No option is called as a setting. `needs`
    are columns of the corpus that it cannot be trained without, `uses` those that it can. `open_questions`: what the paper
    leaves open and how we read it. `trainer`: who trains one seed of it in place of `runs.loop.train_seed`, as which it is
    called and answers; None of options that leave it to the loop.
    """

    title: str
    paper: str
    code: str
    code_licence: str
    backbone: str
    backbone_licence: str
    options: type[DetectorOptions]
    build: Callable[[Any], Network]
    presets: Mapping[str, Preset]
    needs: tuple[str, ...] = ("label",)
    uses: tuple[str, ...] = ()
    open_questions: tuple[str, ...] = ()
    trainer: Callable[[Any], Callable[[Any], dict[str, Any]] | None] | None = None
