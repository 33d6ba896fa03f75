"""Reward `consistent-rule`: the last statement of the chain about the whole picture (`it looks fake`) says what the answer
says.

Proves that the chain ends as the answer does, no more: not that the rest of it argues for that, nor that it is true, nor
that the picture was looked at. One sentence for all pictures, with the same answer behind it, has it in full. English
alone: a chain without such a statement has none.
"""

from __future__ import annotations

from mmidd.explanations.polarity import concluded

from .protocol import Asked, RewardMaker


def consistent_rule(asked: Asked) -> list[float]:
    found = []
    for reply in asked.replies:
        stated = concluded(reply.chain, asked.words) if reply.answer is not None else None
        if reply.answer is not None and stated is None:
            asked.note("consistent-rule: the chain comes to no statement")
        found.append(float(stated is not None and stated == reply.answer))
    return found


REWARD = RewardMaker(lambda options: consistent_rule)
