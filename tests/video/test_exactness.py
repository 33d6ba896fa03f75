"""The reader returns exactly the frames that a plain sequential decode shows, in every container and codec."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmidd.video import MAX_PIXELS, frame_plan, open_video
from mmidd.video.container import Decoder, open_container, packets, video_stream
from mmidd.video.pyav import display_order
from mmidd.video.yuv import Converter

from .makers import (
    Image,
    Recipe,
    full_decode,
    plain_decode,
    read_barcode,
    rewrite_packets,
    set_edit_list,
    vfr_times,
    write_clip,
)

X264 = {"preset": "veryfast", "bf": "3", "b-pyramid": "normal", "g": "24"}
X265 = {"preset": "fast", "x265-params": "log-level=none:bframes=4:b-pyramid=1:keyint=24:pools=1:frame-threads=1"}
OPEN_GOP = {"x265-params": X265["x265-params"] + ":open-gop=1"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

VARIANTS = [
    Recipe("h264.mp4", options=X264),
    Recipe("h264_audio.mp4", options=X264, audio=True),
    Recipe("h264_fast.mp4", options={"preset": "ultrafast", "tune": "fastdecode"}),
    Recipe("h264_opengop.mp4", options=X264 | {"x264-params": "open-gop=1"}),
    Recipe("h264_longgop.mp4", options=X264 | {"g": "9999"}),
    Recipe("h264_intra.mp4", options=X264 | {"g": "1"}),
    Recipe("h264_refresh.mp4", options=X264 | {"bf": "0", "x264-params": "intra-refresh=1"}),
    Recipe("h264_interlaced.mp4", options=X264 | {"x264-params": "tff=1"}),
    Recipe("h264_444.mp4", options=X264, pix_fmt="yuv444p"),
    Recipe("h264_10bit.mp4", options=X264, pix_fmt="yuv420p10le"),
    Recipe("h264_frag.mp4", options=X264, container=FRAGMENTS),
    Recipe("h264.mov", options=X264),
    Recipe("h264.mkv", options=X264),
    Recipe("h264.ts", options=X264),
    Recipe("h264.flv", options=X264),
    Recipe("h264.avi", options=X264),
    Recipe("h264.h264", options=X264),
    Recipe("h264_vfr.mp4", options=X264, times=vfr_times(90)),
    Recipe("h264_vfr.mkv", options=X264, times=vfr_times(90)),
    Recipe("h264_late.mp4", options=X264, times=tuple(range(200, 290))),
    Recipe("h264_late.ts", options=X264, times=tuple(range(200, 290))),
    Recipe("hevc.mp4", codec="libx265", options=X265),
    Recipe("hevc_opengop.mkv", codec="libx265", options=X265 | OPEN_GOP),
    Recipe("hevc_10bit.mp4", codec="libx265", options=X265, pix_fmt="yuv420p10le"),
    Recipe("hevc.ts", codec="libx265", options=X265),
    Recipe("vp8.webm", codec="libvpx", options={"cpu-used": "8", "deadline": "realtime"}),
    Recipe("vp8_altref.webm", codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "4"}),
    Recipe("vp9.webm", codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
    Recipe("vp9_altref.webm", codec="libvpx-vp9", options={"auto-alt-ref": "1", "lag-in-frames": "25"}),
    Recipe("av1.mp4", codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    Recipe("av1.webm", codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    Recipe("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    Recipe("mjpeg_vfr.avi", codec="mjpeg", pix_fmt="yuvj420p", times=vfr_times(90)),
    Recipe("mpeg4.mp4", codec="mpeg4", options={"bf": "2", "g": "24"}),
    Recipe("mpeg4_bframes.avi", codec="mpeg4", options={"bf": "2", "g": "24"}),
    Recipe("mpeg4.avi", codec="mpeg4", options={"bf": "0"}),
    Recipe("mpeg2.ts", codec="mpeg2video", options={"bf": "2", "g": "12"}),
    Recipe("mpeg2.mpg", codec="mpeg2video", options={"bf": "2", "g": "12"}),
    Recipe("mpeg1.mpg", codec="mpeg1video", options={"bf": "2", "g": "12"}),
    Recipe("wmv2.asf", codec="wmv2"),
    Recipe("flv1.flv", codec="flv"),
    Recipe("ffv1.mkv", codec="ffv1"),
    Recipe("huffyuv.avi", codec="huffyuv", pix_fmt="yuv422p"),
    Recipe("gif.gif", codec="gif", pix_fmt="rgb8"),
    Recipe("hevc_frag.mp4", codec="libx265", options=X265, container=FRAGMENTS),
    Recipe("hevc_vfr.mkv", codec="libx265", options=X265, times=vfr_times(90)),
    Recipe("vp8_vfr.webm", codec="libvpx", options={"cpu-used": "8", "deadline": "realtime"}, times=vfr_times(90)),
    Recipe("vp9_vfr.webm", codec="libvpx-vp9", options={"auto-alt-ref": "1", "lag-in-frames": "25"}, times=vfr_times(90)),
    Recipe("vp9.mp4", codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"}),
    Recipe("av1.mkv", codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}),
    Recipe("mpeg4.mov", codec="mpeg4", options={"bf": "2", "g": "24"}),
    Recipe("mjpeg.mov", codec="mjpeg", pix_fmt="yuvj420p"),
    Recipe("gif_vfr.gif", codec="gif", pix_fmt="rgb8", times=vfr_times(90)),
    Recipe("one_frame.mp4", options=X264, frames=1),
    Recipe("two_frames.ts", options=X264, frames=2),
    Recipe("sar.mp4", options=X264, aspect=Fraction(4, 3)),
]


PLANS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "32 even": lambda count: frame_plan(count, 32, "even"),
    "5 linspace": lambda count: frame_plan(count, 5, "linspace"),
    "8 consecutive": lambda count: frame_plan(count, 8, "consecutive"),
    "odd ones": lambda count: tuple(range(1, count, 2)),
    "the last": lambda count: (count - 1,),
    "all": lambda count: tuple(range(count)),
}


def assert_exact(path: Path, expected: list[int], plans: Iterable[Callable[[int], tuple[int, ...]]]) -> None:
    """A plain decode shows the barcodes `expected`, and every plan's frames are bit for bit those of that decode."""
    reference = full_decode(path)
    assert [read_barcode(frame.image) for frame in reference] == expected
    with open_video(path) as reader:
        assert reader.clip.frame_count == len(expected)
        for plan in plans:
            wanted = plan(len(expected))
            frames = list(reader.frames(wanted))
            assert [frame.index for frame in frames] == list(wanted)
            for frame in frames:
                assert frame.image is not None, frame.lost
                assert read_barcode(frame.image) == expected[frame.index]
                assert frame.timestamp == reference[frame.index].timestamp
                np.testing.assert_array_equal(frame.image, reference[frame.index].image)


@pytest.mark.parametrize("recipe", VARIANTS, ids=lambda recipe: recipe.name)
def test_every_plan_equals_a_full_decode(recipe: Recipe, tmp_path: Path) -> None:
    assert_exact(write_clip(tmp_path, recipe), list(range(recipe.frames)), PLANS.values())


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mov"])
@pytest.mark.parametrize("options", [X264, X264 | {"g": "9999"}], ids=["short gop", "long gop"])
def test_an_edit_list_hides_frames_from_the_count(name: str, options: dict[str, str], tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe(name, options=options))
    set_edit_list(path, skip=33, keep=40)
    expected = [read_barcode(frame.image) for frame in full_decode(path)]
    assert expected[0] == 33 and 40 <= len(expected) < 57
    assert_exact(path, expected, PLANS.values())


def test_vp8_pictures_that_are_never_shown_are_not_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("hidden.webm", codec="libvpx", options={"cpu-used": "8"}))
    hidden = {7, 40, 41}
    rewrite_packets(path, lambda i, data: bytes([data[0] & 0xEF]) + data[1:] if i in hidden else data)
    assert_exact(path, [i for i in range(90) if i not in hidden], PLANS.values())


@pytest.mark.parametrize("name", ["h264.avi", "mpeg4_bframes.avi", "h264.h264"])
def test_containers_without_presentation_times_are_counted_by_decoding(name: str, tmp_path: Path) -> None:
    recipe = next(recipe for recipe in VARIANTS if recipe.name == name)
    with open_video(write_clip(tmp_path, recipe)) as reader:
        assert reader.clip.recounted


def test_a_wrong_frame_count_in_the_header_is_harmless(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("lying.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=20))
    data = bytearray(path.read_bytes())
    at = data.index(b"avih") + 8 + 16
    assert struct.unpack("<I", data[at : at + 4]) == (20,)
    data[at : at + 4] = struct.pack("<I", 999)
    at = data.index(b"strh") + 8 + 32
    data[at : at + 4] = struct.pack("<I", 999)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 999
    assert_exact(path, list(range(20)), PLANS.values())


@pytest.mark.parametrize("length", [1, 10**6], ids=["short", "long"])
@pytest.mark.parametrize("name", ["lying.mp4", "lying.mkv"])
def test_a_wrong_duration_in_the_header_is_harmless(name: str, length: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe(name, options=X264))
    data = bytearray(path.read_bytes())
    if name.endswith("mkv"):
        at = data.index(b"\x44\x89\x88") + 3  # the segment's Duration, 8 bytes of floating point
        data[at : at + 8] = struct.pack(">d", length)
    else:
        for box, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):  # version 0 boxes
            at = data.index(box) + 4
            data[at + offset : at + offset + 4] = struct.pack(">I", length)
    path.write_bytes(data)
    assert_exact(path, list(range(90)), PLANS.values())


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], ()),
        ([0, 3, 1, 2], (0, 1, 2, 3)),
        ([-2, -1, 7], (-2, -1, 7)),
        ([0, 1, None, 3], None),
        ([0, 1, 1, 2], None),
        ([*range(100, 200), *range(100)], None),
        ([64, *range(64)], tuple(range(65))),
    ],
    ids=["none", "reordered", "negative", "missing", "repeated", "jumping back", "far but possible"],
)
def test_timestamps_number_the_frames_only_where_they_can(times: list[int | None], expected: tuple[int, ...] | None) -> None:
    assert display_order(times) == expected


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("h264.mp4", options=X264),
        Recipe("hevc.mp4", codec="libx265", options=X265),
        Recipe("mpeg2.ts", codec="mpeg2video", options={"bf": "2"}),
    ],
    ids=lambda recipe: recipe.name,
)
def test_pictures_that_nobody_needs_are_not_decoded(recipe: Recipe, tmp_path: Path) -> None:
    path = write_clip(tmp_path, recipe)
    with open_container(path, MAX_PIXELS) as container:
        stream = video_stream(container, MAX_PIXELS)
        decoder = Decoder(stream, MAX_PIXELS)
        decoded = sum(len(decoder.frames(packet, needed=False)) for packet in packets(container, stream))
    assert 0 < decoded < 75


def test_requested_indices_come_once_each_and_ascending(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("order.mp4", options=X264))
    with open_video(path) as reader:
        assert [frame.index for frame in reader.frames([40, 3, 3, 80, 0])] == [0, 3, 40, 80]
        assert list(reader.frames([])) == []


@pytest.mark.parametrize("index", [-1, 90])
def test_an_index_outside_the_clip_is_refused(index: int, tmp_path: Path) -> None:
    with (
        open_video(write_clip(tmp_path, Recipe("range.mp4", options=X264))) as reader,
        pytest.raises(ValueError, match="of a clip of 90"),
    ):
        reader.frames([3, index])


@pytest.mark.parametrize("folder", ["videos", "odd"])
def test_sampled_frames_of_real_media_equal_a_full_decode(folder: str, media: Path) -> None:
    for path in sorted((media / folder).iterdir()):
        with open_video(path) as reader:
            plan = frame_plan(reader.clip.frame_count, 32, "even")
            got = {frame.index: digest(frame.image) for frame in reader.frames(plan) if frame.image is not None}
            with plain_decode(path) as frames:
                shown = 0
                for index, frame in enumerate(frames):
                    shown += 1
                    if index in plan:
                        assert got.pop(index) == digest(Converter().rgb(frame)), (path.name, index)
            assert (reader.clip.frame_count, got) == (shown, {}), path.name


def digest(image: Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
