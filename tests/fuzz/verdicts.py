"""Targets of what judges media from outside: what a run says of how its faces were taken."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mmidd.recipe import Crop, DetectorChoice, Frames, ImageEncoding
from mmidd.verdicts.taking import parsed

from .target import Target, refusing, require


def run_taking(data: bytes) -> bool:
    """What is taken can be told as JSON, and is what was said."""
    try:
        about = json.loads(data)
    except (ValueError, RecursionError):
        return False
    with refusing("the run") as refused:
        found = parsed(about, "the run")
    if refused:
        return False
    told = json.loads(json.dumps(found.document(), allow_nan=False))
    require(told["crop"]["size"] == about["recipe"]["crop"].get("size", 256), "another size was taken")
    return True


def _seeds() -> Mapping[str, bytes]:
    part = {
        "crop": Crop().model_dump(mode="json"), "image": ImageEncoding().model_dump(mode="json"), "decoder": "pyav",
        "detector": DetectorChoice().model_dump(mode="json"), "frames": Frames().model_dump(mode="json"),
    }  # fmt: skip
    whole = {"recipe": part, "models": {}, "libraries": {"numpy": "2.4.6"}, "device": "cpu"}
    return {"whole": json.dumps(whole).encode(), "others": json.dumps(whole | {"libraries": 3, "device": []}).encode()}


TARGETS = (Target("taking", run_taking, _seeds, ("mmidd.verdicts",), ('"mtcnn"', '"largest"', "null", "1e9", "-1")),)
