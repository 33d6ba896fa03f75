"""What pixels and five points say about a face and its surroundings, as numbers. `words` turns them into phrases.

Luma is Rec.601,
0..255. Balances are (b - a) / (b + a) of two regions' median luma, so -1..1 and independent of exposure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.captions import words

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Axes = tuple[Points, Points]

_MIN_REGION = 16
_FILL = 6
_BAR, _LEAST_PICTURE = 24, 0.25


@dataclass(frozen=True)
class Pose:
    """`yaw`: nose tip off the middle of the eyes in half eye distances, positive towards the image right. `pitch`:
    where the nose tip lies between the eyes (0) and the mouth (1). `roll`: degrees, positive leaning image right."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Tone:
    """`light`, `middle`: 90th and 50th percentile of luma. `contrast`: from the 5th to the 95th. `right`: balance of
    the image-right half against the image-left half. `lower`: of the lower half against the upper half. `sharpness`:
    finest detail as a share of coarser detail, about 0.15 where blurred, 0.4 where sharp; 0 where flat."""

    light: float
    middle: float
    contrast: float
    right: float
    lower: float
    sharpness: float


@dataclass(frozen=True)
class Palette:
    """`names`: at most two colour names by falling share, each of a quarter or more; `share`: theirs together.
    `warmth`: mean of Lab (a + b) / sqrt 2. `colourful`: 95th percentile of Lab chroma."""

    names: tuple[str, ...]
    share: float
    warmth: float
    colourful: float


@dataclass(frozen=True)
class FacePlace:
    """A face box in its frame: its height as a share of the frame's, its centre as shares of width and height."""

    height: float
    x: float
    y: float


def pose(landmarks: Points) -> Pose | None:
    """The head pose that (5, 2) landmarks show; null where the points coincide."""
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    across = landmarks[1] - landmarks[0]
    width, height = float(np.hypot(*across)), float(np.hypot(*(mouth - eyes)))
    if not (width > 1e-3 * height > 0):
        return None
    right = across / width
    down = np.array([-right[1], right[0]])
    nose, drop = landmarks[2] - eyes, float((mouth - eyes) @ down)
    if drop <= 1e-3 * width:
        return None
    roll = math.degrees(math.atan2(across[1], across[0]))
    return Pose(float(nose @ right) / (width / 2), float(nose @ down) / drop, roll)


def face_ellipse(shape: tuple[int, ...], landmarks: Points) -> tuple[Mask, Axes]:
    """The inner face as a (h, w) mask, and (h, w) coordinates from its centre: along the eyes, and down the face."""
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    across = landmarks[1] - landmarks[0]
    width, height = float(np.hypot(*across)), float(np.hypot(*(mouth - eyes)))
    right_x, right_y = across / max(width, 1e-6)
    half_width = min(max(0.95 * width, 0.5 * height), 0.9 * height)
    centre = eyes + 0.4 * (mouth - eyes)
    x, y = _grid(shape)
    x, y = x - centre[0], y - centre[1]
    along, down = x * right_x + y * right_y, y * right_x - x * right_y
    return _ellipse(along, down, max(half_width, 1e-6), max(1.1 * height, 1e-6)), (along, down)


def without(image: Image, padding: Mask) -> Image:
    """The image with each pixel of its padding, (h, w), replaced by the nearest that is none, so that no edge is left."""
    if not padding.any() or padding.all():
        return image
    _, nearest = cv2.distanceTransformWithLabels(
        padding.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colours[nearest[~padding]] = image[~padding]
    return np.asarray(colours[nearest])


def uncovered(image: Image) -> tuple[int, int, int, int]:
    """The half-open box (left, top, right, bottom) of an image without black bars: both beside it, or both above and below.

    All of it where black lies elsewhere too, or would leave less than a quarter of a side: a dark scene is no bar.
    """
    light = image.max(axis=2) > _BAR
    (left, right), (top, bottom) = _lit(light.any(axis=0)), _lit(light.any(axis=1))
    height, width = light.shape
    if left > 0 and right < width and (top, bottom) == (0, height) and right - left >= _LEAST_PICTURE * width:
        return left, 0, right, height
    if top > 0 and bottom < height and (left, right) == (0, width) and bottom - top >= _LEAST_PICTURE * height:
        return 0, top, width, bottom
    return 0, 0, width, height


def _lit(lines: Mask) -> tuple[int, int]:
    found = np.flatnonzero(lines)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)


def head_box(landmarks: Points) -> Points:
    """About the face box (xyxy) that a detector gives to an upright face with these (5, 2) points."""
    (x, y), mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    height = float(np.hypot(*(mouth - (x, y))))
    half = 1.1 * max(height, float(np.hypot(*(landmarks[1] - landmarks[0]))))
    return np.array([x - half, y - 0.95 * height, x + half, y + 1.8 * height])


def filled(image: Image) -> Mask:
    """What may be no part of a scene: black that hangs together with the image's border, as a (h, w) mask."""
    black = np.asarray(image.max(axis=2) <= _FILL, np.uint8)
    count, parts = cv2.connectedComponents(black, connectivity=4)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    touching = np.isin(np.arange(count), border) & (np.arange(count) > 0)
    return np.asarray(touching[parts], np.bool_)


def middle_ellipse(shape: tuple[int, ...]) -> tuple[Mask, Axes]:
    """The middle of a picture as a mask, and coordinates from its centre: for pictures without landmarks."""
    height, width = shape[:2]
    x, y = _grid(shape)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    return _ellipse(x, y, 0.35 * width, 0.42 * height), (x, y)


def tone(image: Image, region: Mask, axes: Axes) -> Tone:
    """Light, contrast, balance and sharpness of a region; of the whole image where the region has too few pixels."""
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    region = region if np.count_nonzero(region) >= _MIN_REGION else np.ones(luma.shape, bool)
    low, middle, bright, high = np.percentile(luma[region], [5, 50, 90, 95])
    x, y = axes
    return Tone(
        light=float(bright),
        middle=float(middle),
        contrast=float(high - low),
        right=_balance(luma, region & (x < 0), region & (x > 0)),
        lower=_balance(luma, region & (y < 0), region & (y > 0)),
        sharpness=_sharpness(luma, region),
    )


def palette(image: Image, region: Mask) -> Palette:
    """The colours of a region, of the whole image where the region has too few pixels."""
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)
    region = region if np.count_nonzero(region) >= _MIN_REGION else np.ones(lab.shape[:2], bool)
    lightness, a, b = np.ascontiguousarray(lab[region].T)
    lightness, a, b = lightness * np.float32(100 / 255), a - 128, b - 128
    chroma = np.hypot(a, b)
    codes = words.colour_codes(lightness, chroma, np.degrees(np.arctan2(b, a)) % 360)
    shares = np.bincount(codes, minlength=len(words.COLOURS)) / len(codes)
    order = np.argsort(-shares, kind="stable")
    named = [code for code in order[:2] if shares[code] >= 0.25]
    return Palette(
        names=tuple(words.COLOURS[code] for code in named),
        share=float(shares[named].sum()),
        warmth=float(a.mean() + b.mean()) / math.sqrt(2),
        colourful=float(np.percentile(chroma, 95)),
    )


def detail(image: Image, region: Mask) -> float:
    """The share of a region's pixels on an edge: luma changing by 10 or more a pixel after a slight blur."""
    luma = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
    across = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
    edges = np.hypot(across, down) >= 10
    return float(edges[region].mean()) if region.any() else 0.0


def place(box: Points, frame_size: tuple[float, float]) -> FacePlace | None:
    """Where a face box (xyxy) lies in its frame, cut to the frame; null where nothing of it is inside."""
    width, height = frame_size
    left, right = np.clip(box[[0, 2]], 0, width) / width
    top, bottom = np.clip(box[[1, 3]], 0, height) / height
    if not (left < right and top < bottom):
        return None
    return FacePlace(float(bottom - top), float(left + right) / 2, float(top + bottom) / 2)


def background(shape: tuple[int, ...], box: Points) -> Mask:
    """What is neither the head around a face box (xyxy in pixels of the image) nor the shoulders below it."""
    x0, y0, x1, y1 = box
    width, height, x_centre = x1 - x0, y1 - y0, (x0 + x1) / 2
    x, y = _grid(shape)
    y_centre = (y0 + y1) / 2 - 0.08 * height
    head = _ellipse(x - x_centre, y - y_centre, 0.95 * width, 0.95 * height)
    below = y - y1 + 0.1 * height
    body = (below > 0) & (np.abs(x - x_centre) < np.minimum(0.7 * width + 1.2 * below, 1.6 * width))
    return np.asarray(~(head | body))


def strip(shape: tuple[int, ...], box: Points, top: float, bottom: float) -> Mask:
    """The middle three fifths of a face box's width, from `top` to `bottom` box heights below the box's top edge."""
    x0, y0, x1, y1 = box
    x, y = _grid(shape)
    inside = (np.abs(x - (x0 + x1) / 2) <= 0.3 * (x1 - x0)) & (y >= y0 + top * (y1 - y0)) & (y <= y0 + bottom * (y1 - y0))
    return np.asarray(inside)


def _grid(shape: tuple[int, ...]) -> Axes:
    return np.arange(shape[1], dtype=np.float64)[None, :], np.arange(shape[0], dtype=np.float64)[:, None]


def _ellipse(x: Points, y: Points, half_width: float, half_height: float) -> Mask:
    return np.asarray((x / half_width) ** 2 + (y / half_height) ** 2 <= 1)


def _balance(luma: npt.NDArray[np.float32], first: Mask, second: Mask) -> float:
    if not (first.any() and second.any()):
        return 0.0
    one, other = float(np.median(luma[first])), float(np.median(luma[second]))
    # The 8 keeps noise in the blacks from reading as a strong light.
    return (other - one) / (other + one + 8)


def _sharpness(luma: npt.NDArray[np.float32], region: Mask) -> float:
    """Detail finer than 1 pixel (Gaussian sigma) as a share of detail between 1 and 4, so that contrast cancels."""
    fine, middle, coarse = luma, cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.GaussianBlur(luma, (0, 0), 4.0)
    detail_fine = float(np.abs(fine - middle)[region].mean())
    detail_coarse = float(np.abs(middle - coarse)[region].mean())
    return detail_fine / detail_coarse if detail_coarse > 0.25 else 0.0
