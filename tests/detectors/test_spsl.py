"""SPSL's phase against its definition, and its first convolution."""

from __future__ import annotations

import cmath
import math
from pathlib import Path

import pytest
import torch
from mmidd.detectors import spsl, xception
from mmidd.detectors.spsl import SPSL, SPSLOptions, phase

TINY = {"backbone": "timm:test_resnet", "weights": "random", "side": 32}


def delta(height: int, width: int, down: int, right: int) -> torch.Tensor:
    found = torch.zeros(1, 1, height, width)
    found[0, 0, down, right] = 1
    return found


@pytest.mark.parametrize("at", [(0, 0), (3, 5), (7, 1)])
@pytest.mark.parametrize("strength", [0.2, 40.0])
def test_the_phase_of_a_point_is_the_point(at: tuple[int, int], strength: float) -> None:
    point = delta(8, 6, *at)
    torch.testing.assert_close(phase(strength * point.expand(1, 3, 8, 6)), point, rtol=0, atol=1e-6)


def test_the_phase_of_a_negative_point_is_negative() -> None:
    torch.testing.assert_close(phase(-2 * delta(8, 8, 2, 3).expand(1, 3, 8, 8)), -delta(8, 8, 2, 3), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("value", "mean"), [(0.7, 0.0), (-1.0, -2.0), (0.0, 0.0)])
def test_the_phase_of_one_colour_is_a_point_with_the_sign_of_its_mean(value: float, mean: float) -> None:
    """All coefficients but the first are 0, whose angle is 0; the first has the colour's sign."""
    wanted = delta(8, 8, 0, 0) + mean / 64
    torch.testing.assert_close(phase(torch.full((1, 3, 8, 8), value)), wanted, rtol=0, atol=1e-6)


def test_the_phase_is_the_transform_written_out() -> None:
    height, width = 3, 4
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grey = image[0].mean(dim=0)

    def turn(u: int, v: int, y: int, x: int) -> complex:
        return cmath.exp(-2j * math.pi * (u * y / height + v * x / width))

    places = [(y, x) for y in range(height) for x in range(width)]
    spectrum = {(u, v): sum(float(grey[y, x]) * turn(u, v, y, x) for y, x in places) for u, v in places}
    for y, x in places:
        found = sum(value / abs(value) * turn(u, v, y, x).conjugate() for (u, v), value in spectrum.items())
        assert float(phase(image.float())[0, 0, y, x]) == pytest.approx(found.real / len(places), abs=1e-5)


def test_the_phase_has_no_amplitude_and_knows_no_strength_and_no_other_image() -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5
    found = phase(images)
    torch.testing.assert_close(torch.fft.fft2(found).abs(), torch.ones(3, 1, 16, 16), rtol=0, atol=1e-4)
    torch.testing.assert_close(phase(7 * images), found, rtol=0, atol=1e-5)
    torch.testing.assert_close(phase(images[1:2]), found[1:2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("averaged", ["all", "added"])
def test_the_first_convolution_begins_as_the_mean_of_the_pretrained_filter(averaged: str) -> None:
    torch.manual_seed(2)
    plain = xception.Xception(xception.XceptionOptions(**TINY))
    torch.manual_seed(2)
    wide = SPSL(SPSLOptions(averaged=averaged, **TINY))
    before, after = (
        each.tower.inner.get_submodule(each.tower.inner.pretrained_cfg["first_conv"]).weight for each in (plain, wide)
    )
    mean = before.mean(dim=1)
    assert after.shape == (len(before), 4, 3, 3)
    assert all(
        torch.equal(after[:, channel], mean if averaged == "all" or channel == 3 else before[:, channel])
        for channel in range(4)
    )


def test_pretrained_files_are_averaged_too(tmp_path: Path) -> None:
    from timm import create_model
    from timm.models import save_for_hf

    torch.manual_seed(4)
    saved = create_model("test_resnet")
    save_for_hf(saved, tmp_path / "backbone", safe_serialization=True)
    network = SPSL(SPSLOptions(backbone=str(tmp_path / "backbone"), side=32))
    found = network.tower.inner.state_dict()
    assert torch.equal(found.pop("conv1.0.weight")[:, 3], saved.conv1[0].weight.mean(dim=1))
    assert all(torch.equal(each, saved.state_dict()[key]) for key, each in found.items())
    assert network.tower.source["weights"] == "pretrained"


def test_the_network_sees_the_image_and_its_phase() -> None:
    network = SPSL(SPSLOptions(**TINY)).eval()
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = network.seen(image)
    assert torch.equal(seen[:, :3], image) and torch.equal(seen[:, 3:], phase(image))
    with torch.no_grad():
        found = network.features({"image": image})["pooled"]
        assert torch.equal(found, network.tower(seen).last)


def test_its_training_is_xceptions_with_its_own_frames_and_augmentation() -> None:
    mine, base = (each.DETECTOR.presets["paper"].settings for each in (spsl, xception))
    assert {key: mine[key] for key in base if mine[key] != base[key]} == {"augment": "spsl", "frames": 4}
