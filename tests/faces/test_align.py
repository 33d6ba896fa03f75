"""The similarity onto the template and the warp by it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.faces import align
from mmidd.video.picture import Pixels

from .conftest import Image

Points = npt.NDArray[np.float64]
ARCFACE_96 = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])
NOISY = np.array([[500.3, 410.9], [588.1, 402.2], [541.7, 466.0], [512.2, 505.4], [590.9, 498.8]])


def placed(points: Points, scale: float, degrees: float, shift: tuple[float, float]) -> Points:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(scale * points @ rotation.T + shift, np.float64)


def least_squares(source: Points, wanted: Points) -> Points:
    """A similarity fit by another way: linear least squares in (a, b, tx, ty)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, wanted, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


@pytest.mark.parametrize("landmarks", [NOISY, placed(ARCFACE_96, 2.5, 20, (300, 200)), NOISY[::-1] * 3])
def test_size_256_margin_1_3_is_deepfakebenchs_geometry(landmarks: Points) -> None:
    template = (ARCFACE_96 + np.array([8, 0])) / 112 * 256
    border = 0.3 / 2 * 256
    template = (template + border) * 256 / (256 + 2 * border)
    found = align.similarity(landmarks, size=256, margin=1.3)
    np.testing.assert_allclose(found, least_squares(landmarks, template), rtol=1e-5, atol=1e-3)


@settings(max_examples=80)
@given(
    scale=st.floats(0.05, 20),
    degrees=st.floats(-180, 180),
    x=st.floats(-3000, 3000),
    y=st.floats(-3000, 3000),
    size=st.integers(16, 1024),
    margin=st.floats(0.5, 3),
)
def test_a_known_similarity_is_recovered(scale: float, degrees: float, x: float, y: float, size: int, margin: float) -> None:
    wanted = (align.TEMPLATES["arcface"] * size - size / 2) / margin + size / 2
    landmarks = placed(wanted, scale, degrees, (x, y))
    found = align.similarity(landmarks, size=size, margin=margin)
    assert found.dtype == np.float32
    tolerance = 1e-5 * (size + np.abs(found).max() + np.abs(found[:, :2]).max() * np.abs(landmarks).max())
    np.testing.assert_allclose(align.apply(found, landmarks), wanted, atol=tolerance)
    np.testing.assert_allclose(align.apply(align.invert(found), align.apply(found, landmarks)), landmarks, atol=1e-5)


def test_a_mirrored_face_is_turned_but_never_mirrored() -> None:
    mirrored = ARCFACE_96 * [-1, 1]
    assert np.linalg.det(align.similarity(mirrored, size=112, margin=1)[:, :2].astype(np.float64)) > 0


def test_the_margin_keeps_the_centre() -> None:
    one, more = (align.similarity(NOISY, size=100, margin=margin) for margin in (1.0, 2.0))
    centre = align.apply(align.invert(one), [[50, 50]])
    np.testing.assert_allclose(align.apply(more, centre), [[50, 50]], atol=1e-3)
    assert np.hypot(*more[:, 0]) * 2 == pytest.approx(np.hypot(*one[:, 0]), rel=1e-5)


@pytest.mark.parametrize(
    "landmarks",
    [np.zeros((5, 2)), np.full((5, 2), 1e6), np.full((5, 2), np.nan), NOISY * np.inf, NOISY[:4], np.zeros((5, 3))],
    ids=["zero", "same", "nan", "inf", "four", "3d"],
)
def test_points_without_a_similarity_are_refused(landmarks: Points) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        align.similarity(landmarks, size=256, margin=1.3)


@pytest.mark.parametrize("transform", [np.zeros((2, 3)), [[1, 1, 0], [1, 1, 0]], [[np.nan, 0, 0], [0, 1, 0]]])
def test_a_transform_without_an_inverse_is_refused(transform: npt.ArrayLike) -> None:
    with pytest.raises(ValueError, match="inverted"):
        align.invert(transform)
    with pytest.raises(ValueError, match="inverted"):
        align.warp(Pixels(np.zeros((4, 4, 3), np.uint8)), transform, size=4)


TRANSFORMS = {
    "inside": align.similarity(placed(ARCFACE_96, 1.4, 12, (170, 80)), size=128, margin=1.3),
    "enlarged": align.similarity(placed(ARCFACE_96, 0.3, -30, (220, 120)), size=256, margin=1.0),
    "over the corner": align.similarity(placed(ARCFACE_96, 1.5, 25, (-40, -60)), size=128, margin=1.3),
    "over the far corner": align.similarity(placed(ARCFACE_96, 1.5, 160, (560, 580)), size=128, margin=1.5),
    "the whole frame": align.similarity(placed(ARCFACE_96, 9, 3, (-250, -300)), size=128, margin=1.3),
}


OPENCVS: dict[align.Border, int] = {
    "black": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
}


@pytest.mark.parametrize("border", OPENCVS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_warp_is_opencvs_within_a_grey_level(astronaut: Image, name: str, border: align.Border) -> None:
    transform = TRANSFORMS[name]
    size = 256 if name == "enlarged" else 128
    crop = align.warp(Pixels(astronaut), transform, size=size, border=border)
    expected = cv2.warpAffine(
        astronaut, transform.astype(np.float64), (size, size), flags=cv2.INTER_LINEAR, borderMode=OPENCVS[border]
    )
    assert crop.shape == (size, size, 3)
    assert np.abs(crop.astype(int) - expected).mean() < 1


def test_a_shift_by_whole_pixels_copies_them(astronaut: Image) -> None:
    crop = align.warp(Pixels(astronaut), [[1, 0, -100], [0, 1, -50]], size=64)
    assert np.array_equal(crop, astronaut[50:114, 100:164])


@pytest.mark.parametrize("far", [20, 63, 64, 1e4, 1e5, 1e9, -20, -1e5, -1e9])
def test_beyond_the_frame_lies_black(far: float) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    crop = align.warp(Pixels(white), np.array([[1, 0, far], [0, 1, 0]], np.float64), size=64)
    inside = np.clip(64 - abs(far), 0, 64)
    assert (crop == 255).all(-1).sum() == inside * 64
    assert (crop == 0).all(-1).sum() == (64 - inside) * 64


@pytest.mark.parametrize("border", ["replicate", "reflect"])
def test_beyond_the_frame_may_lie_more_of_the_picture(border: align.Border) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    crop = align.warp(Pixels(image), [[1, 0, 40], [0, 1, 25]], size=96, border=border)
    expected = cv2.copyMakeBorder(image, 25, 96, 40, 96, OPENCVS[border])[:96, :96]
    assert np.array_equal(crop, expected)
    dot = np.full((1, 1, 3), 7, np.uint8)
    assert (align.warp(Pixels(dot), [[1, 0, 9], [0, 1, -9]], size=8, border=border) == 7).all()


def shoelace(corners: Points) -> float:
    x, y = np.asarray(corners, np.float64).reshape(-1, 2).T
    return float(abs((x * np.roll(y, 1) - y * np.roll(x, 1)).sum()) / 2) if len(x) > 2 else 0.0


@pytest.mark.parametrize("border", OPENCVS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_padding_is_the_share_of_the_crop_outside_the_frame(name: str, border: align.Border) -> None:
    cut = align.plan_cut(TRANSFORMS[name], 512, 512, size=128, border=border)
    frame = np.array([[-0.5, -0.5], [511.5, -0.5], [511.5, 511.5], [-0.5, 511.5]])
    square = np.array([[-0.5, -0.5], [127.5, -0.5], [127.5, 127.5], [-0.5, 127.5]], np.float32)
    _, seen = cv2.intersectConvexConvex(square, align.apply(TRANSFORMS[name], frame).astype(np.float32))
    assert cut.padding == pytest.approx(1 - shoelace(seen) / 128**2, abs=0.004)
    assert (cut.padding == 0) == (name in ("inside", "enlarged"))


def test_padding_counts_whole_pixels_and_ends_at_one() -> None:
    for shift, share in ((0, 0), (16, 0.25), (-16, 0.25), (63, 63 / 64), (64, 1), (1e6, 1)):
        assert align.plan_cut(np.array([[1, 0, shift], [0, 1, 0]], np.float32), 64, 64, size=64).padding == share


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_padded_pixels_are_all_that_the_border_shapes(astronaut: Image, name: str) -> None:
    mask = align.padded(TRANSFORMS[name], 512, 512, size=128)
    crops = [align.warp(Pixels(astronaut | np.uint8(1)), TRANSFORMS[name], size=128, border=border) for border in OPENCVS]
    for crop in crops[1:]:
        assert np.array_equal(crop[~mask], crops[0][~mask])
    assert mask.mean() == pytest.approx(align.plan_cut(TRANSFORMS[name], 512, 512, size=128).padding, abs=0.02)


def test_only_the_part_that_the_crop_shows_counts(astronaut: Image) -> None:
    transform = TRANSFORMS["inside"]
    corners = align.apply(align.invert(transform), [[0, 0], [0, 128], [128, 0], [128, 128]])
    left, top = np.floor(corners.min(0)).astype(int) - 2
    right, bottom = np.ceil(corners.max(0)).astype(int) + 2
    masked = np.zeros_like(astronaut)
    masked[top:bottom, left:right] = astronaut[top:bottom, left:right]
    assert np.array_equal(
        align.warp(Pixels(masked), transform, size=128), align.warp(Pixels(astronaut), transform, size=128)
    )


@pytest.mark.parametrize("name", ["inside", "enlarged"])
def test_no_black_leaks_into_a_crop_inside_the_frame(name: str) -> None:
    assert (align.warp(Pixels(np.full((512, 512, 3), 255, np.uint8)), TRANSFORMS[name], size=128) == 255).all()


def test_a_frame_wider_than_opencvs_limit_is_warped_near_its_far_end() -> None:
    frame = np.zeros((8, 40_000, 3), np.uint8)
    frame[:, 39_000:39_008] = 200
    assert (align.warp(Pixels(frame), [[1, 0, -39_000], [0, 1, 0]], size=8) == 200).all()
    with pytest.raises(ValueError, match="32766"):
        align.warp(Pixels(frame), [[0.0002, 0, 0], [0, 0.0002, 0]], size=8)


def test_a_view_and_its_copy_give_the_same_crop(astronaut: Image) -> None:
    view = astronaut[:, ::-1]
    assert np.array_equal(
        align.warp(Pixels(view), TRANSFORMS["inside"], size=128),
        align.warp(Pixels(view.copy()), TRANSFORMS["inside"], size=128),
    )


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="picture must be"):
        align.warp(Pixels(np.zeros((4, 4), np.uint8)), TRANSFORMS["inside"], size=8)
