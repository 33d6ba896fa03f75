"""What detectors that look at every cell of a frame share: frames as networks take them, cells, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from mmidd.errors import DetectorFault
from mmidd.faces.detector import Reduced
from mmidd.networks.network import Floats, Network, NetworkFault
from mmidd.video.picture import Image


def computed(network: Network, data: Image | Floats, fault: str) -> list[Floats]:
    """What a network answers. Raises DetectorFault, with the words `fault`, where it breaks."""
    try:
        return network(data)
    except NetworkFault as error:
        raise DetectorFault(fault) from error


def laid(images: Sequence[Image], stride: int) -> Image:
    """Images (H,W,3) uint8 of one size -> (n,H',W',3) uint8, black below and right up to whole cells of `stride` pixels."""
    height, width = images[0].shape[:2]
    padded = np.zeros((len(images), whole(height, stride), whole(width, stride), 3), np.uint8)
    for place, image in enumerate(images):
        padded[place, :height, :width] = image
    return padded


def whole(side: int, stride: int) -> int:
    """The least multiple of `stride` that holds `side`."""
    return -(-side // stride) * stride


@lru_cache(maxsize=64)
def cells(width: int, height: int, stride: int) -> Floats:
    """(n,2) column and row of each cell of an input of `width` x `height` pixels, row by row."""
    rows, columns = np.indices((height // stride, width // stride)).reshape(2, -1)
    return np.stack([columns, rows], axis=1).astype(np.float32)


def batches(frames: Sequence[Reduced], most: int) -> Iterator[list[int]]:
    """Positions of frames of one size, at most `most` together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        by_size.setdefault(frame.image.shape, []).append(index)
    for members in by_size.values():
        for start in range(0, len(members), most):
            yield members[start : start + most]


def suppress(boxes: Floats, scores: Floats, most: float, *, of_smaller: bool = False) -> list[int]:
    """Greedy non-maximum suppression: positions kept, best score first (ties: first position).

    Two boxes are both kept where they have at most `most` in common: of their union, or (`of_smaller`, sides counted in
    whole pixels) of the smaller one.
    """
    pixel = int(of_smaller)
    sides = boxes[:, 2:] - boxes[:, :2] + pixel
    areas = sides[:, 0] * sides[:, 1]
    left = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while len(left):
        best, rest = left[0], left[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.prod(np.maximum(high - low + pixel, 0), axis=1)
        base = np.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - common
        left = rest[common <= most * base]
    return keep
