"""Reward `consistent-lexicon`: the words of the chain speak for the answer, by a lexicon in which negations turn a cue
around.

Proves that more cues of the answer's side were written than of the other, no more: not that they are in the picture, nor
that they were the reason. A list of such words has it in full, and so has one chain for all pictures with its own answer
behind it. A chain that argues finely, or in another language, has no cue and none of it.
"""

from __future__ import annotations

from mmidd.explanations.polarity import leaning

from .protocol import Asked, RewardMaker


def consistent_lexicon(asked: Asked) -> list[float]:
    found = []
    for reply in asked.replies:
        leans = leaning(reply.chain, asked.words).answer if reply.answer is not None else None
        if reply.answer is not None and leans is None:
            asked.note("consistent-lexicon: the words of the chain speak for neither")
        found.append(float(leans is not None and leans == reply.answer))
    return found


REWARD = RewardMaker(lambda options: consistent_lexicon)
