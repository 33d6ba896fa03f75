"""What tests of finding share: files of known bytes in folders and archives, and what is wanted of them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mmidd.media import Kind
from mmidd.raw.bytes import MediaFile, clip_digest, open_all
from mmidd.share.rehydrate.finding import Found, find
from mmidd.share.rehydrate.found import Wanted

FF, DF40 = "FaceForensics++", "DF40"
TOP = "manipulated_sequences/Deepfakes"
FAKE, REAL = f"{TOP}/c23/videos/000_003.mp4", "original_sequences/youtube/c23/videos/000.mp4"
MASK = f"{TOP}/masks/videos/000_003.mp4"
CLIP = "simswap/ff/frames/000_003"
FILES = {FAKE: b"the fake's bytes", REAL: b"bytes of the real"}
"""Of two sizes."""
FRAMES = {f"{CLIP}/{number:03d}.png": b"frame %d" % number for number in range(3)}


def wanted(dataset: str, media: str, data: bytes, kind: Kind = "video", rows: int = 2, *, mask: bool = False) -> Wanted:
    return Wanted((dataset, media), kind, len(data), hashlib.sha256(data).hexdigest(), rows, mask)


def wanted_clip(frames: Mapping[str, bytes] = FRAMES, dataset: str = DF40, media: str = CLIP) -> Wanted:
    sha256 = clip_digest((path, hashlib.sha256(data).hexdigest()) for path, data in sorted(frames.items()))
    return Wanted((dataset, media), "frames", sum(map(len, frames.values())), sha256, 2, False)


BOTH = tuple(wanted(FF, media, data) for media, data in sorted(FILES.items()))


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return made.getvalue()


def below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in files.items()}


def bytes_of(file: MediaFile) -> bytes:
    """What is read of a medium as whoever decodes it reads it."""
    for _, source in open_all([(file, file)], lambda file: None):
        if file.kind == "frames":
            return b"".join(source.frame(number) for number in file.numbers)
        video = source.video()
        if isinstance(video, Path):
            return video.read_bytes()
        with video:
            return video.read()
    raise AssertionError


def said(found: Found) -> dict[str, tuple[str, bool | None]]:
    """How each medium was found."""
    return {each.wanted.name[1]: (each.by, each.same) for each in found.media}


def look(tmp_path: Path, *what: Wanted, **more: bool) -> Found:
    """Find it in `data`."""
    return find(what, tmp_path / "data", tmp_path / "work", **more)  # type: ignore[arg-type]
