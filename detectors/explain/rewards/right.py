"""Reward `class`: the answer is the label; a reply whose answer cannot be read has none.

Proves nothing of the reasons: who never looks at the picture and always says one word gets the share of that class.
"""

from __future__ import annotations

from .protocol import Asked, RewardMaker


def right(asked: Asked) -> list[float]:
    return [float(reply.answer == label) for reply, label in zip(asked.replies, asked.labels, strict=True)]


REWARD = RewardMaker(lambda options: right)
