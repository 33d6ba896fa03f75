"""Reward `consistent-self`: the model itself, given the chain alone and no picture, answers what the reply answers.

Proves that the model takes the chain for a reason of its answer, no more: a chain that states the answer and nothing else
has it in full, and so has a code that the model has come to understand and nobody else does. The judge is what is trained:
it may learn to agree with itself. One more forward pass for each different chain.
"""

from __future__ import annotations

from mmidd.errors import UsageError

from .protocol import Asked, RewardMaker


def consistent_self(asked: Asked) -> list[float]:
    if asked.alone is None:
        raise UsageError("the reward consistent-self needs the model's own score of a chain, which nobody gives here")
    chains = tuple(dict.fromkeys(reply.chain for reply in asked.replies if reply.answer is not None and reply.chain))
    alone = dict(zip(chains, asked.alone(chains), strict=True)) if chains else {}
    return [_agrees(alone.get(reply.chain), reply.answer) for reply in asked.replies]


def _agrees(score: float | None, answer: int | None) -> float:
    if score is None or answer is None or score == 0.5:
        return 0.0
    return float((score > 0.5) == (answer == 1))


REWARD = RewardMaker(lambda options: consistent_self)
