"""Thresholds and phrases, as data: which number is told in which words. Changing a line here changes captions."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Scale: TypeAlias = tuple[tuple[float, str], ...]

REST = math.inf

# Neutral colours by Lab lightness; chroma below 9 counts as neutral, and so does anything darker than 12.
NEUTRAL: Scale = ((14, "black"), (38, "dark grey"), (64, "grey"), (88, "light grey"), (REST, "white"))
NEUTRAL_CHROMA, BLACK_LIGHTNESS = 9.0, 12.0
# Chromatic colours by Lab hue (degrees, upper end): the chroma from which they are vivid, the lightness below which
# they are dark (50 and 72 are the further steps), the names if muted, the names if vivid.
STEPS = (50.0, 72.0)
HUES: tuple[tuple[float, float, float, tuple[str, ...], tuple[str, ...]], ...] = (
    (20, 25, 30, ("dark brown", "brown", "pink", "pale pink"), ("dark red", "red", "pink", "pink")),
    (45, 32, 30, ("dark brown", "brown", "dusty pink", "pale pink"), ("dark red", "red", "red", "pink")),
    (75, 48, 30, ("dark brown", "brown", "beige", "beige"), ("brown", "brown", "orange", "light orange")),
    (108, 48, 30, ("dark brown", "brown", "beige", "beige"), ("brown", "olive", "yellow", "yellow")),
    (165, 25, 30, ("dark green", "grey-green", "grey-green", "pale green"), ("dark green", "green", "green", "green")),
    (235, 22, 30, ("dark teal", "grey-teal", "grey-teal", "pale teal"), ("dark teal", "teal", "teal", "turquoise")),
    (305, 25, 24, ("dark blue", "grey-blue", "grey-blue", "pale blue"), ("dark blue", "blue", "blue", "light blue")),
    (345, 22, 30, ("dark purple", "purple", "mauve", "pale purple"), ("dark purple", "purple", "purple", "lilac")),
    (360, 25, 30, ("dark brown", "brown", "pink", "pale pink"), ("dark red", "red", "pink", "pink")),
)

# The face: light is the 90th percentile of luma, so that it follows the light more than the complexion.
LIT: Scale = ((50, "very dimly"), (95, "dimly"), (170, "moderately"), (228, "well"), (REST, "brightly"))
CONTRAST: Scale = ((65, "with soft contrast"), (150, ""), (REST, "with strong contrast"))
SHARPNESS: Scale = (
    (0.01, "without detail"),
    (0.165, "blurred"),
    (0.23, "slightly soft"),
    (0.36, "fairly sharp"),
    (REST, "sharp"),
)
FACE_BALANCE: Scale = ((0.08, ""), (0.16, "slightly brighter"), (0.32, "brighter"), (REST, "much brighter"))
HALVES: Scale = ((-0.2, "brighter in its upper half"), (0.2, ""), (REST, "brighter in its lower half"))
FACE_TINT: Scale = ((5, "Its colours are cool."), (38, ""), (REST, "Its colours are very warm."))
FACE_COLOUR: Scale = ((6, "It is in black and white."), (14, "Its colours are muted."), (REST, ""))
YAW: Scale = (
    (0.22, "is seen from the front"),
    (0.5, "is turned slightly to the {side}"),
    (0.95, "is turned to the {side}"),
    (REST, "is turned far to the {side}"),
)
PITCH: Scale = ((0.4, "chin raised"), (0.76, ""), (REST, "chin lowered"))
ROLL: Scale = ((6, ""), (15, "leaning slightly to the {side}"), (REST, "leaning to the {side}"))
SIZE: Scale = (
    (0.15, "It is small in the picture"),
    (0.29, "It fills about a quarter of the picture's height"),
    (0.42, "It fills about a third of the picture's height"),
    (0.58, "It fills about half of the picture's height"),
    (0.72, "It fills about two thirds of the picture's height"),
    (REST, "It fills most of the picture's height"),
)
ACROSS: Scale = ((0.38, "left"), (0.62, ""), (REST, "right"))
DOWN: Scale = ((0.3, "upper"), (0.7, ""), (REST, "lower"))

# The surroundings.
BRIGHTNESS: Scale = ((45, "dark"), (95, "dim"), (160, "moderately bright"), (215, "bright"), (REST, "very bright"))
DETAIL: Scale = ((0.015, "plain"), (0.08, "lightly detailed"), (0.2, "detailed"), (REST, "busy"))
SIDES: Scale = ((0.15, ""), (0.35, "slightly brighter"), (REST, "brighter"))
WARMTH: Scale = ((-6, "The colours are cool."), (12, ""), (REST, "The colours are warm."))
COLOUR: Scale = ((6, "There is hardly any colour."), (REST, ""))
VISIBLE: Scale = ((0.03, "The surroundings are hardly visible."), (REST, ""))
FOCUS: Scale = ((0.22, "The background is out of focus."), (REST, ""))


def phrase(scale: Scale, value: float) -> str:
    """The phrase of the first step whose upper bound lies above the value; the last step takes the rest."""
    return next((text for bound, text in scale if value < bound), scale[-1][1])


def colour_codes(
    lightness: npt.NDArray[np.float32], chroma: npt.NDArray[np.float32], hue: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Index into `COLOURS` for each pixel, from CIE Lab lightness 0..100, chroma and hue in degrees (n each)."""
    row = np.searchsorted([step[0] for step in HUES], hue, side="right").clip(max=len(HUES) - 1)
    vivid = chroma >= np.array([step[1] for step in HUES])[row]
    level = np.where(
        lightness < np.array([step[2] for step in HUES])[row], 0, 1 + np.searchsorted(STEPS, lightness, side="right")
    )
    chromatic = _CHROMATIC[row, vivid.astype(int), level]
    shade = np.searchsorted([step[0] for step in NEUTRAL], lightness, side="right").clip(max=len(NEUTRAL) - 1)
    neutral = (chroma < NEUTRAL_CHROMA) | (lightness < BLACK_LIGHTNESS)
    return np.asarray(np.where(neutral, _NEUTRAL[shade], chromatic))


COLOURS = tuple(dict.fromkeys([name for _, name in NEUTRAL] + [n for *_, m, v in HUES for n in (*m, *v)]))
_CHROMATIC = np.array([[[COLOURS.index(name) for name in names] for names in step[3:]] for step in HUES])
_NEUTRAL = np.array([COLOURS.index(name) for _, name in NEUTRAL])
