"""Which rewards there are."""

from __future__ import annotations

from mmidd.registry import Registry, Row

_ROOM = "mmidd.detectors.explain.rewards"
REWARDS: Registry[None] = Registry(
    "reward",
    "mmidd.rewards",
    "REWARD",
    (
        Row("class", f"{_ROOM}.right", "the answer is the label", None),
        Row("format", f"{_ROOM}.formed", "reasons, then one answer, in the form that was asked for", None),
        Row("consistent-rule", f"{_ROOM}.consistent_rule", "the chain's last statement is the answer", None),
        Row("consistent-lexicon", f"{_ROOM}.consistent_lexicon", "the words of the chain speak for the answer", None),
        Row("consistent-self", f"{_ROOM}.consistent_self", "the model gives that answer from the chain alone", None),
        Row("judge", f"{_ROOM}.judge", "a model behind a server finds that the chain supports the answer", None),
    ),
)
