"""Reward `format`: the reply is written as it was asked for, reasons and then one answer, and nothing else.

Proves nothing of what the reasons say: a chain of one word is well formed.
"""

from __future__ import annotations

from .protocol import Asked, RewardMaker


def formed(asked: Asked) -> list[float]:
    return [float(reply.formed) for reply in asked.replies]


REWARD = RewardMaker(lambda options: formed)
