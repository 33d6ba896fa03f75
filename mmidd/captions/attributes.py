"""The embedded captioner: describes only what it measures, from pixels and five points, and needs no weights.

It names light, sharpness, pose, size, place, colours and detail. It never tells age, gender, ethnicity, emotion or
identity, never names objects, and cannot know a label. Left and right are the viewer's: "image left".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mmidd.captions import measures, words
from mmidd.captions.protocol import OK, Caption, CaptionerMaker, CaptionRequest
from mmidd.video.picture import Pixels

VERSION = "1"
"""Raise it, and change `_DOES`, where the same request gets other words: tests/captions/test_versions.py notices."""
_DOES = "2b4a4dfc7da4099717eac374677140107b43ab9d0ca6e16e2c02a39b2353949f"
"""What version 1 does. It was once a digest of the code's text; any other text would make older captions stale."""
MAX_WORDS = 40
# Pixels on the long side at which crops and colours are looked at: what a captioning model or CLIP would see.
LOOK, _COLOUR_LOOK = 256, 96
_MIN_STRIP = 12


class Attributes:
    """The captioner `attributes`. The same request always gets the same words."""

    name = f"attributes-{VERSION}"
    batch = 64

    def caption(self, requests: Sequence[CaptionRequest]) -> list[Caption]:
        """One caption per request, in their order; each always "ok", each text at most 40 words."""
        return [Caption(_face(request), _environment(request), OK) for request in requests]

    def close(self) -> None:
        """Nothing is held."""


def identity() -> dict[str, str]:
    """What shapes the text: this version, what that version does, and its libraries."""
    return {
        "captioner": Attributes.name,
        "code": _DOES,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _face(request: CaptionRequest) -> str:
    crop = Pixels(request.crop).small(LOOK)
    points = _points_in(crop, request)
    pose = None if points is None else measures.pose(points)
    if points is None or pose is None:
        region, axes = measures.middle_ellipse(crop.shape)
        opening = "This is the middle of the picture."
    else:
        region, axes = measures.face_ellipse(crop.shape, points)
        opening = _pose(pose)
    tone = measures.tone(crop, region & ~measures.filled(crop), axes)
    told = [opening, _light(tone), _place(request), _tint(crop, region)]
    return _within(MAX_WORDS, *([sentence] for sentence in told), _areas(request))


def _points_in(image: measures.Image, request: CaptionRequest) -> measures.Points | None:
    if request.landmarks is None:
        return None
    scale = np.array(image.shape[1::-1]) / np.array(request.crop.shape[1::-1])
    return np.asarray((request.landmarks.astype(np.float64) + 0.5) * scale - 0.5)


def _pose(pose: measures.Pose) -> str:
    yaw = words.phrase(words.YAW, abs(pose.yaw)).format(side=_side(pose.yaw))
    roll = words.phrase(words.ROLL, abs(pose.roll)).format(side=_side(pose.roll))
    return f"The face {_listed(yaw, words.phrase(words.PITCH, pose.pitch), roll)}."


def _light(tone: measures.Tone) -> str:
    lit, uneven = words.phrase(words.LIT, tone.light), words.phrase(words.FACE_BALANCE, abs(tone.right))
    light = f"{lit} lit" if uneven else f"{lit} and evenly lit"
    side = uneven and f"{uneven} on the {_side(tone.right)}"
    halves, contrast = words.phrase(words.HALVES, tone.lower), words.phrase(words.CONTRAST, tone.contrast)
    return f"It is {_listed(words.phrase(words.SHARPNESS, tone.sharpness), light, side, halves, contrast)}."


def _tint(crop: measures.Image, region: measures.Mask) -> str:
    colours = measures.palette(crop, region)
    return words.phrase(words.FACE_COLOUR, colours.colourful) or words.phrase(words.FACE_TINT, colours.warmth)


def _place(request: CaptionRequest) -> str:
    place = None if request.face_box is None else measures.place(request.face_box.astype(float), request.frame_size)
    if place is None:
        return ""
    across, down = words.phrase(words.ACROSS, place.x), words.phrase(words.DOWN, place.y)
    where = {
        (False, False): "centred",
        (True, False): f"{across} of centre",
        (False, True): f"in the {down} part",
        (True, True): f"in the {down} {across}",
    }
    return f"{words.phrase(words.SIZE, place.height)}, {where[bool(across), bool(down)]}."


def _areas(request: CaptionRequest) -> list[str]:
    """The colours above and below the face, or above alone if that is too long: hair and clothes, perhaps."""
    above, below = _area(request, -0.3, -0.08), _area(request, 1.15, 1.5)
    both = f"The area above it is {above}, below it {below}."
    alone = [f"The area {name} it is {colour}." for name, colour in (("above", above), ("below", below)) if colour]
    return [both, *alone] if above and below else alone


def _area(request: CaptionRequest, top: float, bottom: float) -> str:
    box = _box_in(request)
    if request.context is None or box is None:
        return ""
    region = measures.strip(request.context.shape, box, top, bottom)
    return " and ".join(measures.palette(request.context, region).names) if region.sum() >= _MIN_STRIP else ""


def _environment(request: CaptionRequest) -> str:
    box = _box_in(request)
    if request.context is None or box is None:
        image = Pixels(request.crop if request.context is None else request.context).small(LOOK)
        edges = ~measures.middle_ellipse(image.shape)[0]
        return _within(MAX_WORDS, *_surroundings("The outer part of the picture is", "It is", image, edges, None))
    region = measures.background(request.context.shape, box)
    visible = float(region.mean())
    note = words.phrase(words.VISIBLE, visible)
    if visible < words.VISIBLE[0][0]:
        return note
    face = measures.strip(request.context.shape, box, 0, 1)
    return _within(MAX_WORDS, [note], *_surroundings("The surroundings are", "They are", request.context, region, face))


def _surroundings(
    subject: str, again: str, image: measures.Image, region: measures.Mask, reference: measures.Mask | None
) -> Iterable[list[str]]:
    """Sentences on a region. `reference`: what its sharpness is compared with; without one, focus is not judged."""
    axes = measures.middle_ellipse(image.shape)[1]
    tone, detail = measures.tone(image, region, axes), measures.detail(image, region)
    small = Pixels(image).small(_COLOUR_LOOK)
    there = cv2.resize(region.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    colours = measures.palette(small, np.asarray(there))
    look = f"{words.phrase(words.BRIGHTNESS, tone.middle)} and {words.phrase(words.DETAIL, detail)}"
    yield [f"{subject} {look}, {_colours(colours)}."]
    if uneven := words.phrase(words.SIDES, abs(tone.right)):
        yield [f"{again} {uneven} towards the {_side(tone.right)}."]
    yield [words.phrase(words.COLOUR, colours.colourful) or words.phrase(words.WARMTH, colours.warmth)]
    if reference is not None and detail >= words.DETAIL[0][0]:
        sharper = 0.75 * measures.tone(image, reference, axes).sharpness > tone.sharpness
        yield [words.phrase(words.FOCUS, tone.sharpness) if sharper else ""]


def _colours(colours: measures.Palette) -> str:
    if not colours.names:
        return "in many colours"
    return f"{'mostly' if colours.share >= 0.5 else 'partly'} {' and '.join(colours.names)}"


def _box_in(request: CaptionRequest) -> measures.Points | None:
    """The face box in pixels of the context; null where there is no box, no context, or nothing of it in the frame."""
    if request.context is None or request.face_box is None:
        return None
    box = request.face_box.astype(np.float64)
    if measures.place(box, request.frame_size) is None:
        return None
    scale = np.array(request.context.shape[1::-1]) / np.array(request.frame_size)
    return np.asarray(box * np.tile(scale, 2))


def _side(signed: float) -> str:
    return "image right" if signed > 0 else "image left"


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _within(limit: int, *sentences: Sequence[str]) -> str:
    """The sentences, most telling first, as far as the limit of words allows; of alternatives the first that fits."""
    kept: list[str] = []
    for alternatives in sentences:
        left = limit - sum(len(sentence.split()) for sentence in kept)
        kept += [sentence for sentence in alternatives if sentence and len(sentence.split()) <= left][:1]
    return " ".join(kept)


CAPTIONER = CaptionerMaker(lambda _config: identity(), lambda _config: Attributes())
