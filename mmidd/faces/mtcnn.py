"""MTCNN: the embedded detector, with the weights that come inside facenet-pytorch's wheel.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016: P-Net proposes
boxes on a pyramid of the picture, R-Net and O-Net look closer and refine. Every number (pyramid, thresholds, rounding of
boxes, reduction by means over cells) is as in facenet-pytorch 2.5.3, whose finds these are up to the last bits of its
sums; a CPU needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.faces import mtcnn_nets, weights
from mmidd.faces.dense import batches, computed, suppress
from mmidd.faces.detector import (
    DetectorConfig,
    DetectorIdentity,
    DetectorMaker,
    Device,
    Faces,
    Reduced,
    gather,
    open_for,
    pinned_identity,
    stepwise,
)
from mmidd.networks.network import Floats, Network
from mmidd.video.picture import Picture

SMALLEST = 12
"""P-Net's field of view, in pixels of a level of the pyramid."""
FACTOR = 0.709
Places = npt.NDArray[np.int64]
STRIDE = 2
LEAST_SCORES = (0.6, 0.7, 0.7)
LEVEL_IOU, IOU, MOST_SHARE = 0.5, 0.7, 0.7
MOST_CROPS = 512
"""Crops that go through R-Net or O-Net together."""


class Mtcnn:
    """The pyramid is made here, whoever computes the networks."""

    kind = "mtcnn"

    def __init__(self, config: DetectorConfig, device: Device) -> None:
        cv2.setNumThreads(1)
        self._config = config
        makers = (mtcnn_nets.proposals, mtcnn_nets.refinement, mtcnn_nets.output)
        nets = (make(weights.read_packaged(each)) for make, each in zip(makers, weights.MTCNN, strict=True))
        self._propose, self._refine, self._finish = (open_for(config, net, device) for net in nets)

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """See `Detector.detect`."""
        return stepwise(frames, self._config, self._look)

    def _look(self, frames: list[Reduced]) -> list[Faces]:
        found = [Faces.empty()] * len(frames)
        for members in batches(frames, self._propose.most):
            together = [frames[place] for place in members]
            for place, faces in zip(members, self._detect_equal(together), strict=True):
                found[place] = faces
        return found

    def _detect_equal(self, frames: list[Reduced]) -> list[Faces]:
        """The faces of frames of one size."""
        pictures = [_Sums.of(frame) for frame in frames]
        boxes = self._proposed(pictures)
        refined = self._closer(self._refine, 24, pictures, boxes, LEAST_SCORES[1])
        boxes = []
        for look in refined:
            keep = suppress(look.boxes, look.scores, IOU)
            boxes.append(_square(_moved(look.boxes[keep], look.moves[keep], 1)))
        finished = self._closer(self._finish, 48, pictures, boxes, LEAST_SCORES[2])
        return [_faces(look, self._config, frame) for look, frame in zip(finished, frames, strict=True)]

    def _proposed(self, pictures: list[_Sums]) -> list[Floats]:
        """(n,4) square boxes of each picture in which P-Net suspects a face."""
        levels: list[list[_Look]] = [[] for _ in pictures]
        height, width = pictures[0].shape
        for scale in _pyramid(min(height, width), self._config.min_face):
            size = int(height * scale + 1), int(width * scale + 1)
            data = np.stack([picture.whole(size) for picture in pictures])
            outputs = computed(self._propose, data, f"mtcnn failed on a frame of {width}x{height}")
            for found, score, box in zip(levels, *outputs, strict=True):
                look = _cells(score[1], box, scale)
                found.append(look.only(suppress(look.boxes, look.scores, LEVEL_IOU)))
        together = [_Look.joined(found) for found in levels]
        kept = [look.only(suppress(look.boxes, look.scores, IOU)) for look in together]
        return [_square(_moved(look.boxes, look.moves, 0)) for look in kept]

    def _closer(self, net: Network, side: int, pictures: list[_Sums], boxes: list[Floats], least: float) -> list[_Look]:
        """What a network says of the boxes' pixels at `side` x `side`: those with a score above `least`."""
        found: list[list[_Look]] = [[] for _ in pictures]
        for portion in _portions(boxes):
            crops = [pictures[place].crops(own, side) for place, own in portion]
            data = np.concatenate([data for _, data in crops])
            if not len(data):
                continue
            outputs = computed(net, data, "mtcnn failed on a face")
            ends = np.cumsum([len(kept) for kept, _ in crops])[:-1]
            parts = zip(*(np.split(output, ends) for output in outputs), strict=True)
            for (place, _), (kept, _), (score, *others) in zip(portion, crops, parts, strict=True):
                found[place].append(_Look(kept, score[:, 1], *others).only(np.flatnonzero(score[:, 1] > np.float32(least))))
        return [_Look.joined(looks) for looks in found]


def _portions(boxes: Sequence[Floats]) -> Iterator[list[tuple[int, Floats]]]:
    """The boxes of all pictures, each with its picture's place, at most `MOST_CROPS` at once."""
    portion: list[tuple[int, Floats]] = []
    room = MOST_CROPS
    for place, own in enumerate(boxes):
        for at in range(0, len(own), MOST_CROPS):
            some = own[at : at + MOST_CROPS]
            if len(some) > room:
                yield portion
                portion, room = [], MOST_CROPS
            portion.append((place, some))
            room -= len(some)
    if portion:
        yield portion


@dataclass(frozen=True, eq=False)
class _Look:
    """Suspected faces of one picture: boxes (n,4) in its pixels, scores (n,), the moves of the boxes' corners in units of
    their sides (n,4), and from O-Net the points (n,10) likewise."""

    boxes: Floats
    scores: Floats
    moves: Floats
    points: Floats | None = None

    @classmethod
    def joined(cls, looks: Sequence[_Look]) -> _Look:
        empty = np.zeros((0, 4), np.float32)
        looks = looks or [cls(empty, empty[:, 0], empty, np.zeros((0, 10), np.float32))]
        boxes, scores, moves = (
            np.concatenate(field) for field in zip(*((each.boxes, each.scores, each.moves) for each in looks), strict=True)
        )
        points = [each.points for each in looks if each.points is not None]
        return cls(boxes, scores, moves, np.concatenate(points) if points else None)

    def only(self, places: Sequence[int] | npt.NDArray[np.intp]) -> _Look:
        points = None if self.points is None else self.points[places]
        return _Look(self.boxes[places], self.scores[places], self.moves[places], points)


@dataclass(frozen=True, eq=False)
class _Sums:
    """A picture as its summed-area table (H+1,W+1,3) int32, from which any reduction is four look-ups a cell.

    Sums wrap round beyond 2**31; their differences over a cell are right all the same.
    """

    table: npt.NDArray[np.int32]

    @classmethod
    def of(cls, frame: Reduced) -> _Sums:
        return cls(np.asarray(cv2.integral(frame.image, sdepth=cv2.CV_32S), np.int32))

    @property
    def shape(self) -> tuple[int, int]:
        return self.table.shape[0] - 1, self.table.shape[1] - 1

    def whole(self, size: tuple[int, int]) -> Floats:
        """(3,h,w) float32: the whole picture at that size."""
        (top, bottom), (left, right) = (_spans(0, n, wanted) for n, wanted in zip(self.shape, size, strict=True))
        upper, lower = self.table[top], self.table[bottom]
        sums = lower[:, right] - upper[:, right] - lower[:, left] + upper[:, left]
        counts = (bottom - top)[:, None] * (right - left)[None]
        return _levels(sums, counts).transpose(2, 0, 1)

    def crops(self, boxes: Floats, side: int) -> tuple[Floats, Floats]:
        """The boxes that hold a pixel of the picture, and (n,3,side,side) float32, what each of them shows of it."""
        height, width = self.shape
        corners = np.trunc(boxes).astype(np.int64)
        left, top = np.maximum(corners[:, 0], 1) - 1, np.maximum(corners[:, 1], 1) - 1
        right, bottom = np.minimum(corners[:, 2], width), np.minimum(corners[:, 3], height)
        seen = (right > left) & (bottom > top)
        rows = np.stack(_spans(top[seen, None], (bottom - top)[seen, None], side))
        columns = np.stack(_spans(left[seen, None], (right - left)[seen, None], side))
        (upper, lower), (near, far) = rows[..., None], columns[:, :, None]
        table = self.table
        sums = table[lower, far] - table[upper, far] - table[lower, near] + table[upper, near]
        counts = (lower - upper) * (far - near)
        return boxes[seen], _levels(sums, counts).transpose(0, 3, 1, 2)


def _spans(start: int | Places, length: int | Places, count: int) -> tuple[Places, Places]:
    """Where each of `count` cells over a stretch of pixels begins and ends; cells may share a pixel."""
    steps = np.arange(count, dtype=np.int64)
    return start + steps * length // count, start - (-(steps + 1) * length // count)


def _levels(sums: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]) -> Floats:
    """Means of cells as the networks want them, from about -1 to 1."""
    means = np.asarray(np.divide(sums, counts[..., None], dtype=np.float32), np.float32)
    return (means - np.float32(127.5)) * np.float32(0.0078125)


def _pyramid(side: int, min_face: int) -> Iterator[float]:
    """The scales at which a picture whose shorter side is `side` is looked at, for faces of `min_face` pixels and more."""
    scale = SMALLEST / min_face
    least = side * scale
    while least >= SMALLEST:
        yield scale
        scale, least = scale * FACTOR, least * FACTOR


def _cells(score: Floats, moves: Floats, scale: float) -> _Look:
    """The cells of a level with a score high enough, as boxes of the picture. `score` (h,w), `moves` (4,h,w)."""
    rows, columns = np.nonzero(score >= np.float32(LEAST_SCORES[0]))
    corner = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
    edges = np.concatenate([corner + 1, corner + SMALLEST], axis=1)
    return _Look(np.floor(edges / np.float32(scale)), score[rows, columns], moves[:, rows, columns].T)


def _moved(boxes: Floats, moves: Floats, more: int) -> Floats:
    """Boxes whose corners are moved by shares of their sides (which are `more` pixels longer than they seem)."""
    sides = boxes[:, 2:] - boxes[:, :2] + np.float32(more)
    return boxes + moves * np.tile(sides, 2)


def _square(boxes: Floats) -> Floats:
    """The smallest squares about the boxes' centres that hold them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(axis=1, keepdims=True, initial=0)
    low = boxes[:, :2] + sides * np.float32(0.5) - longest * np.float32(0.5)
    return np.asarray(np.concatenate([low, low + longest], axis=1), np.float32)


def _faces(look: _Look, config: DetectorConfig, frame: Reduced) -> Faces:
    """What O-Net left, without boxes that lie in others."""
    assert look.points is not None
    sides = look.boxes[:, 2:] - look.boxes[:, :2] + 1
    points = look.points.reshape(-1, 2, 5).transpose(0, 2, 1) * sides[:, None] + look.boxes[:, None, :2] - 1
    boxes = _moved(look.boxes, look.moves, 1)
    keep = suppress(boxes, look.scores, MOST_SHARE, of_smaller=True)
    return gather(boxes[keep], points[keep], look.scores[keep], config, frame)


def _identity(config: DetectorConfig) -> DetectorIdentity:
    for each in weights.MTCNN:
        weights.read_packaged(each)  # there, and with the pinned digest
    return pinned_identity(config.kind, weights.MTCNN, "facenet-pytorch")


DETECTOR = DetectorMaker(_identity, Mtcnn)
