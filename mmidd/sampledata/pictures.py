"""The two free pictures that the sample is made from, their landmarks, and the canvas they are brought onto.

The pictures are NASA's portrait of Eileen Collins (`astronaut.png` in scikit-image) and the US Navy's portrait of
Grace Hopper (`grace_hopper.jpg` in matplotlib), both works of the US government and free of rights.
The outlines and landmarks below were marked by hand on these files (eyes, nose and mouth corners with MTCNN's help).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from mmidd.errors import DataError, MissingExtra
from mmidd.sampledata import warp
from mmidd.sampledata.warp import Pixels, Points

WIDTH, HEIGHT = 480, 360  # every portrait's canvas, pixels
EYES = (240.0, 150.0)  # middle between the eyes on the canvas
EYE_DISTANCE = 62.0

# fmt: off
NAMES = (
    "eye_l", "eye_r", "nose", "mouth_l", "mouth_r",
    "brow_l_out", "brow_l_in", "brow_r_in", "brow_r_out", "lip_top", "lip_bottom",
    "temple_l", "cheek_l", "jaw_l", "chin", "jaw_r", "cheek_r", "temple_r", "forehead_r", "forehead", "forehead_l",
    "hair_l", "crown", "hair_r",
)
# fmt: on
INDEX = {name: i for i, name in enumerate(NAMES)}
CONTOUR = slice(INDEX["temple_l"], INDEX["forehead_l"] + 1)
FACE = slice(0, INDEX["forehead_l"] + 1)
HAIR = slice(INDEX["hair_l"], INDEX["hair_r"] + 1)


@dataclass(frozen=True, eq=False)
class Portrait:
    """A person on the canvas: rgb (HEIGHT, WIDTH, 3), alpha (HEIGHT, WIDTH), points (len(NAMES), 2) in pixels."""

    rgb: Pixels
    alpha: Pixels
    points: Points


@dataclass(frozen=True)
class SamplePicture:
    """One of the two source pictures: where it is installed, landmarks (order of NAMES), the person's outline."""

    package: str
    file: str
    landmarks: tuple[tuple[float, float], ...]
    outline: tuple[tuple[float, float], ...]


# fmt: off
COLLINS = SamplePicture(
    "skimage", "data/astronaut.png",
    (
        (204.2, 100.5), (247.4, 103.7), (225.4, 128.8), (202.9, 140.2), (245.8, 142.2), (190, 91), (213, 92),
        (238, 94), (264, 93), (224, 141), (223, 156), (182, 100), (183, 130), (193, 160),
        (220, 178), (255, 163), (267, 133), (269, 105), (261, 88), (227, 80), (195, 79),
        (154, 85), (231, 16), (301, 85),
    ),
    (
        (40, 290), (60, 262), (74, 242), (96, 224), (114, 206), (112, 186), (118, 172),
        (132, 158), (152, 149), (170, 147), (184, 149), (183, 136), (177, 128), (179, 120),
        (168, 117), (158, 105), (154, 90), (153, 75), (158, 63), (168, 53), (180, 46),
        (188, 38), (200, 25), (214, 19), (231, 15), (247, 18), (263, 25), (280, 35),
        (291, 48), (297, 62), (301, 80), (299, 96), (293, 110), (284, 122), (276, 131),
        (268, 137), (265, 148), (260, 160), (257, 171), (272, 180), (287, 194), (298, 212),
        (304, 232), (320, 240), (336, 256), (350, 280), (360, 310), (40, 310),
    ),
)
HOPPER = SamplePicture(
    "matplotlib", "mpl-data/sample_data/grace_hopper.jpg",
    (
        (221.7, 192.4), (308.3, 187.6), (268.2, 238.4), (231.5, 276.8), (307.3, 272.9), (192, 180), (246, 182),
        (286, 180), (345, 172), (268, 271), (268, 295), (184, 195), (190, 245), (208, 308),
        (264, 334), (322, 305), (346, 238), (354, 188), (335, 146), (267, 138), (205, 150),
        (150, 180), (262, 22), (371, 175),
    ),
    (
        (20, 520), (26, 470), (32, 430), (40, 396), (62, 379), (100, 357), (150, 347),
        (180, 335), (198, 320), (203, 310), (196, 299), (182, 293), (167, 279), (162, 262),
        (164, 244), (157, 220), (153, 195), (151, 185), (148, 165), (149, 130), (154, 108),
        (165, 92), (175, 85), (186, 68), (205, 53), (222, 43), (227, 32), (241, 26),
        (262, 23), (285, 27), (302, 40), (325, 48), (344, 65), (353, 88), (364, 89),
        (368, 108), (370, 130), (370, 160), (369, 178), (373, 190), (373, 212), (366, 245),
        (359, 264), (357, 285), (347, 299), (334, 306), (331, 316), (345, 334), (370, 347),
        (420, 365), (455, 378), (481, 386), (495, 398), (503, 440), (512, 520),
    ),
)
# fmt: on


def picture_path(picture: SamplePicture) -> Path:
    """Where the installed package keeps the picture; MissingExtra without the package, DataError without the file."""
    spec = find_spec(picture.package)
    if spec is None or spec.origin is None:
        raise MissingExtra("sample", f"the sample ({picture.package}'s {Path(picture.file).name})")
    path = Path(spec.origin).parent / picture.file
    if not path.is_file():
        raise DataError(f"the installed {picture.package} has no {picture.file}; the sample is made from it")
    return path


@cache
def canonical(picture: SamplePicture) -> Portrait:
    """The picture's person on the canvas: upright, eyes at EYES, EYE_DISTANCE apart, cut out of the background."""
    with Image.open(picture_path(picture)) as image:
        rgb = np.asarray(image.convert("RGB"))
    points = np.array(picture.landmarks, np.float32)
    matrix = _upright(points[0], points[1])
    outline = _transform(matrix, np.array(picture.outline, np.float32))
    alpha = warp.soft_mask(WIDTH, HEIGHT, outline, 1.6)
    # Pull the soft edge inwards, so that it carries no fringe of the old background.
    alpha = np.clip(alpha * 1.9 - 0.9, 0, 1)
    canvas = cv2.warpAffine(rgb, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return Portrait(canvas, np.round(alpha * 255).astype(np.uint8), _transform(matrix, points))


def _upright(left: Points, right: Points) -> npt.NDArray[np.float64]:
    (dx, dy), middle = right - left, (left + right) / 2
    factor = EYE_DISTANCE / (dx * dx + dy * dy)
    a, b = dx * factor, dy * factor
    rotation = np.array([[a, b], [-b, a]], np.float64)
    return np.concatenate([rotation, (np.array(EYES) - rotation @ middle)[:, None]], axis=1)


def _transform(matrix: npt.NDArray[np.float64], points: Points) -> Points:
    moved: Points = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return moved
