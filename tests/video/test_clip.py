"""What the reader says of a clip, and that its pixels are upright and of the right colour."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mmidd.video import Clip, open_video

from .makers import Recipe, plain_decode, read_barcode, vfr_times, write_clip

Matrix = npt.NDArray[np.float64]
X264 = {"preset": "veryfast", "bf": "2"}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe("a.mp4", options=X264, frames=30), Clip(30, 160, 96, 25.0, "h264", 0, 1.0, False)),
        (
            Recipe("b.mp4", options=X264, frames=10, aspect=Fraction(4, 3)),
            Clip(10, 160, 96, 25.0, "h264", 0, 4 / 3, False),
        ),
        (
            Recipe("c.mp4", options=X264, frames=10, aspect=Fraction(4, 3), shown=(90, False, False)),
            Clip(10, 160, 96, 25.0, "h264", 270, 3 / 4, False),
        ),
        (
            Recipe("d.webm", codec="libsvtav1", options={"preset": "12"}, frames=10),
            Clip(10, 160, 96, 25.0, "av1", 0, 1.0, False),
        ),
        (Recipe("e.avi", codec="mpeg4", frames=10), Clip(10, 160, 96, 25.0, "mpeg4", 0, 1.0, True)),
        (Recipe("f.mp4", options=X264, frames=10, audio=True), Clip(10, 160, 96, 25.0, "h264", 0, 1.0, False)),
    ],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_the_clip_is_described(recipe: Recipe, expected: Clip, tmp_path: Path) -> None:
    assert open_video(write_clip(tmp_path, recipe)).clip == expected


@pytest.mark.parametrize("shown", list(itertools.product((0, 90, 180, 270), (False, True), (False, True))), ids=str)
def test_every_display_matrix_is_undone(shown: tuple[int, bool, bool], tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("turned.mp4", options=X264, frames=12, shown=shown))
    degrees, mirror_x, mirror_y = shown
    with plain_decode(path) as frames:
        stored = next(frames).to_ndarray(format="rgb24")
    assert stored.shape[:2] == ((160, 96) if degrees in (90, 270) else (96, 160))
    with open_video(path) as reader:
        assert (reader.clip.width, reader.clip.height) == (160, 96)
        assert reader.clip.mirrored == (mirror_x != mirror_y)
        if not mirror_x and not mirror_y:
            assert reader.clip.rotation == (360 - degrees) % 360
        for frame in reader.frames([0, 5, 11]):
            assert frame.image is not None and frame.image.flags.c_contiguous
            assert frame.image.shape == (96, 160, 3)
            assert read_barcode(frame.image) == frame.index
            assert frame.image[70, :40].mean() == pytest.approx(upright_corner(frame.index), abs=12)


def upright_corner(index: int) -> float:
    """The mean of the moving pattern's left end: it tells left from right, which the barcode's complement cannot."""
    x = (np.arange(40) * 3 + index * 5) % 256
    return float(((x + 6 * 4) % 256).mean())


def test_timestamps_are_the_containers_presentation_times(tmp_path: Path) -> None:
    times = vfr_times(40)
    path = write_clip(tmp_path, Recipe("times.mkv", options=X264, frames=40, times=times))
    with open_video(path) as reader:
        got = [frame.timestamp for frame in reader.frames(range(40))]
    assert got == pytest.approx([time / 25 for time in times], abs=0.0006)


def matrix(kr: float, kb: float) -> Matrix:
    """Y'CbCr in [0,1] and [-1/2,1/2] to R'G'B', from the luma weights (ITU-T H.273, 8.3)."""
    kg = 1 - kr - kb
    return np.array(
        [
            [1, 0, 2 * (1 - kr)],
            [1, -2 * (1 - kb) * kb / kg, -2 * (1 - kr) * kr / kg],
            [1, 2 * (1 - kb), 0],
        ]
    )


BT601, BT709, BT2020 = matrix(0.299, 0.114), matrix(0.2126, 0.0722), matrix(0.2627, 0.0593)
SAMPLES = [(16, 128, 128), (235, 128, 128), (126, 128, 128), (81, 90, 240), (145, 54, 34), (60, 210, 110)]


def expected_rgb(sample: tuple[int, int, int], weights: Matrix, full: bool) -> Matrix:
    y, cb, cr = sample
    offset, luma, chroma = (0, 255, 255) if full else (16, 219, 224)
    scaled = np.array([(y - offset) / luma, (cb - 128) / chroma, (cr - 128) / chroma])
    return np.asarray(np.clip(weights @ scaled * 255, 0, 255), np.float64)


def flat_clip(path: Path, colorspace: int, color_range: int) -> None:
    """Lossless 4:4:4 frames of one colour each, tagged (AVCOL_SPC, AVCOL_RANGE)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, color_range
        for i, sample in enumerate(SAMPLES):
            planes = np.repeat(np.array(sample, np.uint8), 32 * 32).reshape(3, 32, 32)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
            frame.colorspace, frame.color_range, frame.pts = colorspace, color_range, i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("tags", "weights", "full"),
    [
        ((2, 0), BT601, False),
        ((6, 1), BT601, False),
        ((5, 2), BT601, True),
        ((1, 1), BT709, False),
        ((1, 2), BT709, True),
        ((9, 1), BT2020, False),
    ],
    ids=["untagged", "bt601", "bt601 full", "bt709", "bt709 full", "bt2020"],
)
def test_colours_follow_the_tags(tags: tuple[int, int], weights: Matrix, full: bool, tmp_path: Path) -> None:
    flat_clip(tmp_path / "flat.mp4", *tags)
    with open_video(tmp_path / "flat.mp4") as reader:
        for frame, sample in zip(reader.frames(range(len(SAMPLES))), SAMPLES, strict=True):
            assert frame.image is not None
            assert np.ptp(frame.image.reshape(-1, 3), axis=0).max() == 0
            np.testing.assert_allclose(frame.image[0, 0], expected_rgb(sample, weights, full), atol=1.01)


def test_a_real_full_range_bt709_file_keeps_its_luma(media: Path) -> None:
    path = media / "odd" / "bt709_full_range.mp4"
    with plain_decode(path) as frames:
        decoded = next(frames)
        assert (decoded.colorspace, decoded.color_range) == (1, 2)
        luma = np.asarray(decoded.to_ndarray())[: decoded.height].astype(float)
    with open_video(path) as reader:
        image = next(reader.frames([0])).image
    assert image is not None
    inside = ((image > 0) & (image < 255)).all(axis=2)
    assert inside.mean() > 0.3
    difference = (image @ np.array([0.2126, 0.7152, 0.0722]) - luma)[inside]
    assert abs(difference.mean()) < 0.1 and np.abs(difference).max() < 2
