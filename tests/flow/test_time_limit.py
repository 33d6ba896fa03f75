from __future__ import annotations

from typing import Any

import pytest

from mmidd.flow.steps import time_limit
from mmidd.networks.client import WAITS_S
from mmidd.recipe import Recipe


@pytest.mark.parametrize(
    ("runtime", "device", "more"),
    [("auto", "cpu", 0), ("onnxruntime", "cpu", 0), ("torch", "cpu", WAITS_S), ("auto", "cuda", WAITS_S)],
)
def test_waiting_for_a_device_process_is_no_mediums_time(runtime: str, device: Any, more: float) -> None:
    recipe = Recipe.model_validate(
        {"name": "a", "datasets": ["CelebA"], "time_limit": 1, "detector": {"kind": "mtcnn", "runtime": runtime}}
    )
    assert time_limit(recipe, device) == 1 + more
