"""What a reward is: a number in 0..1 for each reply, from the label alone or from what can be read in the reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmidd.explanations.reply import Reply


def _nowhere(why: str) -> None:
    return None


@dataclass(frozen=True)
class Asked:
    """Replies that are judged, each by itself. `texts`: as they were said; `replies`: taken apart; `labels`: 0 real, 1 fake;
    `words`: what was asked for, the first for real.

    `alone`: the model's own score (0..1, high for fake) from each chain without its picture, None of an empty chain; None
    where nobody gives it, which only tests do. `note`: counts a reply of which something is to be told, by why.
    """

    texts: Sequence[str]
    replies: Sequence[Reply]
    labels: Sequence[int]
    words: tuple[str, str]
    alone: Callable[[Sequence[str]], list[float | None]] | None = None
    note: Callable[[str], None] = _nowhere


Reward = Callable[[Asked], list[float]]
"""One number in 0..1 for each reply, in their order; raises MmiddError where none can be given: training stops with it."""


@dataclass(frozen=True)
class RewardMaker:
    """`make`: the reward, of an explaining detector's options. Raises UsageError for options that it cannot work with."""

    make: Callable[[Any], Reward]
