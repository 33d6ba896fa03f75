"""The contract of pictures: a part is the whole's pixels, a small one its area means, whatever the format and turn."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.video.orientation import Orientation
from mmidd.video.picture import Pixels, small_size
from mmidd.video.yuv import Converter, Decoded

from .makers import Image, barcode

TURNS = [Orientation(*flags) for flags in product((False, True), repeat=3)]
FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "yuv420p10le",
    "yuv444p10le",
    "yuva420p",
    "nv12",
    "rgb24",
    "gray",
    "yuv410p",
]
SIZES = [(640, 360), (321, 240), (240, 321), (64, 48), (2, 2), (1, 1)]


def noise(width: int, height: int) -> Image:
    image = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(np.repeat(np.repeat(image, 3, 0), 3, 1)[:height, :width], np.uint8)


def decoded(size: tuple[int, int], name: str, upright: Orientation = Orientation()) -> Decoded:
    frame = av.VideoFrame.from_ndarray(noise(*size), format="rgb24").reformat(format=name)
    assert isinstance(frame, VideoFrame)
    return Decoded(frame, upright, Converter())


def fresh(picture: Decoded) -> Decoded:
    """The same, with nothing converted yet."""
    return Decoded(picture._frame, picture._upright, Converter())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_part_is_what_the_whole_has_there(size: tuple[int, int], name: str) -> None:
    picture = decoded(size, name)
    whole = picture.whole()
    assert whole.shape == (picture.height, picture.width, 3)
    rng = np.random.default_rng(1)
    for _ in range(40):
        left, right = sorted(rng.choice(picture.width + 1, 2, replace=False).tolist())
        top, bottom = sorted(rng.choice(picture.height + 1, 2, replace=False).tolist())
        part = fresh(picture).part(left, top, right, bottom)
        assert np.array_equal(part, whole[top:bottom, left:right]), (left, top, right, bottom)
        assert part.flags.c_contiguous


@pytest.mark.parametrize("upright", TURNS, ids=str)
def test_parts_and_small_pictures_are_turned_like_the_whole(upright: Orientation) -> None:
    picture = decoded((320, 180), "yuv420p", upright)
    assert (picture.width, picture.height) == ((180, 320) if upright.swap_axes else (320, 180))
    whole = picture.whole()
    for left, top, right, bottom in (
        (0, 0, 9, 5),
        (17, 30, 60, 77),
        (picture.width - 3, picture.height - 7, picture.width, picture.height),
    ):
        assert np.array_equal(fresh(picture).part(left, top, right, bottom), whole[top:bottom, left:right])
    small = fresh(picture).small(80)
    assert small.shape[:2] == ((80, 45) if upright.swap_axes else (45, 80))
    assert np.abs(small.astype(int) - Pixels(whole).small(80)).mean() < 8  # turned wrongly: 60


@pytest.mark.parametrize(("size", "side"), [((640, 360), 160), ((321, 240), 160), ((640, 360), 320), ((64, 48), 160)])
def test_a_small_picture_is_the_area_mean_of_the_whole(size: tuple[int, int], side: int) -> None:
    image = np.asarray(np.kron(barcode(341), np.ones((4, 4, 1), np.uint8))[: size[1], : size[0]], np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    picture = Decoded(frame, Orientation(), Converter())
    assert np.abs(picture.small(side).astype(int) - Pixels(image).small(side)).mean() < 3
    assert picture.small(side).shape[1::-1] == small_size(*size, side)


def test_one_converter_serves_frames_of_changing_size() -> None:
    converter = Converter()
    for _ in range(2):
        for size in ((64, 48), (128, 96), (64, 48), (320, 180), (32, 32), (48, 64), (16, 16), (90, 90), (98, 90), (70, 70)):
            frame = av.VideoFrame.from_ndarray(noise(*size), format="rgb24").reformat(format="yuv420p")
            assert np.array_equal(Decoded(frame, Orientation(), converter).whole(), Converter().rgb(frame))


@settings(max_examples=200)
@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 700))
def test_a_small_size_is_never_larger_never_empty_and_as_long_as_asked(width: int, height: int, side: int) -> None:
    small = small_size(width, height, side)
    assert max(small) == min(side, max(width, height))
    assert 1 <= small[0] <= width
    assert 1 <= small[1] <= height


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_image_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="picture must be"):
        Pixels(np.zeros(shape, np.uint8))


def test_real_clips_give_the_same_parts(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "shared/media"
    if not folder.is_dir():
        pytest.skip("real media (../shared/media) is not here")
    rng = np.random.default_rng(2)
    for path in sorted([*folder.glob("videos/*.mp4"), *folder.glob("odd/*")]):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        picture = Decoded(frame, Orientation(), Converter())
        whole = picture.whole()
        for _ in range(5):
            left, top = (int(rng.integers(0, side - 40)) for side in (picture.width, picture.height))
            right, bottom = left + int(rng.integers(1, 40)), top + int(rng.integers(1, 40))
            assert np.array_equal(fresh(picture).part(left, top, right, bottom), whole[top:bottom, left:right]), path.name
