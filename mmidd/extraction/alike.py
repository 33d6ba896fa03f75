"""How like two pictures are, and where they differ: a fake's frame and its real's, both small."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.video import Pixels
from mmidd.video.picture import Image

Boxes = npt.NDArray[np.float64]
"""(n,4): x0, y0, x1, y1 in pixels of the picture that they come with."""

SIDE = 64
"""Long side of the copies on which two pictures are compared, pixels."""

COARSE = 2.0
"""What is wider than this (sigma, pixels of such a copy) is taken out: light and layout are alike in many pictures."""

FLAT = 0.3
"""Grey levels: pictures whose detail varies less than this show nothing to compare. So do fewer pixels than:"""

LEAST_AREA = 0.05

AROUND = 1.5
"""A face's box is grown by this factor to hold hair and chin."""

FINE = 168
"""Long side of the copies on which it is seen where pictures differ."""

SMOOTH = 3
"""Pixels of such a copy that are averaged: less is noise of a lossy file rather than a difference."""

INNER = 0.7
"""How much of a fake's picture is looked for in a real's of another size: both may be cut at their edges."""

LEAST_CHANGE = 6.0
"""Grey levels: what differs less, over the area of a face, is no change of a face."""


def grown(boxes: Boxes, factor: float = AROUND) -> Boxes:
    """The boxes about their centres, larger by a factor."""
    more = (boxes[:, 2:] - boxes[:, :2]) * (factor - 1) / 2
    return np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)


def likeness(real: Image, fake: Image, boxes: Boxes) -> float | None:
    """How like two pictures of one size are outside the boxes (pixels of them), -1..1: the correlation of their detail.

    None where there is nothing to compare: too little is left, or both are flat there.
    """
    one, other = detail(real), detail(fake)
    if one.shape != other.shape:
        return None
    outside = np.ones(one.shape, bool)
    for left, top, right, bottom in _places(grown(boxes) * (one.shape[1] / real.shape[1]), one.shape):
        outside[top:bottom, left:right] = False
    if outside.mean() < LEAST_AREA:
        return None
    a, b = one[outside].astype(np.float64), other[outside].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    energy = float((a * a).mean()), float((b * b).mean())
    if max(energy) < FLAT**2:
        return None
    return float((a * b).mean() / np.sqrt(max(energy[0], 1e-9) * max(energy[1], 1e-9)))


def detail(image: Image) -> npt.NDArray[np.float32]:
    """(H,W) float32: the grey detail of a small copy of a picture."""
    grey = cv2.cvtColor(Pixels(image).small(SIDE), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), COARSE), np.float32)


def differences(real: Image, fake: Image) -> npt.NDArray[np.float32]:
    """(H,W) float32: how much two pictures of one size differ, grey levels of the strongest channel, on copies of at most
    `FINE` pixels; light that changed all over, and noise of single pixels, are taken out."""
    a, b = (cv2.blur(Pixels(each).small(FINE).astype(np.float32), (SMOOTH, SMOOTH)) for each in (real, fake))
    a0, b0 = a - a.mean(axis=(0, 1)), b - b.mean(axis=(0, 1))
    gain = (a0 * b0).mean(axis=(0, 1)) / np.maximum((a0 * a0).mean(axis=(0, 1)), 1.0)
    return np.asarray(np.abs(a0 * gain - b0).max(axis=2), np.float32)


def changes(apart: npt.NDArray[np.float32], boxes: Boxes) -> list[float]:
    """How much the pictures differ in each box (pixels of `apart`), on average."""
    pieces = [apart[top:bottom, left:right] for left, top, right, bottom in _places(boxes, apart.shape)]
    return [float(piece.mean()) if piece.size else 0.0 for piece in pieces]


def beside(apart: npt.NDArray[np.float32], boxes: Boxes) -> float:
    """How much more the pictures differ somewhere outside the boxes, over the area of a face, than in any of them; 0 where
    that is no change of a face."""
    outside = apart.copy()
    for left, top, right, bottom in _places(grown(boxes), apart.shape):
        outside[top:bottom, left:right] = 0
    side = max(3, round(0.4 * float(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).min()))))
    most = float(cv2.blur(outside, (side, side)).max())
    return most / max(0.5, *changes(apart, boxes)) if most >= LEAST_CHANGE else 0.0


def _places(boxes: Boxes, shape: tuple[int, ...]) -> list[list[int]]:
    height, width = shape[:2]
    placed: list[list[int]] = np.clip(np.rint(boxes), 0, [width, height, width, height]).astype(int).tolist()
    return placed


def within(real: Image, real_size: tuple[int, int], fake: Image, size: tuple[int, int]) -> float:
    """How like the middle of a fake's picture is to the part of its real's that is most like it: in the same extent, or at
    the same scale of pixels."""
    one = detail(real)
    best = -1.0
    for ratio in (one.shape[1] / fake.shape[1], max(size) / max(real_size)):
        width, height = (max(1, round(side * ratio)) for side in (fake.shape[1], fake.shape[0]))
        other = detail(np.asarray(cv2.resize(fake, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
        across, along = (round(side * (1 - INNER) / 2) for side in (width, height))
        middle = other[along : height - along, across : width - across]
        if min(middle.shape) >= 8 and all(a <= b for a, b in zip(middle.shape, one.shape, strict=True)):
            best = max(best, float(cv2.matchTemplate(one, middle, cv2.TM_CCOEFF_NORMED).max()))
    return best
