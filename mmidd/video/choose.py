"""The video decoder that a name stands for: a video opened with it, and what it is."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mmidd.errors import UnreadableMedia
from mmidd.video.reader import MAX_PIXELS, DecoderMaker, VideoReader
from mmidd.video.registry import DECODERS


def open_video(
    path: str | Path | BinaryIO, backend: str = "pyav", *, recount: bool = False, max_pixels: int = MAX_PIXELS
) -> VideoReader:
    """Open a video for reading frames: a path, or an open file that can be sought (pyav only), which stays the caller's.

    `recount` decodes everything once, skipping what cannot be decoded, to count the frames that can be shown: for
    files on which a first attempt ended in CountMismatch. Raises EmptyMedia, UnreadableMedia, TooLargeMedia (more than
    `max_pixels` in a frame), MissingExtra, PluginError, and OSError where the file system, not the medium, is at fault.
    """
    maker = _maker(backend)
    path = Path(path) if isinstance(path, str) else path
    if not maker.open_files and not isinstance(path, Path):
        raise UnreadableMedia(f"the {backend} backend reads no members of archives; use decoder: pyav")
    return maker.open(path, recount, max_pixels)


def backend_identity(backend: str) -> dict[str, str]:
    """The exact versions of the libraries that shape a backend's pixels, for cache keys; of a decoder from another package
    that package is among them. Raises MissingExtra, PluginError."""
    identity = {"backend": backend, **DECODERS.ask(backend, _maker(backend).identity)}
    plugin = DECODERS.plugin(backend)
    return identity | {plugin.package: plugin.version} if plugin else identity


def _maker(backend: str) -> DecoderMaker:
    if backend not in DECODERS:
        raise ValueError(f"unknown video backend {backend!r}")
    return DECODERS.load(backend, DecoderMaker)
