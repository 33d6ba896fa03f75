"""Optimisers, their state as named tensors, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from mmidd.errors import RunError
from mmidd.runs.settings import Settings

State = dict[str, torch.Tensor]


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def optimiser(settings: Settings, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """The one of the settings. `weight_decay` is L2 in Adam and SGD, decoupled in AdamW, of every parameter."""
    each, decay = list(parameters.values()), settings.weight_decay
    if settings.optimiser == "sgd":
        return torch.optim.SGD(each, settings.lr, momentum=settings.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
    return kind(each, settings.lr, betas=settings.betas, weight_decay=decay)


def rate(settings: Settings, step: int, steps: int, per_epoch: int) -> float:
    """The learning rate of step `step` (from 0) of `steps`, of which `per_epoch` make an epoch.

    Over `warmup` epochs it rises in a line from `min_lr` (the rate of step 0) to `lr`; then the schedule begins: constant;
    cosine, from `lr` down to `min_lr` at the end of the run; cycles, the same once every `cycle` epochs; steps, times
    `step_gamma` after each `step_every` steps.
    """
    high, low, warm = settings.lr, settings.min_lr, round(settings.warmup * per_epoch)
    if step < warm:
        return low + (high - low) * step / warm
    step, left = step - warm, max(1, steps - warm)
    if settings.schedule == "constant":
        return high
    if settings.schedule == "steps":
        return float(max(low, high * settings.step_gamma ** (step // settings.step_every)))
    length = left if settings.schedule == "cosine" else max(1, round(settings.cycle * per_epoch))
    return low + (high - low) * (1 + math.cos(math.pi * (step % length) / length)) / 2


def state_of(found: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> State:
    """An optimiser's state: NAME/exp_avg and so on, by the parameter's name."""
    return {
        f"{name}/{key}": value
        for name, each in parameters.items()
        for key, value in found.state.get(each, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore(found: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], state: State) -> None:
    """Put back what `state_of` gave. Raises RunError for a state of other parameters."""
    places = {name: place for place, name in enumerate(parameters)}
    by_place: dict[int, State] = {}
    for full, value in state.items():
        name, _, key = full.rpartition("/")
        if name not in places:
            raise RunError(f"the checkpoint's optimiser knows a parameter {name!r} that this network does not train")
        by_place.setdefault(places[name], {})[key] = value
    found.load_state_dict({"state": by_place, "param_groups": found.state_dict()["param_groups"]})
