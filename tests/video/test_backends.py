from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest

from mmidd.errors import EmptyMedia, MissingExtra, MmiddError
from mmidd.video import CountMismatch, backend_identity, open_video
from mmidd.video.registry import DECODERS

from .makers import Recipe, read_barcode, write_clip

OPTIONAL = tuple(row.name for row in DECODERS.rows if row.name != "pyav")


@pytest.mark.parametrize("backend", OPTIONAL)
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == backend else real(name))
    path = write_clip(tmp_path, Recipe("clip.mp4", frames=5))
    for attempt in (lambda: open_video(path, backend), lambda: backend_identity(backend)):
        with pytest.raises(MissingExtra, match=rf"mmidd\[{backend}\]"):
            attempt()


def _with_the_libraries_of_pyav(folder: Path) -> dict[str, str]:
    """An environment in which torchcodec finds the FFmpeg that PyAV's wheel carries, under the names that it looks for: this
    machine need have none of its own."""
    carried = Path(av.__file__).parent.with_name("av.libs")
    for file in carried.iterdir():
        if named := re.fullmatch(r"(lib(?:av|sw)[a-z]+)-[0-9a-f]+\.so\.([0-9]+).*", file.name):
            (folder / f"{named[1]}.so.{named[2]}").symlink_to(file)
    return os.environ | {"LD_LIBRARY_PATH": f"{folder}:{carried}", HELPED: "yes"}


HELPED = "MMIDD_TEST_FFMPEG"


@pytest.mark.parametrize("backend", OPTIONAL)
def test_an_installed_backend_follows_the_protocol(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip(backend)
    if backend == "torchcodec" and HELPED not in os.environ:
        (tmp_path / "lib").mkdir()
        again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
        environment = _with_the_libraries_of_pyav(tmp_path / "lib")
        done = subprocess.run(again, env=environment, cwd=request.config.rootpath, capture_output=True, text=True)
        assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
        return
    path = write_clip(tmp_path, Recipe("clip.mp4", frames=30))
    (tmp_path / "zero.mp4").write_bytes(b"")
    with open_video(path, backend) as reader:
        assert (reader.clip.frame_count, reader.clip.width, reader.clip.height) == (30, 160, 96)
        frames = list(reader.frames([20, 3]))
        assert [read_barcode(frame.image) for frame in frames if frame.image is not None] == [3, 20]
        with pytest.raises(ValueError, match="of a clip of 30"):
            list(reader.frames([30]))
    with pytest.raises(EmptyMedia):
        open_video(tmp_path / "zero.mp4", backend)


def test_torchcodec_without_ffmpeg_is_no_fault_of_the_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = pytest.importorskip("torchcodec.decoders")

    def without(*_: object, **__: object) -> None:
        raise RuntimeError("Could not load libtorchcodec. Likely causes: ...")

    monkeypatch.setattr(decoders, "VideoDecoder", without)
    with pytest.raises(MmiddError, match="apt install ffmpeg"):
        open_video(write_clip(tmp_path, Recipe("clip.mp4", frames=5)), "torchcodec")


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown video backend"):
        open_video(tmp_path / "clip.mp4", "ffms2")


def test_the_identity_of_pyav_names_the_libraries_that_shape_pixels() -> None:
    identity = backend_identity("pyav")
    assert identity["av"] == av.__version__
    assert {"backend", "libavcodec", "libavformat", "libswscale", "conversion"} <= set(identity)
    assert all(isinstance(value, str) and value for value in identity.values())


def test_a_count_mismatch_is_no_media_error() -> None:
    assert not issubclass(CountMismatch, (LookupError, ValueError, OSError))


def test_the_room_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'decord', 'torchcodec', 'skimage', 'matplotlib', 'facenet_pytorch'}"
    code = f"import sys, mmidd.video, mmidd.video.pyav; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_video_is_opened_by_the_name_of_its_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Recipe("clip.mp4", frames=5))
    with open_video(str(path)) as reader:
        assert reader.clip.frame_count == 5
