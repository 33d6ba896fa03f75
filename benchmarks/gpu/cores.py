"""What all cores do together: the work that a rate on a GPU is held against. Imports nothing heavy, for its processes do."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.processes import usable_cores

ROUNDS = 3
_data: dict[str, Any] = {}


class Cores:
    """A process a core, started once. Each of them is given `data` when it starts, so that no rate has its transport."""

    def __init__(self, scratch: Path, data: Mapping[str, Any]) -> None:
        self.count = usable_cores()
        file = scratch / "cores.pickle"
        file.write_bytes(pickle.dumps(dict(data)))
        self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"), _begin, (str(file),))

    def rate(self, work: Callable[..., int], *names: str, rounds: int = ROUNDS) -> dict[str, Any]:
        """`work` on the data of these names in every process at once, which tells how much it did: the median round.

        `work` is a function at the top of a module. It is done once before the clock runs.
        """
        self._round(work, names)
        results = [self._round(work, names) for _ in range(rounds)]
        seconds = median(seconds for seconds, _ in results)
        count = results[0][1]
        return {"count": count, "seconds": seconds, "rate": count / seconds, "rounds": rounds, "cores": self.count}

    def _round(self, work: Callable[..., int], names: Sequence[str]) -> tuple[float, int]:
        began = time.perf_counter()
        done = [self._pool.submit(_do, work, names) for _ in range(self.count)]
        count = sum(each.result() for each in done)
        return time.perf_counter() - began, count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _begin(file: str) -> None:
    global _data
    _data = pickle.loads(Path(file).read_bytes())  # noqa: S301 (written by the parent, in a folder of its own)


def _do(work: Callable[..., int], names: Sequence[str]) -> int:
    return work(*(_data[name] for name in names))


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
