"""The learning rate as a table; optimisers as the settings say, and back from their named tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mmidd.errors import RunError
from mmidd.runs import optim
from mmidd.runs.settings import Settings

BASE = {"lr": 1.0, "min_lr": 0.1}
RATES: list[tuple[dict[str, Any], dict[int, float]]] = [
    ({"schedule": "constant"}, {0: 1.0, 99: 1.0}),
    ({"schedule": "constant", "warmup": 1.0}, {0: 0.1, 5: 0.55, 9: 0.91, 10: 1.0, 99: 1.0}),
    ({"schedule": "cosine"}, {0: 1.0, 50: 0.55, 25: 0.1 + 0.9 * 0.853553, 99: 0.100222}),
    ({"schedule": "cosine", "warmup": 2.0}, {0: 0.1, 10: 0.55, 20: 1.0, 60: 0.55}),
    ({"schedule": "cycles", "cycle": 2.0}, {0: 1.0, 10: 0.55, 19: 0.105540, 20: 1.0, 30: 0.55, 40: 1.0}),
    ({"schedule": "cycles", "cycle": 2.0, "warmup": 1.0}, {0: 0.1, 5: 0.55, 10: 1.0, 20: 0.55, 30: 1.0, 50: 1.0}),
    ({"schedule": "steps", "step_every": 10, "step_gamma": 0.5}, {0: 1.0, 9: 1.0, 10: 0.5, 20: 0.25, 90: 0.1}),
]
"""Rates by step, of 100 steps, 10 an epoch."""


@pytest.mark.parametrize(("settings", "rates"), RATES)
def test_the_rate_of_a_step(settings: dict[str, Any], rates: dict[int, float]) -> None:
    for step, rate in rates.items():
        assert optim.rate(Settings(**BASE, **settings), step, 100, 10) == pytest.approx(rate, rel=1e-4), step


@pytest.mark.parametrize(
    ("asked", "kind", "group"),
    [
        ({"optimiser": "adam", "weight_decay": 5e-4}, torch.optim.Adam, {"weight_decay": 5e-4, "betas": (0.9, 0.999)}),
        ({"optimiser": "adamw", "betas": (0.8, 0.9)}, torch.optim.AdamW, {"betas": (0.8, 0.9)}),
        ({"optimiser": "sgd", "momentum": 0.5}, torch.optim.SGD, {"momentum": 0.5}),
    ],
)
def test_an_optimiser_is_as_the_settings_say(
    asked: dict[str, Any], kind: type[torch.optim.Optimizer], group: dict[str, Any]
) -> None:
    found = optim.optimiser(Settings(**asked), optim.trained(nn.Linear(2, 2)))
    assert type(found) is kind and group.items() <= found.param_groups[0].items()


@pytest.mark.parametrize("asked", [{"optimiser": "adam"}, {"optimiser": "adamw"}, {"optimiser": "sgd"}, {"momentum": 0.0}])
def test_a_state_put_back_goes_on_to_the_bit(asked: dict[str, Any]) -> None:
    settings = Settings(**{"optimiser": "sgd", **asked})

    def stepped(found: torch.optim.Optimizer, layer: nn.Linear, number: int) -> None:
        for each in layer.parameters():
            each.grad = torch.full_like(each, number + 0.5)
        found.step()

    torch.manual_seed(0)
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    one = optim.optimiser(settings, optim.trained(first))
    for number in range(3):
        stepped(one, first, number)
    state = {name: each.clone() for name, each in optim.state_of(one, optim.trained(first)).items()}
    second.load_state_dict(first.state_dict())
    other = optim.optimiser(settings, optim.trained(second))
    optim.restore(other, optim.trained(second), state)
    for found, layer in ((one, first), (other, second)):
        stepped(found, layer, 7)
        stepped(found, layer, 8)
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)
    assert all("/" in name for name in state)


def test_a_state_of_other_parameters_is_refused() -> None:
    parameters = optim.trained(nn.Linear(2, 2))
    with pytest.raises(RunError, match=r"knows a parameter 'head\.weight'"):
        optim.restore(optim.optimiser(Settings(), parameters), parameters, {"head.weight/exp_avg": torch.zeros(2)})
