"""What can be done to a portrait: mirroring, reshaping, masking, matching colours, recolouring, lighting."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.sampledata import warp
from mmidd.sampledata.pictures import CONTOUR, EYES, HEIGHT, INDEX, NAMES, WIDTH, Portrait
from mmidd.sampledata.warp import Pixels, Points


def mirror(portrait: Portrait) -> Portrait:
    """The portrait seen in a mirror; its left eye is again the first point."""
    swap = [INDEX[_other_side(name)] for name in NAMES]
    points = portrait.points[swap] * (-1, 1) + (WIDTH - 1, 0)
    return Portrait(portrait.rgb[:, ::-1].copy(), portrait.alpha[:, ::-1].copy(), points.astype(np.float32))


def _other_side(name: str) -> str:
    parts = [{"l": "r", "r": "l"}.get(part, part) for part in name.split("_")]
    return "_".join(parts)


def reshape(portrait: Portrait, points: Points) -> Portrait:
    """The portrait warped so that its points land on `points`."""
    back = warp.displacement(WIDTH, HEIGHT, points, portrait.points)
    return Portrait(warp.apply(portrait.rgb, back), warp.apply(portrait.alpha, back), points)


def face_mask(points: Points, grow: float = 1.0, feather: float = 5.0) -> npt.NDArray[np.float32]:
    """The inside of the face's contour, scaled by `grow` about its middle: (HEIGHT, WIDTH) float32 in 0..1."""
    contour = points[CONTOUR]
    middle = contour.mean(axis=0)
    return warp.soft_mask(WIDTH, HEIGHT, warp.curve(middle + (contour - middle) * grow), feather)


def match_colours(image: Pixels, like: Pixels, mask: npt.NDArray[np.float32], strength: float = 1.0) -> Pixels:
    """`image` with the mean and spread of `like`'s colours inside the mask (Reinhard's transfer, in CIE Lab)."""
    inside = mask > 0.5
    lab, wanted = (cv2.cvtColor(x, cv2.COLOR_RGB2LAB).astype(np.float32) for x in (image, like))
    mean, spread = lab[inside].mean(axis=0), lab[inside].std(axis=0) + 1
    goal_mean, goal_spread = wanted[inside].mean(axis=0), wanted[inside].std(axis=0) + 1
    moved = (lab - mean) * np.clip(goal_spread / spread, 0.6, 1.6) + goal_mean
    result = cv2.cvtColor(np.clip(np.round(moved), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return blend(image, result, np.full(mask.shape, strength, np.float32))


def blend(below: Pixels, above: Pixels, mask: npt.NDArray[np.float32]) -> Pixels:
    """`above` over `below` where the mask is 1."""
    weight = mask[..., None]
    mixed: Pixels = np.round(below * (1 - weight) + above * weight).astype(np.uint8)
    return mixed


def regions(portrait: Portrait) -> tuple[npt.NDArray[np.float32], ...]:
    """Soft masks of skin, hair (or hat) and clothes: three (HEIGHT, WIDTH) float32 in 0..1, for recolouring."""
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    chin = portrait.points[INDEX["chin"], 1]
    below = np.clip((rows - chin + 6) / 16, 0, 1) * np.ones((1, WIDTH), np.float32)
    colour = portrait.rgb.astype(np.float32)
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    warm = np.clip((red - blue - 18) / 30, 0, 1) * np.clip((red - 70) / 60, 0, 1)
    warm *= np.clip(1.75 - (red - green) / 70, 0, 1)
    brow_line = portrait.points[INDEX["brow_l_in"], 1]
    near = np.clip((rows - brow_line + 4) / 10, 0, 1)
    columns = np.arange(WIDTH, dtype=np.float32)[None]
    neck = np.clip((portrait.points[INDEX["jaw_r"], 0] - columns + 4) / 8, 0, 1)
    neck = neck * np.clip((columns - portrait.points[INDEX["jaw_l"], 0] + 4) / 8, 0, 1)
    warm = cv2.GaussianBlur(warm, (0, 0), 2.0) * near
    face = face_mask(portrait.points, 1.0, 3.0)
    skin = np.maximum(face, warm * np.maximum(1 - below, neck))
    return skin, (1 - skin) * (1 - below), (1 - skin) * below


def tint(rgb: Pixels, mask: npt.NDArray[np.float32], colour: tuple[float, float, float]) -> Pixels:
    """The masked part in another colour (rgb in 0..1), its shading and its highlights kept."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    toned = np.array(colour, np.float32) * (0.25 + 1.35 * luma) + 0.25 * luma**3
    return blend(rgb, np.clip(toned * 255, 0, 255).astype(np.uint8), mask * 0.92)


def illuminate(rgb: Pixels, direction: tuple[float, float]) -> Pixels:
    """Light from a side: log2 gain per half face to the right and downwards, levelling off beyond the face."""
    x = np.tanh((np.arange(WIDTH, dtype=np.float32) - EYES[0]) / 75)[None]
    y = np.tanh((np.arange(HEIGHT, dtype=np.float32) - EYES[1] - 35) / 85)[:, None]
    gain = np.exp2(1.1 * (direction[0] * x + direction[1] * y)).astype(np.float32)
    lit: Pixels = np.clip(np.round(rgb * gain[..., None]), 0, 255).astype(np.uint8)
    return lit
