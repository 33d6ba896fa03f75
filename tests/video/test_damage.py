"""Hostile and damaged videos: a clear error or a lost frame, never a crash, a hang, or a word on the terminal."""

from __future__ import annotations

import resource
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmidd.errors import EmptyMedia, MediaError, TooLargeMedia, UnreadableMedia
from mmidd.video import Clip, CountMismatch, Frame, frame_plan, open_video, pyav
from mmidd.video.container import FORMATS

from .makers import (
    Recipe,
    elementary_stream,
    encode_audio,
    flip_bytes,
    growing_clip,
    quiet_encoders,
    read_barcode,
    rewrite_packets,
    write_clip,
)

X264 = {"preset": "veryfast", "bf": "3", "g": "24"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=24"}


def read_as_the_stages_do(path: Path, count: int = 32) -> tuple[Clip, list[Frame]]:
    """Try, and where the count did not hold, count again and replan."""
    try:
        with open_video(path) as reader:
            return reader.clip, list(reader.frames(frame_plan(reader.clip.frame_count, count, "even")))
    except CountMismatch:
        with open_video(path, recount=True) as reader:
            assert reader.clip.recounted
            return reader.clip, list(reader.frames(frame_plan(reader.clip.frame_count, count, "even")))


def write_text(path: Path) -> None:
    path.write_text("this is no video\n" * 200)


def write_playlist(path: Path) -> None:
    write_clip(path.parent, Recipe("other.mp4", options=X264, frames=5))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp4\n#EXT-X-ENDLIST\n")


def write_concat_script(path: Path) -> None:
    write_clip(path.parent, Recipe("other.mp4", options=X264, frames=5))
    path.write_text("ffconcat version 1.0\nfile 'other.mp4'\n")


def write_lost_index(path: Path) -> None:
    write_clip(path.parent, Recipe(path.name, options=X264, frames=30))
    path.write_bytes(path.read_bytes()[:-2000])


def write_png(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(path, format="PNG")


def write_scrambled(path: Path) -> None:
    write_clip(path.parent, Recipe(path.name, options=X264, frames=30, container={"movflags": "faststart"}))
    flip_bytes(path, start=0.4, stop=1.0, every=1, by=0xFF)
    data = path.read_bytes()
    at = data.index(b"mdat") + 4
    path.write_bytes(data[:at] + bytes(len(data) - at))


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda path: path.write_bytes(b""), EmptyMedia),
        (write_text, UnreadableMedia),
        (write_playlist, UnreadableMedia),
        (write_concat_script, UnreadableMedia),
        (write_lost_index, UnreadableMedia),
        (write_png, UnreadableMedia),
        (encode_audio, UnreadableMedia),
        (write_scrambled, UnreadableMedia),
    ],
    ids=["zero", "text", "playlist", "concat script", "lost index", "png", "audio only", "no packet decodes"],
)
@pytest.mark.parametrize("recount", [False, True])
def test_what_is_no_video_is_a_media_error_without_a_path(
    write: Callable[[Path], object], error: type[MediaError], recount: bool, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    write(path)
    with pytest.raises(error) as caught:
        open_video(path, recount=recount)
    message = str(caught.value)
    assert message and "/" not in message and "\n" not in message and "clip" not in message


def test_a_missing_file_is_the_file_systems_fault_not_the_mediums(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_video(tmp_path / "gone.mp4")


def test_a_name_that_looks_like_a_protocol_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path, Recipe("clip.mp4", options=X264, frames=5))
    path.rename(tmp_path / "concat:a.mp4|b.mp4")
    monkeypatch.chdir(tmp_path)
    assert open_video(Path("concat:a.mp4|b.mp4")).clip.frame_count == 5


def test_no_format_that_opens_other_files_is_allowed() -> None:
    scripts = {
        "hls",
        "dash",
        "concat",
        "image2",
        "sdp",
        "rtsp",
        "imf",
        "lavfi",
        "webm_dash_manifest",
        "tty",
        "vapoursynth",
    }
    assert scripts.isdisjoint(FORMATS)


@pytest.mark.parametrize("name", ["size.mp4", "size.mkv", "size.ts"])
def test_a_video_beyond_the_pixel_limit_is_refused_before_decoding(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe(name, options=X264, frames=5))
    with pytest.raises(TooLargeMedia, match="160x96"):
        open_video(path, max_pixels=160 * 96 - 1)
    assert open_video(path, max_pixels=160 * 96).clip.frame_count == 5


@pytest.mark.parametrize("later", [(320, 192), (4096, 2304)], ids=["a little", "far"])
def test_frames_that_grow_beyond_the_limit_are_lost_and_named(later: tuple[int, int], tmp_path: Path) -> None:
    path = growing_clip(tmp_path / "growing.mkv", ((160, 96), later, (160, 96)), frames=6)
    with open_video(path, max_pixels=200 * 120) as reader:
        frames = list(reader.frames(range(reader.clip.frame_count)))
    assert [frame.lost for frame in frames] == [None] * 6 + ["too_large_frame"] * 6 + [None] * 6
    assert all((frame.image is None) == (frame.lost is not None) for frame in frames)


def test_frames_that_change_their_size_within_the_limit_keep_it(tmp_path: Path) -> None:
    path = growing_clip(tmp_path / "growing.mkv", ((160, 96), (320, 192)), frames=6)
    with open_video(path) as reader:
        assert (reader.clip.width, reader.clip.height) == (160, 96)
        shapes = [frame.image.shape for frame in reader.frames(range(12)) if frame.image is not None]
    assert shapes == [(96, 160, 3)] * 6 + [(192, 320, 3)] * 6


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libvpx", {"cpu-used": "8"}), ("libvpx-vp9", {"cpu-used": "8"}), ("mjpeg", {})],
)
def test_every_codec_may_change_its_size_in_mid_stream(codec: str, options: dict[str, str], tmp_path: Path) -> None:
    path = joined(tmp_path, codec, options, ((160, 96), (320, 192), (96, 160)))
    with open_video(path) as reader:
        frames = list(reader.frames(range(reader.clip.frame_count)))
    assert [frame.lost for frame in frames] == [None] * 18
    sizes = [frame.picture and (frame.picture.width, frame.picture.height) for frame in frames]
    assert sizes == [(160, 96)] * 6 + [(320, 192)] * 6 + [(96, 160)] * 6
    for frame in frames:
        assert frame.image is not None
        assert frame.image[40:60, 40:60].mean() == pytest.approx(frame.index % 6 * 40, abs=6)


def joined(folder: Path, codec: str, options: dict[str, str], sizes: tuple[tuple[int, int], ...]) -> Path:
    """One mkv stream out of clips of several sizes, six grey frames each."""
    path = folder / "joined.mkv"
    with av.open(str(path), "w") as container:
        first = None
        for part, (width, height) in enumerate(sizes):
            piece = folder / f"{part}.mkv"
            with quiet_encoders(), av.open(str(piece), "w") as one:
                stream = one.add_stream(codec, rate=25, options=options)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                for number in range(6):
                    grey = np.full((height, width, 3), number * 40, np.uint8)
                    one.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
                one.mux(stream.encode(None))
            with av.open(str(piece)) as one:
                to = first = first or container.add_stream_from_template(one.streams.video[0])
                for packet in one.demux():
                    if packet.size:
                        assert packet.pts is not None and packet.dts is not None
                        copy = av.Packet(bytes(packet))
                        copy.pts = packet.pts + part * 240
                        copy.dts = packet.dts + part * 240
                        copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, to
                        container.mux(copy)
    return path


def test_a_packet_that_cannot_be_decoded_costs_its_frame_and_shifts_no_number(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("hole.mp4", options=X264))
    flip_bytes(path, start=0.5, stop=0.55, every=1)
    with open_video(path) as reader:
        assert reader.clip.frame_count == 90 and not reader.clip.recounted
        frames = list(reader.frames(range(90)))
    assert {frame.lost for frame in frames} == {None, "undecodable_frame", "corrupt_frame"}
    good = [frame for frame in frames if frame.image is not None]
    assert len(good) >= 60 and all(shows(frame, frame.index) for frame in good)


def test_a_count_that_does_not_hold_is_told_before_a_wrong_frame_is_given(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("empty.mkv", codec="mpeg2video", options={"bf": "2", "g": "24"}))
    no_picture = b"\0\0\1\xb2just user data"
    rewrite_packets(path, lambda place, data: no_picture if place == 40 else data)
    with open_video(path) as reader:
        assert reader.clip.frame_count == 90 and not reader.clip.recounted
        got: list[int] = []
        with pytest.raises(CountMismatch):
            got.extend(frame.index for frame in reader.frames(range(90)))
    assert got == list(range(len(got))) and 36 <= len(got) <= 44
    with open_video(path, recount=True) as reader:
        assert reader.clip.recounted and reader.clip.frame_count == 89
        assert [frame.index for frame in reader.frames(range(89))] == list(range(89))


def shows(frame: Frame, number: int) -> bool:
    try:
        return frame.image is not None and read_barcode(frame.image) == number
    except AssertionError:
        return False


DAMAGE = [
    Recipe("d.mp4", options=X264),
    Recipe("d.mkv", options=X264),
    Recipe("d.ts", options=X264),
    Recipe("d.flv", options=X264),
    Recipe("hevc.mp4", codec="libx265", options={"x265-params": "log-level=none:pools=1:frame-threads=1"}),
    Recipe("vp9.webm", codec="libvpx-vp9", options={"cpu-used": "8"}),
    Recipe("vp8.webm", codec="libvpx", options={"cpu-used": "8"}),
    Recipe("av1.mp4", codec="libsvtav1", options={"preset": "12"}),
    Recipe("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    Recipe("mpeg4.avi", codec="mpeg4", options={"bf": "2"}),
    Recipe("gif.gif", codec="gif", pix_fmt="rgb8"),
]


@pytest.mark.parametrize("recipe", DAMAGE, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("kind", ["bits", "hole", "cut", "headless"])
def test_every_planned_frame_of_a_damaged_video_is_accounted_for(kind: str, recipe: Recipe, tmp_path: Path) -> None:
    path = write_clip(tmp_path, recipe)
    data = path.read_bytes()
    match kind:
        case "bits":
            flip_bytes(path, start=0.2, stop=0.8, every=211, by=0x10)
        case "hole":
            flip_bytes(path, start=0.5, stop=0.55, every=1)
        case "cut":
            path.write_bytes(data[: len(data) * 3 // 5])
        case "headless":
            path.write_bytes(data[len(data) // 3 :])
    try:
        clip, frames = read_as_the_stages_do(path)
    except MediaError:
        assert kind != "bits"
        return
    assert [frame.index for frame in frames] == list(frame_plan(clip.frame_count, 32, "even"))
    assert all((frame.image is None) == (frame.lost is not None) for frame in frames)
    assert clip, frames
    again = read_as_the_stages_do(path)
    assert again[0] == clip
    assert [pixels(frame) for frame in again[1]] == [pixels(frame) for frame in frames]


@pytest.mark.parametrize("name", ["cut.mkv", "cut.webm", "cut.avi"])
def test_a_file_that_is_shorter_than_its_header_says_tells_by_how_much(name: str, tmp_path: Path) -> None:
    codec = "libvpx" if name.endswith("webm") else "mpeg4"
    path = write_clip(tmp_path, Recipe(name, codec=codec))
    with open_video(path) as reader:
        whole = reader.clip
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    with open_video(path) as reader, path.open("rb") as file, open_video(file) as same:
        cut = reader.clip
        assert same.clip == cut
    assert (whole.frame_count, whole.missing_bytes) == (90, 0)
    assert 20 < cut.frame_count < 90
    assert cut.missing_bytes == len(data) - len(data) * 3 // 5


def test_real_media_miss_no_byte(media: Path) -> None:
    for path in (media / "odd").iterdir():
        with open_video(path) as reader:
            assert (reader.clip.missing_bytes, reader.clip.cut_off) == (0, 0), path.name


def pixels(frame: Frame) -> tuple[int, str | None, bytes]:
    return frame.index, frame.lost, b"" if frame.image is None else frame.image.tobytes()


@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "hevc.mp4", "hevc.mkv"])
def test_packets_kept_from_the_survey_decode_as_those_that_are_read_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, options = ("libx265", X265) if name.startswith("hevc") else ("libx264", X264)
    sound = write_clip(tmp_path, Recipe(name, codec=codec, options=options)).read_bytes()
    random = np.random.default_rng(len(name))
    path = tmp_path / f"harmed.{name.rpartition('.')[2]}"
    told = []
    for trial in range(12):
        data = bytearray(sound)
        for at in random.integers(len(data) // 20, len(data), trial):
            data[at] ^= int(random.integers(1, 256))
        path.write_bytes(data[: len(data) - int(random.integers(0, 2)) * 4000])
        found: list[Any] = []
        for most in (0, 2**25):
            monkeypatch.setattr(pyav, "MOST_KEPT", most)
            try:
                clip, frames = read_as_the_stages_do(path)
                found.append((clip, [pixels(frame) for frame in frames]))
            except MediaError as error:
                found.append(str(error))
        assert found[0] == found[1]
        told.append(found[0])
    assert sum(isinstance(each, tuple) for each in told) >= 6


def test_frames_before_the_first_clean_entry_point_are_lost_as_corrupt(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("tail.ts", options=X264))
    data = path.read_bytes()
    path.write_bytes(data[len(data) * 2 // 5 // 188 * 188 :])
    with open_video(path) as reader:
        frames = list(reader.frames(range(reader.clip.frame_count)))
    lost = [frame.lost for frame in frames]
    clean = lost.index(None)
    assert clean > 0
    assert lost == ["corrupt_frame"] * clean + [None] * (len(lost) - clean)
    shown = [read_barcode(frame.image) for frame in frames if frame.image is not None]
    assert shown == list(range(48, 90))


def test_two_recordings_joined_in_one_file_are_counted_by_decoding(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("joined.ts", options=X264, frames=40))
    path.write_bytes(path.read_bytes() * 2)
    clip, frames = read_as_the_stages_do(path, count=80)
    assert clip.recounted
    shown = [frame.index if frame.image is None else read_barcode(frame.image) for frame in frames]
    assert [number % 40 for number in shown] == [*range(40), *range(40)]
    lost = [frame.index for frame in frames if frame.lost]
    assert len(lost) <= 2 and set(lost) <= {*range(34, 40)}, "the last packet before the joint looks cut"


def test_bad_packets_are_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("hole.mp4", options=X264))
    flip_bytes(path, start=0.5, stop=0.55, every=1)
    with open_video(path, recount=True) as reader:
        list(reader.frames([reader.clip.frame_count - 1]))
        assert reader.bad_packets > 0


def test_the_reader_holds_no_frame_that_it_has_given_away(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("one.mp4", options=X264))
    with open_video(path) as reader:
        for frame in reader.frames(range(10)):
            alive = weakref.ref(frame.image)
            del frame
            assert alive() is None


SILENT = """
import sys
from pathlib import Path
from typing import Any
from mmidd.video import CountMismatch, open_video
for recount in (False, True):
    try:
        with open_video(Path(sys.argv[1]), recount=recount) as reader:
            frames = list(reader.frames(range(reader.clip.frame_count)))
    except CountMismatch:
        pass
"""


def test_damage_puts_nothing_on_the_terminal(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("noisy.mp4", options=X264))
    flip_bytes(path, start=0.3, stop=0.6, every=13)
    done = subprocess.run([sys.executable, "-c", SILENT, str(path)], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_memory_stays_flat_over_a_long_clip(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    path.write_bytes(elementary_stream((1280, 720), 24))
    with av.open(str(path), format="h264") as raw, av.open(str(tmp_path / "long.mkv"), "w") as container:
        stream = container.add_stream_from_template(raw.streams.video[0])
        rate = raw.streams.video[0].average_rate
        assert rate is not None
        packets = [bytes(packet) for packet in raw.demux() if packet.size]
        for i, data in enumerate(packets * 6):
            packet = av.Packet(data)
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = (
                1 / rate,
                stream,
                i % 24 == 0,
            )
            container.mux(packet)
    with open_video(tmp_path / "long.mkv") as reader:
        peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss for _ in reader.frames(range(144))]
    rgb_kib = 1280 * 720 * 3 / 1024
    assert peaks[-1] - peaks[10] < 10 * rgb_kib
