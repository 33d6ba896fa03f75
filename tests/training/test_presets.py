from __future__ import annotations

import pytest
import torch

from mmidd.errors import UsageError
from mmidd.training.augment import PRESETS, Augment, chance_of, preset
from training.pictures import face, picture


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_where_it_is_from_and_treats_samples_and_batches(name: str) -> None:
    assert PRESETS[name].source and PRESETS[name].stated
    augment = preset(name)
    assert augment == preset(name)
    images = torch.stack([picture(64, 64, seed).contiguous() for seed in range(4)])
    single = torch.stack([augment.image(image, seed) for seed, image in enumerate(images)])
    apart = (augment.batch(images, range(4)).int() - single.int()).abs().float()
    assert float(apart.mean()) < 1  # a codec may make more of a level than a level
    found = augment(face(), chance_of(0))
    assert found["image"].shape == (3, 96, 96) and found["label"] == 0
    assert (len(augment.steps) == 0) == (name == "none")


def test_what_the_papers_state_is_what_is_in_the_lists() -> None:
    steps = {name: {type(each).__name__: each for each in preset(name).steps} for name in PRESETS}
    jpegs = {name: (found["Jpeg"].p, found["Jpeg"].quality) for name, found in steps.items() if "Jpeg" in found}  # type: ignore[attr-defined]
    assert jpegs["effort"] == (0.5, (40, 100)) and jpegs["univfd"] == (0.5, (30, 100)) and jpegs["aide"] == (0.1, (30, 100))
    assert steps["effort"]["Rotate"].p == 0.5 and steps["xception"]["Rotate"].p == 0
    assert set(steps["recce"]) == {"Flip"} and "Flip" not in steps["aide"]
    assert [type(each).__name__ for each in preset("univfd").steps] == ["Blur", "Jpeg", "Crop", "Flip"]
    assert preset("strong").on_cpu == ("OneOf", "Jpeg") and preset("none") == Augment([])


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no preset 'efort': one of 'none', 'effort'"):
        preset("efort")
