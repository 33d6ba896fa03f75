"""Stage 2, when it must end: what collapse looks like in the figures of the last steps (`objective.figures`), in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

WINDOW = 20
"""Steps that are looked at; before there are so many, nothing is said."""
BACK = 200
"""Steps that are remembered, for what comes slowly."""
SAME_ANSWER = 0.97
"""From this share on, of reals and of fakes each, one answer is all that is given."""
MOSTLY = 0.9
"""From this share on replies are empty, cut off, or in groups without a signal."""
FORMED = 0.05
"""Under this share nothing has the form any more."""
LEARNT = 0.9
"""From this share of right answers on no signal is the end of learning, and no failure."""
FALLS, RISES = 0.15, 0.05
"""Rewards are hacked where from one half of the last steps to the other, or from the first of those remembered to the last,
right answers fall, and the reward, as a share of the most that there is, rises by so much. Eight rows a step are about 0.07
of noise (one standard error)."""

_AGAIN = "give reward format more weight, lower lr, or set beta to 0.02"
_MORE = "leave out the reward whose curve rises with it, give it less weight, or set beta to 0.02"
Recent = Sequence[Mapping[str, float]]


def collapsed(recent: Recent, most: float) -> str | None:
    """Why training must not go on; `most`: the highest reward, the sum of the weights."""
    if len(recent) < WINDOW:
        return None
    return next(_collapses(recent[-WINDOW:], most), None) or _hacked(recent, most)


def learnt(recent: Recent, most: float) -> str | None:
    """Why there is nothing more to learn, and all is well."""
    if len(recent) < WINDOW or collapsed(recent, most):
        return None
    recent = recent[-WINDOW:]
    silent, right = _mean(recent, "no_signal"), _mean(recent, "right")
    if not (silent > MOSTLY and right >= LEARNT):
        return None
    return (
        f"in {silent:.0%} of the last {len(recent)} steps' groups all replies were rewarded alike, and {right:.0%} of the "
        "answers were right: no signal is left to learn from"
    )


def _collapses(recent: Recent, most: float) -> Iterator[str]:
    steps = f"of the last {len(recent)} steps' replies"
    if (cut := _mean(recent, "cut")) > MOSTLY:
        yield (
            f"{steps} {cut:.0%} ran into the limit of reply_tokens, they grow without an end: raise reply_tokens if reasons "
            "need more room, else lower lr, or set beta to 0.02"
        )
    if (formed := _mean(recent, "formed")) < FORMED:
        yield f"{steps} {formed:.0%} have the form that is asked for: {_AGAIN}"
    if (empty := _mean(recent, "empty")) > MOSTLY:
        yield f"{steps} {empty:.0%} give no reasons: {_AGAIN}"
    if (bare := _mean(recent, "bare")) > MOSTLY:
        yield f"{steps} {bare:.0%} have no reason but the answer said again: {_MORE}"
    for word in ("real", "fake"):
        reals, fakes = (_mean(recent, f"answered.{word}.of_{rows}") for rows in ("reals", "fakes"))
        if reals >= SAME_ANSWER and fakes >= SAME_ANSWER:
            yield (
                f"{steps} {reals:.0%} of those to reals and {fakes:.0%} of those to fakes answer {word}, whatever the "
                "picture: start from a run of stage align that tells the classes apart, set order=balanced, or lower lr"
            )
    silent, right = _mean(recent, "no_signal"), _mean(recent, "right")
    if silent > MOSTLY and right < LEARNT:
        yield (
            f"in {silent:.0%} of the last {len(recent)} steps' groups all replies were rewarded alike, and {right:.0%} of "
            "the answers were right: nothing can be learnt from them; raise samples or temperature"
        )


def _hacked(recent: Recent, most: float) -> str | None:
    last, half = recent[-WINDOW:], WINDOW // 2
    for before, now, count in ((last[:half], last[half:], WINDOW), (recent[:WINDOW], last, len(recent))):
        rise, rose = (_mean(now, name) - _mean(before, name) for name in ("reward", "right"))
        if rise > RISES * most and rose < -FALLS:
            return (
                f"in the last {count} steps the reward rose by {rise:.2f} while the share of right answers fell by "
                f"{-rose:.0%}: it is had by something else than the answer; give reward class more weight, or leave out the "
                "one whose curve rises"
            )
    return None


def _mean(recent: Recent, name: str) -> float:
    """Over the steps that tell it; NaN, which is over and under nothing, where not half of them do."""
    found = [each[name] for each in recent if name in each]
    return mean(found) if len(found) * 2 > len(recent) else float("nan")
