"""What all cores do together: the work that a rate on a GPU is held against. Imports nothing heavy, for its processes do."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import usable_cores

ROUNDS = 3


def on_all_cores(work: Callable[..., int], arguments: Sequence[Any], *, rounds: int = ROUNDS) -> dict[str, Any]:
    """`work(*arguments)` in a process a core at once, which tells how much it did: the median round's seconds, and the rate.

    `work` is a function at the top of a module. The processes are started, and have done it once, before the clock runs.
    """
    cores = usable_cores()
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        _round(pool, cores, work, arguments)
        results = [_round(pool, cores, work, arguments) for _ in range(rounds)]
    seconds = median(seconds for seconds, _ in results)
    count = results[0][1]
    return {"count": count, "seconds": seconds, "rate": count / seconds, "rounds": rounds, "cores": cores}


def _round(pool: ProcessPoolExecutor, cores: int, work: Callable[..., int], arguments: Sequence[Any]) -> tuple[float, int]:
    began = time.perf_counter()
    done = [pool.submit(work, *arguments) for _ in range(cores)]
    count = sum(each.result() for each in done)
    return time.perf_counter() - began, count


def decode(path: Path, most: int) -> int:
    """Decode the first frames of a clip as mmidd does, every pixel of each: how many."""
    from mmidd.video.choose import open_video

    with open_video(path) as reader:
        frames = range(min(most, reader.clip.frame_count))
        return sum(frame.image is not None for frame in reader.frames(frames))


def warp(pictures: Sequence[Any], transforms: Sequence[Any], size: int) -> int:
    """Cut a crop from each picture as mmidd does."""
    import cv2

    from mmidd.faces.align import warp as cut
    from mmidd.video.picture import Pixels

    cv2.setNumThreads(1)
    for image, transform in zip(pictures, transforms, strict=True):
        cut(Pixels(image), transform, size=size)
    return len(transforms)


def encode(crops: Sequence[Any], quality: int) -> int:
    """JPEG as mmidd writes it: OpenCV, no chroma subsampling."""
    from mmidd.faces.encode import ImageConfig
    from mmidd.faces.encode import encode as write

    config = ImageConfig(quality=quality)
    return sum(bool(write(crop, config)) for crop in crops)


def encode_simplejpeg(crops: Sequence[Any], quality: int) -> int:
    """JPEG by libjpeg-turbo through simplejpeg, no chroma subsampling."""
    import simplejpeg

    return sum(bool(simplejpeg.encode_jpeg(crop, quality, "RGB", "444")) for crop in crops)


def decode_jpeg(files: Sequence[bytes]) -> int:
    """JPEG as mmidd reads crops back: OpenCV."""
    from mmidd.faces.encode import decode as read

    return sum(read(file).ndim == 3 for file in files)


def decode_simplejpeg(files: Sequence[bytes]) -> int:
    """JPEG by libjpeg-turbo through simplejpeg."""
    import simplejpeg

    return sum(simplejpeg.decode_jpeg(file, "RGB").ndim == 3 for file in files)
