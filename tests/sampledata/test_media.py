from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmidd.sampledata import fakes, media, people, scenes, shots

Pixels = npt.NDArray[np.uint8]


def _ramp(frames: int = 9, height: int = 64, width: int = 96) -> list[Pixels]:
    """Smooth frames, each brighter than the one before, the left half darker than the right."""
    base = np.linspace(0, 120, width)[None, :, None] * np.ones((height, 1, 3))
    return [(base + 12 * index).astype(np.uint8) for index in range(frames)]


def _read(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("fps", [24, 25, 30])
def test_a_video_keeps_frames_rate_and_pixels(tmp_path: Path, fps: int) -> None:
    frames = _ramp()
    media.write_video(tmp_path / "a.mp4", frames, fps=fps)
    back = _read(tmp_path / "a.mp4")
    assert len(back) == len(frames)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == fps
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    for frame, pixels in zip(back, frames, strict=True):
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - pixels).mean() < 4


def test_given_times_make_a_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 20, 50, 70, 120, 150, 170, 220, 240]
    media.write_video(tmp_path / "a.mp4", _ramp(), fps=25, times=times)
    assert [round(frame.time * media.TICKS) for frame in _read(tmp_path / "a.mp4")] == times


def test_rotation_is_metadata_that_brings_the_frames_upright(tmp_path: Path) -> None:
    upright = _ramp(3)
    lying = [np.ascontiguousarray(np.rot90(frame, -1)) for frame in upright]
    media.write_video(tmp_path / "a.mp4", lying, fps=25, rotation=90)
    frame = _read(tmp_path / "a.mp4")[0]
    assert (frame.width, frame.height) == (64, 96)
    assert frame.rotation == 90
    turned = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    assert np.abs(turned.astype(int) - upright[0]).mean() < 4


def test_the_same_frames_give_the_same_bytes_whatever_lies_in_memory(tmp_path: Path) -> None:
    shot = shots.clip(people.PEOPLE[0], "ff0", tiny=True)
    acting = fakes.act(people.portrait_of(shot.person), fakes.talk(shot.seed))
    frames = list(scenes.film_clip(shot.scene, acting))
    kept: list[bytes] = []
    seen = set()
    for turn in range(14):
        media.write_video(tmp_path / "a.mp4", frames, fps=25)
        seen.add((tmp_path / "a.mp4").read_bytes())
        # The next encoder is to find its memory elsewhere, and used.
        kept.append(np.random.default_rng(turn).bytes(300_001 * (turn + 1)))
        if turn % 3 == 0:
            kept = kept[2:]
    assert len(seen) == 1


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("a.png", "PNG")])
def test_images_are_what_their_suffix_says(tmp_path: Path, name: str, kind: str) -> None:
    pixels = _ramp(1)[0]
    media.write_image(tmp_path / name, pixels)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 3
