from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import get_args

import av
import pytest

from mmidd.errors import EmptyMedia, MissingExtra
from mmidd.video import CountMismatch, backend_identity, open_video
from mmidd.video.reader import Backend

from .makers import Recipe, read_barcode, write_clip

OPTIONAL = tuple(backend for backend in get_args(Backend) if backend != "pyav")


@pytest.mark.parametrize("backend", OPTIONAL)
def test_a_backend_that_is_not_installed_names_its_extra(backend: Backend, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is not None:
        pytest.skip(f"{backend} is installed")
    path = write_clip(tmp_path, Recipe("clip.mp4", frames=5))
    for attempt in (lambda: open_video(path, backend), lambda: backend_identity(backend)):
        with pytest.raises(MissingExtra, match=rf"mmidd\[{backend}\]"):
            attempt()


@pytest.mark.parametrize("backend", OPTIONAL)
def test_an_installed_backend_follows_the_protocol(backend: Backend, tmp_path: Path) -> None:
    pytest.importorskip(backend)
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


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown video backend"):
        open_video(tmp_path / "clip.mp4", "ffms2")  # type: ignore[arg-type]


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
