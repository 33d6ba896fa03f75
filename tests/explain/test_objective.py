"""The objective of stage 2: advantages within a row's replies, sums over rows, figures; tensors made by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmidd.detectors.explain.objective import advantages, figures, objective
from mmidd.detectors.explain.options import ExplainOptions

from mmidd.runs.detector import Features

ROWS, COUNT = 6, 4


def made(kl: bool = True) -> tuple[Features, dict[str, Any]]:
    torch.manual_seed(2)
    shape = (ROWS, COUNT)
    reward = torch.randint(0, 4, shape) / 2
    reward[1] = 0.5
    found = {
        "said": -torch.rand(shape) * 9, "advantage": advantages(reward),
        "reward": reward, "reward.class": reward.clamp(max=1),
        "answer": torch.randint(-1, 2, shape).float(), "length": torch.randint(1, 9, shape).float(),
        **{name: torch.randint(0, 2, shape).float() for name in ("cut", "empty", "bare", "shared", "formed")},
    }  # fmt: skip
    found |= {"kl": torch.rand(shape)} if kl else {}
    return found, {"label": torch.tensor([0, 1, 0, 1, 1, 1])}


OVER = {"rows": 6, "reals": 2, "fakes": 4}


@pytest.mark.parametrize("reward", [[0.0] * 4, [1.5] * 4, [0.1 + 0.2] * 4, [0.7] * 4, [1 / 3] * 4])
def test_a_group_that_is_rewarded_alike_gives_exactly_nothing(reward: list[float]) -> None:
    assert advantages(torch.tensor([reward])).tolist() == [[0.0] * 4]


def test_advantages_are_of_a_row_by_itself() -> None:
    reward = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.5, 1.5, 1.5, 0.5]])
    found = advantages(reward)
    torch.testing.assert_close(found[0], torch.tensor([-1.0, 1.0, 1.0, -1.0]) * (0.5 / (math.sqrt(1 / 3) + 1e-4)))
    torch.testing.assert_close(found.sum(1), torch.zeros(2), atol=1e-5, rtol=0)
    assert torch.equal(advantages(reward[1:]), found[1:])


@pytest.mark.parametrize("normalise", ["sequence", "constant"])
def test_however_a_batch_is_cut_terms_gradients_and_figures_are_the_same(normalise: str) -> None:
    options = ExplainOptions(samples=COUNT, normalise=normalise, beta=0.1, reply_tokens=8)
    features, batch = made()
    features["said"].requires_grad_()
    whole = objective(options, features, batch, OVER)
    sum(whole.terms.values()).backward()
    gradient, features["said"].grad = features["said"].grad, None
    parts = []
    for cut in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part = {name: each[cut] for name, each in features.items()}
        parts.append(objective(options, part, {"label": batch["label"][cut]}, OVER))
        sum(parts[-1].terms.values()).backward()
    assert {"policy", "kl"} == {*whole.terms}
    for kind in ("terms", "told"):
        for name, value in getattr(whole, kind).items():
            torch.testing.assert_close(sum(getattr(part, kind)[name] for part in parts), value, msg=name)
    torch.testing.assert_close(features["said"].grad, gradient)


def test_a_replys_tokens_count_by_its_length_or_by_the_limit() -> None:
    features, batch = made(kl=False)
    by_hand = {
        "sequence": -(features["advantage"] * features["said"] / features["length"]).mean(),
        "constant": -(features["advantage"] * features["said"] / 8).mean(),
    }
    for normalise, expected in by_hand.items():
        options = ExplainOptions(samples=COUNT, normalise=normalise, reply_tokens=8)
        torch.testing.assert_close(objective(options, features, batch, OVER).terms["policy"], expected)


def test_a_better_reply_is_made_likelier_and_a_worse_one_less_likely() -> None:
    features, batch = made(kl=False)
    features["said"].requires_grad_()
    objective(ExplainOptions(samples=COUNT), features, batch, OVER).terms["policy"].backward()
    assert torch.equal(features["said"].grad.sign(), -features["advantage"].sign())


def test_figures_are_shares_of_all_replies_or_of_one_class() -> None:
    features, batch = made()
    told = {name: float(each) for name, each in figures(features, batch["label"], OVER).items()}
    answer, real = features["answer"], batch["label"] == 0
    assert told["answered.fake"] == pytest.approx(float((answer == 1).float().mean()))
    assert told["answered.fake.of_reals"] == pytest.approx(float((answer[real] == 1).float().mean()))
    assert told["answered.none.of_fakes"] == pytest.approx(float((answer[~real] == -1).float().mean()))
    assert told["no_signal"] == pytest.approx(1 / ROWS) and told["length"] == pytest.approx(float(features["length"].mean()))
    assert told["right"] == pytest.approx(float((answer == batch["label"][:, None]).float().mean()))
    assert told["reward"] == pytest.approx(float(features["reward"].mean())) and "reward.class" in told and "kl" in told
    for word in ("of_reals", "of_fakes"):
        assert sum(told[f"answered.{each}.{word}"] for each in ("real", "fake", "none")) == pytest.approx(1)


def test_of_a_class_that_a_batch_has_none_of_nothing_is_told() -> None:
    features, _ = made()
    told = figures(features, torch.ones(ROWS, dtype=torch.int64), {"rows": ROWS, "reals": 0, "fakes": ROWS})
    assert "answered.fake.of_fakes" in told and not any("of_reals" in name for name in told)
