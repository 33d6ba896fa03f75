"""The batched warp of the GPU path, computed by torch: on the CPU, and on CUDA where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gpu.warp import warp_batch
from mmidd.faces import align
from mmidd.video.picture import Image, Pixels

torch = pytest.importorskip("torch")

FACE = np.array([[30, 52], [66, 52], [48, 72], [34, 92], [63, 92]], np.float64)
TRANSFORMS = {
    "inside": align.similarity(FACE * 1.4 + (170, 80), size=128, margin=1.3),
    "enlarged": align.similarity(FACE * 0.3 + (220, 120), size=128, margin=1.0),
    "over the corner": align.similarity(FACE[:, ::-1] * (1.5, -1.5) + (20, 60), size=128, margin=1.3),
    "over the far corner": align.similarity(FACE * -1.5 + (560, 580), size=128, margin=1.5),
    "the whole frame": align.similarity(FACE * 9 - (250, 300), size=128, margin=1.3),
}


def _smooth(width: int, height: int) -> Image:
    """A picture without edges: where it is read between its pixels hardly matters."""
    rows, columns = np.indices((height, width))
    waves = [128 + 100 * np.sin(columns / (9 + place) + rows / 23) for place in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def square() -> Image:
    return _smooth(512, 512)


@pytest.fixture(scope="module")
def tall() -> Image:
    return _smooth(512, 600)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return str(request.param)


@pytest.mark.parametrize("border", ["black", "replicate", "reflect"])
def test_a_batch_is_the_single_warps_within_a_grey_level(
    square: Image, tall: Image, border: align.Border, device: str
) -> None:
    pictures = [Pixels(image) for image in (square, tall) for _ in TRANSFORMS]
    transforms = list(TRANSFORMS.values()) * 2
    batch = warp_batch(pictures, transforms, size=128, border=border, device=device)
    assert batch.shape == (len(transforms), 128, 128, 3)
    for crop, picture, transform in zip(batch, pictures, transforms, strict=True):
        difference = np.abs(crop.astype(int) - align.warp(picture, transform, size=128, border=border))
        assert difference.mean() < 1


def test_a_shift_by_whole_pixels_copies_them(square: Image, device: str) -> None:
    (crop,) = warp_batch([Pixels(square)], [[[1, 0, -100], [0, 1, -50]]], size=64, device=device)
    assert np.array_equal(crop, square[50:114, 100:164])


def test_crops_beyond_the_picture_are_black_and_beside_others_change_nothing(square: Image, device: str) -> None:
    far = np.array([[1, 0, 1e4], [0, 1, 0]])
    both = warp_batch([Pixels(square)] * 2, [far, TRANSFORMS["inside"]], size=128, device=device)
    (alone,) = warp_batch([Pixels(square)], [TRANSFORMS["inside"]], size=128, device=device)
    assert not both[0].any()
    assert np.array_equal(both[1], alone)


def test_no_crops_are_no_work_and_numbers_must_agree(square: Image, device: str) -> None:
    assert warp_batch([], [], size=32, device=device).shape == (0, 32, 32, 3)
    with pytest.raises(ValueError, match="zip"):
        warp_batch([Pixels(square)], [], size=32, device=device)
