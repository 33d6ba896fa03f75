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
    ),
)
