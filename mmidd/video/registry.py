"""The video decoders: a row each. The code of one is in its own file."""

from __future__ import annotations

from mmidd.registry import Registry, Row

DECODERS: Registry[None] = Registry(
    "video decoder",
    "mmidd.video_decoders",
    "DECODER",
    (
        Row("pyav", "mmidd.video.pyav", "exact on every container, codec and timing tried; reads members of archives", None),
        Row("decord", "mmidd.video.decord", "for comparison: not exact, no rotation", None, "decord", ("decord",)),
        Row(
            "torchcodec", "mmidd.video.torchcodec", "for those who decode with it: not exact, no rotation", None,
            "torchcodec", ("torchcodec",),
        ),
    ),
)  # fmt: skip
