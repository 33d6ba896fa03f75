"""The batched warp of the GPU path, computed by torch: on the CPU, and on CUDA where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from mmidd.faces import align
from mmidd.faces.gpu import warp_batch
from mmidd.video.picture import Pixels

from .conftest import Image
from .test_align import TRANSFORMS

torch = pytest.importorskip("torch")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return str(request.param)


@pytest.mark.parametrize("border", ["black", "replicate", "reflect"])
def test_a_batch_is_the_single_warps_within_a_grey_level(
    astronaut: Image, hopper: Image, border: align.Border, device: str
) -> None:
    pictures = [Pixels(image) for image in (astronaut, hopper) for _ in TRANSFORMS]
    transforms = list(TRANSFORMS.values()) * 2
    batch = warp_batch(pictures, transforms, size=128, border=border, device=device)
    assert batch.shape == (len(transforms), 128, 128, 3)
    for crop, picture, transform in zip(batch, pictures, transforms, strict=True):
        difference = np.abs(crop.astype(int) - align.warp(picture, transform, size=128, border=border))
        assert difference.mean() < 1


def test_a_shift_by_whole_pixels_copies_them(astronaut: Image, device: str) -> None:
    (crop,) = warp_batch([Pixels(astronaut)], [[[1, 0, -100], [0, 1, -50]]], size=64, device=device)
    assert np.array_equal(crop, astronaut[50:114, 100:164])


def test_crops_beyond_the_picture_are_black_and_beside_others_change_nothing(astronaut: Image, device: str) -> None:
    far = np.array([[1, 0, 1e4], [0, 1, 0]])
    both = warp_batch([Pixels(astronaut)] * 2, [far, TRANSFORMS["inside"]], size=128, device=device)
    (alone,) = warp_batch([Pixels(astronaut)], [TRANSFORMS["inside"]], size=128, device=device)
    assert not both[0].any()
    assert np.array_equal(both[1], alone)


def test_no_crops_are_no_work_and_numbers_must_agree(astronaut: Image, device: str) -> None:
    assert warp_batch([], [], size=32, device=device).shape == (0, 32, 32, 3)
    with pytest.raises(ValueError, match="zip"):
        warp_batch([Pixels(astronaut)], [], size=32, device=device)
