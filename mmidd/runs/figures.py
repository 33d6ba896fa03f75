"""Words for what a detector tells of each step beside its loss: the keys of `metrics.jsonl` as titles of curves."""

from __future__ import annotations

_WORDS = {
    "right": "answers that are right",
    "reward": "weighted sum of all",
    "formed": "replies in the form that was asked for",
    "empty": "replies without reasons",
    "bare": "replies whose reasons are the answer said again",
    "shared": "replies with the reasons of another picture's",
    "length": "tokens of a reply",
    "cut": "replies that ran into reply_tokens",
    "no_signal": "rows whose replies were all rewarded alike",
    "kl": "distance to the start, a token",
}
_ROWS = {"of_reals": "real rows", "of_fakes": "fake rows"}


def titled(name: str) -> str:
    """`no_signal: rows whose replies were all rewarded alike`; a name of which nothing is known is its own title.

    >>> titled("answered.none.of_fakes")
    'answered.none.of_fakes: replies without an answer, of fake rows'
    """
    words: str | None
    first, *others = name.split(".")
    if first == "answered" and others:
        words = "replies without an answer" if others[0] == "none" else f"replies that answer {others[0]}"
        words += f", of {_ROWS[others[1]]}" if len(others) > 1 and others[1] in _ROWS else ""
    else:
        words = _WORDS.get(name)
    return f"{name}: {words}" if words else name
