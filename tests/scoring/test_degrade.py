"""Degradations: what they do to an image, how strong, always the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmidd.errors import UsageError
from mmidd.scoring.degrade import KINDS, PIECE, Degradation, Pixels, asked, parsed


def pictures(count: int = 3, height: int = 48, width: int = 64) -> list[Pixels]:
    """A scene with edges and texture that moves a little."""
    found = []
    for frame in range(count):
        small = np.random.default_rng(4).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        found.append(np.roll(np.asarray(picture), 2 * frame, 1))
    return found


def psnr(before: list[Pixels], after: list[Pixels]) -> float:
    error = np.mean([(a.astype(float) - b) ** 2 for a, b in zip(before, after, strict=True)])
    return float(10 * np.log10(255**2 / error))


def done(text: str, frames: list[Pixels]) -> list[Pixels]:
    found = parsed(text)
    return frames if found is None else found.applied(frames, [f"id {number}" for number in range(len(frames))])


LEVELS = {
    "jpeg": (95, 70, 40, 10), "resize": (0.9, 0.6, 0.3, 0.1), "blur": (0.5, 1, 2, 4), "noise": (2, 5, 10, 30),
    "h264": (10, 23, 35, 50),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_each_level_is_further_from_the_image_than_the_one_before(name: str) -> None:
    frames = pictures()
    values = [psnr(frames, done(f"{name}={level}", frames)) for level in LEVELS[name]]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values) and values[0] > 20 > values[-1] - 20


@pytest.mark.parametrize("text", ["none", "resize=1", "blur=0", "noise=0"])
def test_nothing_is_the_identity(text: str) -> None:
    frames = pictures()
    assert all(np.array_equal(a, b) for a, b in zip(frames, done(text, frames), strict=True))
    assert asked([text]) == ()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(48, 64), (33, 21)])
def test_it_is_the_same_each_time_and_of_the_same_shape(name: str, shape: tuple[int, int]) -> None:
    frames = pictures(2, *shape)
    kept = [frame.copy() for frame in frames]
    first, again = (done(f"{name}={KINDS[name].sweep[1]}", frames) for _ in range(2))
    for before, frame, a, b in zip(kept, frames, first, again, strict=True):
        assert a.dtype == np.uint8 and a.shape == frame.shape and np.array_equal(a, b) and np.array_equal(before, frame)


def test_noise_is_of_the_samples_id() -> None:
    frame, noise = np.full((9, 9, 3), 128, np.uint8), Degradation("noise", 10)
    one, same, other = noise.applied([frame] * 3, ["a", "a", "b"])
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    many = noise.applied([np.full((200, 200, 3), 128, np.uint8)], ["a"])[0].astype(float)
    assert many.std() == pytest.approx(10, rel=0.02) and many.mean() == pytest.approx(128, abs=0.2)


def test_jpeg_is_what_pillow_makes_of_that_quality() -> None:
    frame = pictures(1)[0]
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=40, subsampling="4:2:0")
    theirs = np.asarray(Image.open(out)).astype(int)
    assert np.abs(done("jpeg=40", [frame])[0].astype(int) - theirs).mean() < 1.5


def test_h264_looks_at_the_frames_before_and_at_a_change_of_size_begins_anew() -> None:
    frames = pictures(4)
    together, apart = done("h264=30", frames), [done("h264=30", [frame])[0] for frame in frames]
    assert any(not np.array_equal(a, b) for a, b in zip(together, apart, strict=True))
    small = pictures(2, 32, 32)
    mixed = done("h264=30", [*frames, *small])
    expected = [*together, *done("h264=30", small)]
    assert all(np.array_equal(a, b) for a, b in zip(mixed, expected, strict=True))


def test_a_sweep_is_every_level_of_the_stated_grid_once() -> None:
    found = asked(["jpeg=50", "sweep"])
    assert len(found) == sum(len(kind.sweep) for kind in KINDS.values()) and len(set(found)) == len(found)
    assert str(found[0]) == "jpeg=50" and found[0].slug == "jpeg-50" and PIECE > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fog=3", "one of jpeg=LEVEL"),
        ("jpeg", "jpeg is told as quality, 1 to 100, such as jpeg=70"),
        ("jpeg=0", "quality"),
        ("jpeg=40.5", "quality"),
        ("blur=nan", "sigma in pixels"),
        ("resize=2", "factor of the sides"),
        ("h264=52", "constant rate factor"),
        ("noise=-1", "grey levels"),
    ],
)
def test_what_is_no_degradation_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parsed(text)
