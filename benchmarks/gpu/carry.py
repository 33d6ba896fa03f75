"""What must travel to a bare machine: one with Python 3.12, torch, transformers, peft, timm, onnxruntime, OpenCV, pyarrow
alone, and no network."""

from __future__ import annotations

import re
import shlex

from benchmarks.processes import ROOT, BenchmarkError

PYTHON = "3.12"
PLATFORMS = (*(f"manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 26, 24, 17)), "manylinux2014_x86_64")

WHEELS = {
    "pydantic": "mmidd's manifests and recipes",
    "pydantic-core": "pydantic",
    "annotated-types": "pydantic",
    "typing-extensions": "pydantic wants a newer one than may be there",
    "typing-inspection": "pydantic wants a newer one than may be there",
    "pebble": "mmidd's worker processes",
    "av": "mmidd's decoder; its FFmpeg libraries serve torchcodec too",
    "simplejpeg": "mmidd reads JPEG with it",
    "facenet-pytorch": "MTCNN's weights",
    "httpx2": "mmidd's client for language models, imported by its command line",
    "httpcore2": "httpx2",
    "truststore": "httpx2",
    "anyio": "httpx2 wants a newer one than may be there",
    "idna": "httpx2 wants a newer one than may be there",
    "torchcodec": "part decoding: NVDEC",
}
"""Distribution -> why it travels."""

_OTHERS = {"av": "18.1.0", "torchcodec": "0.15.0"}
"""Other versions than constraints.txt has for this Python. torchcodec: of those for torch 2.11 and on, one that is small,
decodes on the GPU and needs no libnppicc. It knows FFmpeg up to 8; that is in this av, the one of Python 3.11's pins."""

FIRST_MEDIA = (
    "videos/several_people_1080p.mp4", "videos/WDA_*.mp4", "videos/aniportrait_*.mp4", "videos/d19.mp4", "videos/d11.mp4",
)  # fmt: skip
"""Of the media, those that go first: a large frame with many faces, MPEG-4 part 2, two faces, one face."""


def requirements() -> list[str]:
    """NAME==VERSION of every wheel. Raises BenchmarkError for one that constraints.txt does not pin."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    # Where a pin depends on Python, the last line is the newest Python's.
    pins = dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", text, re.MULTILINE)) | _OTHERS
    if missing := [name for name in WHEELS if name not in pins]:
        raise BenchmarkError(f"constraints.txt pins no {', '.join(missing)}")
    return [f"{name}=={pins[name]}" for name in WHEELS]


def download(folder: str) -> list[str]:
    """pip's arguments that download every wheel into a folder."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    target = ["--python-version", PYTHON, "--implementation", "cp", *platforms]
    return ["download", "--no-deps", "--only-binary=:all:", *target, "--dest", folder, *requirements()]


def wheels_command(folder: str = ".gpu/wheels") -> str:
    """One shell command that downloads every wheel."""
    return shlex.join(["python3", "-m", "pip", *download(folder)])
