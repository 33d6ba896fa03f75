from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmidd.curation.quality import Quality, measure, measure_batch, phash, rec601

Crop = npt.NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Crop:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def jpeg(quality: int) -> Callable[[Crop], Crop]:
    def change(crop: Crop) -> Crop:
        file = io.BytesIO()
        Image.fromarray(crop).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return change


def resize(side: int) -> Callable[[Crop], Crop]:
    return lambda crop: np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))


def brighter(crop: Crop) -> Crop:
    return np.asarray(np.clip(crop.astype(int) + 12, 0, 255), np.uint8)


def reference_luma(crop: Crop) -> npt.NDArray[np.int64]:
    return np.asarray((crop.astype(np.int64) @ np.array([9798, 19235, 3735]) + (1 << 14)) >> 15, np.int64)


def reference_phash(crop: Crop) -> str:
    """The same hash by the plain definition: every pixel repeated to a common multiple, float DCT, float median."""
    luma = reference_luma(crop).astype(np.float64)
    height, width = luma.shape
    large = np.repeat(np.repeat(luma, 32, axis=0), 32, axis=1)
    cells = large.reshape(32, height, 32, width).mean(axis=(1, 3))
    basis = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32) + 1) / 64)
    low = basis @ cells @ basis.T
    bits = "".join("1" if value > np.median(low) else "0" for value in low.ravel())
    return f"{int(bits, 2):016x}"


@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=60)
def test_sharpness_and_brightness_are_those_of_the_plain_definition(height: int, width: int, seed: int) -> None:
    crop = noise(height, width, seed)
    luma = reference_luma(crop)
    assert (rec601(crop) == luma).all()
    pad = np.pad(luma, [(1, 1) if n > 1 else (0, 0) for n in luma.shape], mode="reflect")
    pad = np.pad(pad, [(0, 0) if n > 1 else (1, 1) for n in luma.shape], mode="edge")
    edges = pad[:-2, 1:-1] + pad[2:, 1:-1] + pad[1:-1, :-2] + pad[1:-1, 2:] - 4 * luma
    found = measure(crop)
    assert found.sharpness == pytest.approx(edges.var(), rel=1e-12, abs=1e-12)
    assert found.brightness == pytest.approx(luma.mean(), rel=1e-12)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (64, 32), (31, 33), (100, 75), (40, 90), (224, 299)])
def test_phash_is_the_hash_of_the_plain_definition(height: int, width: int) -> None:
    crop = cv2.GaussianBlur(noise(height, width), (0, 0), 1.0)
    assert distance(measure(crop).phash, reference_phash(crop)) <= 1


@pytest.mark.parametrize(
    ("change", "bits"),
    [
        (jpeg(90), 2),
        (jpeg(50), 4),
        (jpeg(30), 6),
        (resize(128), 4),
        (resize(200), 4),
        (resize(512), 4),
        (brighter, 4),
    ],
    ids=["jpeg90", "jpeg50", "jpeg30", "half", "200px", "double", "brighter"],
)
def test_phash_hardly_changes_when_a_face_is_compressed_or_resized(
    faces: dict[str, Crop], change: Callable[[Crop], Crop], bits: int
) -> None:
    for name, crop in faces.items():
        assert distance(measure(crop).phash, measure(change(crop)).phash) <= bits, name


def test_phash_tells_different_faces_apart(faces: dict[str, Crop]) -> None:
    for one, other in itertools.combinations(faces.values(), 2):
        assert distance(measure(one).phash, measure(other).phash) > 12


def test_phash_tells_real_portraits_apart_and_survives_jpeg(pictures: dict[str, Crop]) -> None:
    hashes = {name: measure(picture).phash for name, picture in pictures.items()}
    for one, other in itertools.combinations(hashes, 2):
        assert distance(hashes[one], hashes[other]) > 12, (one, other)
    for name, picture in pictures.items():
        assert distance(hashes[name], measure(jpeg(60)(picture)).phash) <= 4, name


def test_blur_lowers_sharpness_and_darkness_lowers_brightness(faces: dict[str, Crop]) -> None:
    for crop in faces.values():
        sharp = measure(crop)
        assert measure(cv2.GaussianBlur(crop, (0, 0), 2.0)).sharpness < 0.3 * sharp.sharpness
        assert measure(crop // 2).brightness == pytest.approx(sharp.brightness / 2, abs=1)


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        (np.zeros((1, 1, 3), np.uint8), Quality(0.0, 0.0, "0" * 16)),
        (np.zeros((40, 50, 3), np.uint8), Quality(0.0, 0.0, "0" * 16)),
        (np.full((1, 1, 3), 200, np.uint8), Quality(0.0, 200.0, "8" + "0" * 15)),
        (np.full((256, 256, 3), 255, np.uint8), Quality(0.0, 255.0, "8" + "0" * 15)),
        (np.full((1, 300, 3), 77, np.uint8), Quality(0.0, 77.0, "8" + "0" * 15)),
    ],
    ids=["black pixel", "black", "grey pixel", "white", "one row"],
)
def test_flat_and_tiny_crops_have_exact_values(crop: Crop, expected: Quality) -> None:
    assert measure(crop) == expected


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=["grey", "alpha", "empty", "float"],
)
def test_anything_but_an_rgb_crop_is_refused(crop: Crop) -> None:
    with pytest.raises(ValueError, match="uint8"):
        measure(crop)


def test_a_batch_is_its_crops_in_order_whatever_their_memory_layout() -> None:
    crops = [noise(20, 30), noise(256, 256, 1)[::-1, ::2], np.asfortranarray(noise(33, 9, 2))]
    expected = [measure(np.ascontiguousarray(crop)) for crop in crops]
    assert measure_batch(crops) == expected
    assert measure_batch(reversed(crops)) == expected[::-1]
    assert measure_batch([]) == []


def test_values_do_not_depend_on_opencv_optimisations() -> None:
    crops = [noise(height, width) for height, width in [(256, 256), (97, 61), (300, 224)]]
    fast = measure_batch(crops)
    cv2.setUseOptimized(False)
    try:
        assert measure_batch(crops) == fast
    finally:
        cv2.setUseOptimized(True)


def test_phash_of_a_known_picture_never_changes() -> None:
    x, y = np.meshgrid(np.arange(67), np.arange(53))
    assert phash(((x * x + 3 * x * y + 7 * y) // 11 % 256).astype(np.uint8)) == "801f38393372f6f4"


@pytest.mark.parametrize("colour", [0, 128, 255])
@pytest.mark.parametrize("place", [np.s_[:, :20], np.s_[30:, :], np.s_[:1, :], np.s_[10:12, 10:12]])
def test_padding_is_neither_dark_nor_an_edge(place: tuple[slice, slice], colour: int) -> None:
    crop = noise(48, 48)
    padding = np.zeros((48, 48), np.bool_)
    padding[place] = True
    crop[padding] = colour
    luma = reference_luma(crop)
    found = measure(crop, padding)
    assert found.brightness == pytest.approx(luma[~padding].mean(), rel=1e-12)
    assert found == replace(measure(np.where(padding[..., None], 77, crop).astype(np.uint8), padding), phash=found.phash)
    assert found.phash == measure(crop).phash


def test_a_crop_of_nothing_but_padding_is_measured_as_it_is() -> None:
    crop = noise(16, 16)
    assert measure(crop, np.ones((16, 16), np.bool_)) == measure(crop) == measure(crop, np.zeros((16, 16), np.bool_))
