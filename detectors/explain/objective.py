"""Stage 2, what is minimised: GRPO on groups of replies, one group a row; and what is told of them. Tensors alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mmidd.runs.detector import Batch, Features, Loss

from .options import ExplainOptions

_EPS = 1e-4
"""Added to a group's standard deviation, as TRL does."""
_SAME = 1e-6
"""Rewards of a group that differ by less say nothing."""


def advantages(reward: torch.Tensor) -> torch.Tensor:
    """How much better each reply is than its group: (rows, G) -> (rows, G). Exactly 0 where all are rewarded alike: rounding
    alone would else be made a signal."""
    apart = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + _EPS)
    return torch.where(_alike(reward).unsqueeze(1), 0.0, apart)


def objective(options: ExplainOptions, features: Features, batch: Batch, over: Mapping[str, int]) -> Loss:
    """What these rows add to the loss of the whole batch, and to its figures.

    Each batch is sampled anew and used for one update, by the network that sampled it. So the ratio of new to old
    probabilities is 1 and its gradient that of the log-probability: there is nothing to clip.
    """
    replies = over["rows"] * options.samples
    tokens = features["length"] if options.normalise == "sequence" else options.reply_tokens
    terms = {"policy": -(features["advantage"] * features["said"] / tokens).sum() / replies}
    if "kl" in features:
        terms["kl"] = options.beta * (features["kl"] / tokens).sum() / replies
    return Loss(terms, told=figures(features, batch["label"], over))


def figures(features: Features, label: torch.Tensor, over: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Means over all replies of the batch, but `no_signal` over its rows, and `of_reals`, `of_fakes` over the replies to
    these: what none of the batch is of is not told. `kl`: a token's."""
    answer, real = features["answer"], (label == 0).unsqueeze(1)
    told = {name: each for name, each in features.items() if name.partition(".")[0] == "reward"}
    told["right"] = answer == label.unsqueeze(1)
    told |= {name: features[name] for name in ("formed", "empty", "bare", "shared", "length", "cut")}
    told |= {f"answered.{word}": answer == value for word, value in (("real", 0), ("fake", 1), ("none", -1))}
    count = answer.shape[1]
    found = {name: each.float().sum() / (over["rows"] * count) for name, each in told.items()}
    for name, rows in (("reals", real), ("fakes", ~real)):
        for word in ("real", "fake", "none") if over[name] else ():
            of_these = (told[f"answered.{word}"] & rows).float().sum()
            found[f"answered.{word}.of_{name}"] = of_these / (over[name] * count)
    found["no_signal"] = _alike(features["reward"]).float().sum() / over["rows"]
    if "kl" in features:
        found["kl"] = (features["kl"].detach() / features["length"]).sum() / (over["rows"] * count)
    return found


def _alike(reward: torch.Tensor) -> torch.Tensor:
    """(rows,): are all of a group rewarded alike?"""
    low, high = reward.aminmax(dim=1)
    return high - low <= _SAME
