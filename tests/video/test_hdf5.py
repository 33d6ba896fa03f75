"""Clips in HDF5 files: every layout reads to the same pixels; what is hostile or damaged is refused or lost, with words."""

from __future__ import annotations

import io
import os
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmidd.errors import EmptyMedia, MediaError, MissingExtra, TooLargeMedia, UnreadableMedia
from mmidd.media import Inside
from mmidd.video import open_hdf5
from mmidd.video.picture import Image

COLOR = Inside("Color_Data", "nchw")
EACH = Inside("Frame_*/array", "chw")
FRAMES: Image = np.random.default_rng(0).integers(0, 256, (7, 30, 40, 3), dtype=np.uint8)
FIRST = np.moveaxis(FRAMES, 3, 1)  # as 3DMAD and Bob have it: frames, colours, rows, columns


def written(path: Path, fill: Callable[[Any], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def _each(file: Any, **more: Any) -> None:
    for number, frame in enumerate(FIRST):
        file.create_dataset(f"Frame_{number * 3}/array", data=frame, **more)
        file[f"FrameIndexes/{number}"] = f"Frame_{number * 3}"


CHUNKED = {"chunks": (2, 3, 16, 17), "compression": "gzip"}
LAYOUTS: dict[str, tuple[Inside, Callable[[Any], object]]] = {
    "contiguous": (COLOR, lambda file: file.create_dataset("Color_Data", data=FIRST)),
    "chunked": (COLOR, lambda file: file.create_dataset("Color_Data", data=FIRST, chunks=(3, 2, 13, 40))),
    "deflated": (COLOR, lambda file: file.create_dataset("Color_Data", data=FIRST, **CHUNKED)),
    "shuffled": (COLOR, lambda file: file.create_dataset("Color_Data", data=FIRST, shuffle=True, **CHUNKED)),
    "one chunk": (COLOR, lambda file: file.create_dataset("Color_Data", data=FIRST, chunks=FIRST.shape, compression=9)),
    "colours last": (Inside("a/b", "nhwc"), lambda file: file.create_dataset("a/b", data=FRAMES)),
    "a frame each": (EACH, _each),
    "a frame each, deflated": (EACH, lambda file: _each(file, chunks=(3, 16, 16), compression="gzip")),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("opened", [False, True], ids=["path", "open file"])
def test_every_layout_gives_the_pixels_that_were_written(name: str, opened: bool, tmp_path: Path) -> None:
    inside, fill = LAYOUTS[name]
    path = written(tmp_path / "clip.hdf5", fill)
    step = 3 if "*" in inside.path else 1
    with open_hdf5(io.BytesIO(path.read_bytes()) if opened else path, inside) as arrays:
        assert list(arrays.numbers) == [number * step for number in range(7)]
        for number in (5, 0, 6, 1):
            frame = arrays.frame(number * step)
            assert (frame.index, frame.timestamp, frame.lost) == (number * step, None, None)
            assert frame.image is not None and np.array_equal(frame.image, FRAMES[number])


def _external_storage(file: Any) -> None:
    file.create_dataset("Color_Data", FIRST.shape, "u1", external=[("/etc/passwd", 0, FIRST.size)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(FIRST.shape, "u1")
    layout[:] = h5py.VirtualSource("other.hdf5", "Color_Data", shape=FIRST.shape)
    file.create_virtual_dataset("Color_Data", layout)


def _many_virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(FIRST.shape, "u1", maxshape=(None, *FIRST.shape[1:]))
    unlimited = (h5py.h5s.UNLIMITED,)
    source = h5py.VirtualSource("other.hdf5", "Color_Data", FIRST.shape, "u1", (None, *FIRST.shape[1:]))
    layout[: unlimited[0], :, :, :] = source[: unlimited[0], :, :, :]
    file.create_virtual_dataset("Color_Data", layout)


def _set(name: str, value: Any) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        file.create_dataset("real", data=FIRST)
        file[name] = value

    return fill


def _loop(file: Any) -> None:
    file.create_group("Frame_1")["array"] = file["/"]


def _twice(file: Any) -> None:
    for name in ("Frame_1", "Frame_01"):
        file.create_dataset(f"{name}/array", data=FIRST[0])


def _array(**about: Any) -> Callable[[Any], object]:
    return lambda file: file.create_dataset("Color_Data", **about)


def _one_chunk(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Callable[[Any], None]:
    def fill(file: Any) -> None:
        array = file.create_dataset("Color_Data", shape, "u1", chunks=chunks, compression="gzip")
        array.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(b"x"))

    return fill


CRUMBS = np.ones((1, 3, 64, 48), np.uint8)
HUGE = (2**20, 3, 2**20, 2**20)
REFUSED: list[tuple[str, Inside, Callable[[Any], object], type[MediaError], str]] = [
    ("external link", COLOR, _set("Color_Data", h5py.ExternalLink("other.hdf5", "/")), UnreadableMedia, "is a link"),
    ("link above", Inside("a/Color_Data", "nchw"), _set("a", h5py.ExternalLink("b", "/")), UnreadableMedia, "is a link"),
    ("soft link", COLOR, _set("Color_Data", h5py.SoftLink("/real")), UnreadableMedia, "is a link"),
    ("soft loop", COLOR, _set("Color_Data", h5py.SoftLink("/Color_Data")), UnreadableMedia, "is a link"),
    ("linked frames", EACH, _set("Frame_1", h5py.ExternalLink("b", "/")), UnreadableMedia, "is a link"),
    ("external storage", COLOR, _external_storage, UnreadableMedia, "in other files"),
    ("virtual", COLOR, _virtual, UnreadableMedia, "in other files"),
    ("virtual, of any number", COLOR, _many_virtual, UnreadableMedia, "in other files"),
    ("circle of groups", EACH, _loop, UnreadableMedia, "no data set"),
    ("a group", COLOR, lambda file: file.create_group("Color_Data"), UnreadableMedia, "no data set"),
    ("not there", COLOR, lambda file: file.create_group("Depth_Data"), UnreadableMedia, "has no 'Color_Data'"),
    ("no frame each", EACH, lambda file: file.create_group("Frame_x"), EmptyMedia, "nothing named"),
    ("one number twice", EACH, _twice, UnreadableMedia, "two frames of number 1"),
    ("no frames", COLOR, _array(shape=(0, 3, 8, 8), dtype="u1"), EmptyMedia, "no frame"),
    ("declared alone", COLOR, _array(shape=(9, 3, 8, 8), dtype="u1"), UnreadableMedia, "does not hold"),
    ("huge", COLOR, _array(shape=HUGE, dtype="u1", chunks=(1, 3, 8, 8)), TooLargeMedia, "beyond the limit"),
    ("endless", COLOR, _array(shape=(2**60, 3, 8, 8), dtype="u1", chunks=(1, 3, 8, 8)), UnreadableMedia, "does not hold"),
    ("huge chunks", COLOR, _one_chunk((2**18, 3, 64, 64), (2**18, 3, 64, 64)), TooLargeMedia, "chunks"),
    ("crumbs", COLOR, _one_chunk((1, 3, 200, 200), (1, 1, 1, 1)), TooLargeMedia, "chunks"),
    ("a list too long to search", COLOR, _array(data=CRUMBS, chunks=(1,) * 4), TooLargeMedia, "9216 of 9216"),
    ("lzf", COLOR, _array(data=FIRST, compression="lzf"), UnreadableMedia, "a filter that is not known here"),
    ("checksums", COLOR, _array(data=FIRST, fletcher32=True), UnreadableMedia, "a filter that is not known here"),
    ("four channels", COLOR, _array(data=np.zeros((2, 4, 8, 8), np.uint8)), UnreadableMedia, "4 channels"),
    ("colours elsewhere", COLOR, _array(data=FRAMES), UnreadableMedia, "30 channels"),
    ("floats", COLOR, _array(data=FIRST.astype("f4")), UnreadableMedia, "float32, not uint8"),
    ("text", COLOR, _array(data=["a"]), UnreadableMedia, "object, not uint8"),
    ("nothing", COLOR, _array(data=h5py.Empty("u1")), UnreadableMedia, "0 axes"),
    ("three axes", COLOR, _array(data=FIRST[0]), UnreadableMedia, "3 axes, not 4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("inside", "fill", "kind", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_hostile_or_strange_is_refused_with_words(
    inside: Inside, fill: Callable[[Any], object], kind: type[MediaError], words: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "clip.hdf5", fill)
    with pytest.raises(kind, match=words) as caught, open_hdf5(path, inside):
        pass
    assert type(caught.value) is kind and "passwd" not in str(caught.value)


@pytest.mark.parametrize("name", ["external link", "virtual", "virtual, of any number", "link above"])
def test_no_other_file_is_opened(name: str, tmp_path: Path) -> None:
    """The other file is a pipe: to open it would wait until somebody writes."""
    (case,) = [case for case in REFUSED if case[0] == name]
    path = written(tmp_path / "clip.hdf5", case[2])
    for other in ("other.hdf5", "b"):
        os.mkfifo(tmp_path / other)

    def read() -> None:
        with pytest.raises(UnreadableMedia), open_hdf5(path, case[1]):
            pass

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(20)
    assert not reading.is_alive()


def test_a_file_that_is_none_or_was_cut_off_is_unreadable(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.hdf5", LAYOUTS["contiguous"][1]).read_bytes()
    for name, data in {"text": b"a web page", "empty": b"", "cut": whole[:-100], "head": whole[:64]}.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnreadableMedia, match="no HDF5 file, or one that was cut off"), open_hdf5(path, COLOR):
            pass


def test_a_file_behind_a_user_block_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "clip.hdf5", "w", userblock_size=512) as file:
        file["Color_Data"] = FIRST
    with pytest.raises(UnreadableMedia, match="user block"), open_hdf5(tmp_path / "clip.hdf5", COLOR):
        pass


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "clip.hdf5", LAYOUTS["contiguous"][1])
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"mmidd\[hdf5\]"), open_hdf5(path, COLOR):
        pass


def test_without_a_word_of_a_manifest_nothing_is_guessed(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.hdf5", LAYOUTS["contiguous"][1])
    with pytest.raises(UnreadableMedia, match="no manifest says where"), open_hdf5(path, None):
        pass


def test_a_damaged_chunk_loses_its_frames_alone(tmp_path: Path) -> None:
    path = written(
        tmp_path / "clip.hdf5",
        lambda file: file.create_dataset("Color_Data", data=FIRST, chunks=(2, 3, 30, 40), compression="gzip"),
    )
    with h5py.File(path) as file:
        where = file["Color_Data"].id.get_chunk_info_by_coord((2, 0, 0, 0)).byte_offset
    data = bytearray(path.read_bytes())
    data[where + 500] ^= 1
    path.write_bytes(data)
    with open_hdf5(path, COLOR) as arrays:
        lost = [arrays.frame(number).lost for number in arrays.numbers]
    assert lost == [None, None, "undecodable_frame", "undecodable_frame", None, None, None]


def test_frames_whose_chunks_were_never_written_are_lost(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.create_dataset("Color_Data", FIRST.shape, "u1", chunks=(1, 3, 30, 40))[:3] = FIRST[:3]

    with open_hdf5(written(tmp_path / "clip.hdf5", fill), COLOR) as arrays:
        assert [arrays.frame(number).lost for number in (2, 3, 6)] == [None, "undecodable_frame", "undecodable_frame"]


def test_a_chunk_that_inflates_beyond_its_size_takes_no_memory(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(64 * 2**20), 9)

    def fill(file: Any) -> None:
        array = file.create_dataset("Color_Data", (1, 3, 400, 400), "u1", chunks=(1, 3, 400, 400), compression="gzip")
        array.id.write_direct_chunk((0, 0, 0, 0), bomb)

    path = written(tmp_path / "clip.hdf5", fill)
    tracemalloc.start()
    try:
        with open_hdf5(path, COLOR) as arrays:
            assert arrays.frame(0).lost == "undecodable_frame"
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
