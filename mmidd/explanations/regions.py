"""Which parts of a face a text names, and where they lie in a crop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in shares of the crop."""
Points = npt.NDArray[np.float64]
"""(5, 2): eyes, nose, mouth corners, image left first, in shares of the crop."""
_WORDS = {
    "eyes": r"eyes?|eyelids?|eyelash(?:es)?|pupils?|iris(?:es)?|gaze|catchlights?|glasses|eyeglasses|sclera",
    "eyebrows": r"eyebrows?|brows?",
    "nose": r"nose|nostrils?|nasal",
    "mouth": r"mouth|lips?|smile|tongue",
    "teeth": r"teeth|tooth",
    "chin": r"chin",
    "cheeks": r"cheeks?|cheekbones?",
    "forehead": r"forehead",
    "hairline": r"hairline|hair",
    "ears": r"ears?|earrings?|earlobes?",
    "jaw": r"jaw|jawline",
    "skin": r"skin|complexion|pores?|wrinkles?",
    "edges": r"(?:edges?|borders?|boundary|boundaries|contours?|outlines?|seams?|silhouette)",
    "background": r"background|surroundings|backdrop",
    "neck": r"neck|throat",
}
REGIONS = tuple(_WORDS)
_NAMED = {
    region: re.compile(rf"(?<![\w-])(?:{words})(?![\w])(?!-catching)", re.IGNORECASE) for region, words in _WORDS.items()
}
_BAD = (
    r"(?:artifacts?|artefacts?|seams?|blur\w*|distort\w*|signs?|evidence|traces?|hints?|mismatch\w*|inconsisten\w*|anomal\w*|"
    r"manipulat\w*|tamper\w*|blend\w*|warp\w*|glitch\w*|unnatural\w*|abnormal\w*|strange|odd|suspicious|wrong|irregular\w*|"
    r"asymmetr\w*|moire|flicker\w*|issues?|problems?|forger\w*|visible edges?)"
)
_PLACE = r"(?:(?:in|at|on|around|near|of|by) )?(?:the |his |her |their |its |either |both )?"
_SENTENCE = re.compile(r"[.;!?\n]+|\b(?:but|however|yet|although|though|whereas|while|except|instead)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|looks?|appears?|seems?|shows?|lacks?|there|merges?|fades?|blends?|do|does)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    rf"\b(?:no|without|free of|absence of|not|never|nor|neither|none|n't|any)\b(?:[ ,]+[\w'-]+){{0,3}}? {_BAD}\b"
    r"|\bnothing\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mention:
    """A region that a text names, and how: `denied`: only to say that nothing is wrong there, or that it is not there."""

    region: str
    denied: bool


def mentions(text: str) -> tuple[Mention, ...]:
    """The regions that a text names, in the order of REGIONS, each once: denied where every naming is."""
    found: dict[str, bool] = {}
    for sentence in _SENTENCE.split(text):
        denied = False
        for clause in sentence.split(","):
            if _VERB.search(clause) or _DENIED.search(clause):
                denied = _DENIED.search(clause) is not None
            for region, words in _NAMED.items():
                for each in words.finditer(clause):
                    own = denied or re.search(rf"\bnot {_PLACE}$", clause[: each.start()], re.IGNORECASE) is not None
                    found[region] = found.get(region, True) and own
    return tuple(Mention(region, found[region]) for region in REGIONS if region in found)


def named(text: str) -> tuple[str, ...]:
    """The regions in which a text says that something is to be seen."""
    return tuple(each.region for each in mentions(text) if not each.denied)


# Where they lie.

_ARCFACE_112 = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))


def template(margin: float = 1.3) -> Points:
    """The points of a crop that was aligned with this margin: those of the ArcFace template."""
    return (np.array(_ARCFACE_112) / 112 - 0.5) / margin + 0.5


def points_of(landmarks: Any, transform: Any, size: int) -> Points | None:
    """A row's landmarks (5 points in the frame) in its crop of so many pixels, by its transform (2, 3); None where it has
    none of either, as a whole picture."""
    if landmarks is None or transform is None or size < 1:
        return None
    points, matrix = np.asarray(landmarks, np.float64).reshape(-1, 2), np.asarray(transform, np.float64).reshape(-1, 3)
    if points.shape != (5, 2) or matrix.shape != (2, 3):
        return None
    found: Points = (points @ matrix[:, :2].T + matrix[:, 2] + 0.5) / size
    return found if np.isfinite(found).all() else None


def boxes(points: Points | None = None) -> dict[str, tuple[Box, ...]]:
    """Of each region the boxes that it takes of a crop with these points (default: `template()`); none of one that lies
    outside. Rough: a landmark network of five points knows no ear."""
    left, right, nose, *corners = (template() if points is None else points).tolist()
    mouth = [(corners[0][0] + corners[1][0]) / 2, (corners[0][1] + corners[1][1]) / 2]
    eye = (left[1] + right[1]) / 2
    unit = max(abs(right[0] - left[0]), 0.88 * (mouth[1] - eye), 0.02)
    x0, x1 = sorted((left[0], right[0]))
    m0, m1 = sorted((corners[0][0], corners[1][0]))

    def box(a: float, da: float, b: float, db: float, c: float, dc: float, d: float, dd: float) -> Box:
        return a + da * unit, b + db * unit, c + dc * unit, d + dd * unit

    face = box(x0, -0.7, eye, -1.4, x1, 0.7, mouth[1], 0.7)
    chin = box(mouth[0], -0.5, mouth[1], 0.28, mouth[0], 0.5, mouth[1], 0.68)
    forehead = box(x0, -0.25, eye, -1.1, x1, 0.25, eye, -0.6)
    cheeks = (
        box(x0, -0.45, eye, 0.3, nose[0], -0.35, mouth[1], -0.1),
        box(nose[0], 0.35, eye, 0.3, x1, 0.45, mouth[1], -0.1),
    )
    found: dict[str, tuple[Box, ...]] = {
        "eyes": tuple(box(x, -0.38, y, -0.25, x, 0.38, y, 0.25) for x, y in (left, right)),
        "eyebrows": tuple(box(x, -0.45, y, -0.64, x, 0.45, y, -0.22) for x, y in (left, right)),
        "nose": (box(nose[0], -0.33, eye, 0.05, nose[0], 0.33, nose[1], 0.25),),
        "mouth": (box(m0, -0.15, mouth[1], -0.28, m1, 0.15, mouth[1], 0.28),),
        "teeth": (box(m0, 0.0, mouth[1], -0.18, m1, 0.0, mouth[1], 0.18),),
        "chin": (chin,),
        "cheeks": cheeks,
        "forehead": (forehead,),
        "hairline": (box(x0, -0.5, eye, -1.5, x1, 0.5, eye, -1.0),),
        "ears": (
            box(x0, -0.9, eye, -0.15, x0, -0.5, nose[1], 0.3),
            box(x1, 0.5, eye, -0.15, x1, 0.9, nose[1], 0.3),
        ),
        "jaw": (
            box(x0, -0.6, mouth[1], -0.2, x0, 0.0, mouth[1], 0.7),
            box(x1, 0.0, mouth[1], -0.2, x1, 0.6, mouth[1], 0.7),
        ),
        "skin": (forehead, *cheeks, chin),
        "edges": _ring(face, 0.18 * unit),
        "background": _around(face),
        "neck": (box(mouth[0], -0.7, mouth[1], 0.75, mouth[0], 0.7, mouth[1], 1.6),),
    }
    return {region: tuple(each for each in map(_clipped, found[region]) if each is not None) for region in REGIONS}


def area(region: str, side: int, points: Points | None = None) -> npt.NDArray[np.bool_]:
    """Which pixels of a crop of `side` a region takes, (side, side)."""
    return filled(boxes(points)[region], side)


def filled(held: Sequence[Box], side: int) -> npt.NDArray[np.bool_]:
    """The pixels of boxes."""
    found = np.zeros((side, side), np.bool_)
    for x0, y0, x1, y1 in held:
        found[round(y0 * side) : max(round(y1 * side), round(y0 * side) + 1),
              round(x0 * side) : max(round(x1 * side), round(x0 * side) + 1)] = True  # fmt: skip
    return found


def _ring(face: Box, half: float) -> tuple[Box, ...]:
    x0, y0, x1, y1 = face
    return (
        (x0 - half, y0 - half, x1 + half, y0 + half),
        (x0 - half, y1 - half, x1 + half, y1 + half),
        (x0 - half, y0 + half, x0 + half, y1 - half),
        (x1 - half, y0 + half, x1 + half, y1 - half),
    )


def _around(face: Box) -> tuple[Box, ...]:
    x0, y0, x1, y1 = face
    return (0.0, 0.0, 1.0, y0), (0.0, y1, 1.0, 1.0), (0.0, y0, x0, y1), (x1, y0, 1.0, y1)


def _clipped(box: Box) -> Box | None:
    x0, y0, x1, y1 = (min(1.0, max(0.0, each)) for each in box)
    return (x0, y0, x1, y1) if x1 - x0 > 1e-3 and y1 - y0 > 1e-3 else None
