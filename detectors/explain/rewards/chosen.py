"""The rewards that options name, and what they come to for a batch of replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isfinite
from typing import Any

from mmidd.errors import RunError, UsageError

from .protocol import Asked, Reward, RewardMaker
from .registry import REWARDS


@dataclass(frozen=True)
class Judged:
    """`values`: of each reward one number in 0..1 a reply; `total`: their weighted sum, a reply; `counts`: replies of which
    a reward had something to tell, by why."""

    values: Mapping[str, list[float]]
    total: list[float]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Chosen:
    """Rewards by name, each with its weight."""

    rewards: Mapping[str, Reward]
    weights: Mapping[str, float]

    def judged(self, asked: Asked) -> Judged:
        """Raises what a reward raises, and RunError for one that gives no such numbers."""
        counts: Counter[str] = Counter()

        def note(why: str) -> None:
            counts[why] += 1

        counted = replace(asked, note=note)
        values = {
            name: _checked(name, REWARDS.ask(name, _numbers, each, counted), len(asked.texts))
            for name, each in self.rewards.items()
        }
        total = [
            sum(self.weights[name] * every[place] for name, every in values.items()) for place in range(len(asked.texts))
        ]
        return Judged(values, total, dict(counts))


def chosen(options: Any) -> Chosen:
    """Those that an explaining detector's options name. Raises UsageError for none, for an unknown one and for weights that
    are all 0, and what a reward raises of its options."""
    weights: Mapping[str, float] = options.rewards
    if not any(weights.values()):
        raise UsageError("rewards: none has a weight above 0, so there is nothing to learn; such as rewards={class: 1}")
    found = {}
    for name in weights:
        if name not in REWARDS:
            near = get_close_matches(name, REWARDS.names(), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(REWARDS.names())}"
            raise UsageError(f"rewards: there is no reward {name!r}; {hint}")
        maker = REWARDS.load(name, RewardMaker)
        found[name] = REWARDS.ask(name, maker.make, options)
    return Chosen(found, dict(weights))


def _numbers(reward: Reward, asked: Asked) -> list[float]:
    """What a reward gives, as plain numbers: still a stranger's code, which may give anything, or fail only now. Its replies
    are its own to spoil."""
    return [float(each) for each in reward(replace(asked, texts=[*asked.texts], replies=[*asked.replies]))]


def _checked(name: str, values: list[float], replies: int) -> list[float]:
    if len(values) != replies or not all(isfinite(each) and 0 <= each <= 1 for each in values):
        raise RunError(
            f"the reward {name!r} gives {values!r:.200} for {replies} replies, and owes each a number in 0..1: mend it"
        )
    return values
