"""The embedded captioner: describes only what it measures, from pixels and five points, and needs no weights.

It names light, sharpness, pose, size, place, colours and detail. It never tells age, gender, ethnicity, emotion or
identity, never names objects, and cannot know a label. Left and right are the viewer's: "image left".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mmidd.captions import measures, words
from mmidd.captions.protocol import CONTEXT_SIDE, OK, Caption, CaptionerMaker, CaptionRequest
from mmidd.video.picture import Pixels

VERSION = "2"
"""Raise it where the same request gets other words: tests/captions/test_versions.py notices."""
MAX_WORDS = 40
# Pixels on the long side at which crops and colours are looked at: what a captioning model or CLIP would see.
LOOK, _COLOUR_LOOK = 256, 96
_MIN_STRIP, _LEAST_LEFT = 12, 0.1


class Attributes:
    """The captioner `attributes`. The same request always gets the same words."""

    name = f"attributes-{VERSION}"
    batch = 64

    def caption(self, requests: Sequence[CaptionRequest]) -> list[Caption]:
        """One caption per request, in their order; each always "ok", each text at most 40 words."""
        seen = [(request, _scene(request)) for request in requests]
        return [Caption(_face(request, scene), _environment(request, scene), OK) for request, scene in seen]

    def close(self) -> None:
        """Nothing is held."""


def identity() -> dict[str, str]:
    """What shapes the text: this version, and its libraries."""
    return {"captioner": Attributes.name, "numpy": np.__version__, "opencv": cv2.__version__}


@dataclass(frozen=True, eq=False)
class _Scene:
    """The frame around a face, or a whole image: pixels, the half-open box of them that no black bar covers, and the face
    box (xyxy) there; null where none is known or nothing of it is inside."""

    image: measures.Image
    part: tuple[int, int, int, int]
    box: measures.Points | None

    @property
    def picture(self) -> measures.Mask:
        """The pixels between the bars, as a (h, w) mask."""
        left, top, right, bottom = self.part
        found = np.zeros(self.image.shape[:2], np.bool_)
        found[top:bottom, left:right] = True
        return found


def _scene(request: CaptionRequest) -> _Scene:
    image = request.crop if request.context is None else request.context
    image = image if max(image.shape) <= CONTEXT_SIDE else Pixels(image).small(LOOK)
    part, box = measures.uncovered(image), None
    if request.context is not None and request.face_box is not None:
        scale = np.array(image.shape[1::-1]) / np.array(request.frame_size)
        shown = request.face_box * np.tile(scale, 2) if request.context_box is None else request.context_box
        box = shown.astype(np.float64) if _placed(shown.astype(np.float64), part) else None
    return _Scene(image, part, box)


def _placed(box: measures.Points, part: tuple[float, float, float, float]) -> measures.FacePlace | None:
    left, top, right, bottom = part
    return measures.place(box - np.array([left, top, left, top]), (right - left, bottom - top))


def _face(request: CaptionRequest, scene: _Scene) -> str:
    crop, padding = _crop(request)
    points = _points_in(crop, request)
    pose = None if points is None else measures.pose(points)
    if points is None or pose is None:
        region, axes = measures.middle_ellipse(crop.shape)
        opening = "This is the middle of the picture."
    else:
        region, axes = measures.face_ellipse(crop.shape, points)
        opening = _pose(pose)
    region &= ~(padding | measures.filled(crop))
    tone = measures.tone(crop, region, axes)
    told = [opening, _light(tone), _place(request, scene), _tint(crop, region)]
    return _within(MAX_WORDS, *([sentence] for sentence in told), _areas(scene))


def _crop(request: CaptionRequest) -> tuple[measures.Image, measures.Mask]:
    """The crop as it is looked at, its padding overgrown by what lies beside it, and where that is."""
    if request.padding is None or not request.padding.any():
        crop = Pixels(request.crop).small(LOOK)
        return crop, np.zeros(crop.shape[:2], np.bool_)
    crop = Pixels(measures.without(request.crop, request.padding)).small(LOOK)
    shares = cv2.resize(request.padding.astype(np.float32), crop.shape[1::-1], interpolation=cv2.INTER_AREA)
    return crop, np.asarray(shares > 0)


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


def _place(request: CaptionRequest, scene: _Scene) -> str:
    """Where the face is in its own frame, as far as no bar covers that."""
    if request.face_box is None:
        return ""
    width, height = request.frame_size
    part: tuple[float, float, float, float] = (0, 0, width, height)
    if request.context is not None:
        (left, top, right, bottom), (down, across) = scene.part, scene.image.shape[:2]
        part = (left * width / across, top * height / down, right * width / across, bottom * height / down)
    place = _placed(request.face_box.astype(np.float64), part)
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


def _areas(scene: _Scene) -> list[str]:
    """The colours above and below the face, or above alone if that is too long: hair and clothes, perhaps."""
    above, below = _area(scene, -0.3, -0.08), _area(scene, 1.15, 1.5)
    both = f"The area above it is {above}, below it {below}."
    alone = [f"The area {name} it is {colour}." for name, colour in (("above", above), ("below", below)) if colour]
    return [both, *alone] if above and below else alone


def _area(scene: _Scene, top: float, bottom: float) -> str:
    if scene.box is None:
        return ""
    region = measures.strip(scene.image.shape, scene.box, top, bottom) & scene.picture
    return " and ".join(measures.palette(scene.image, region).names) if region.sum() >= _MIN_STRIP else ""


def _environment(request: CaptionRequest, scene: _Scene) -> str:
    """Every text opens alike: how much is known of the frame tells datasets and kinds of media apart."""
    image, picture, reference = scene.image, scene.picture, None
    if scene.box is not None:
        region = picture & measures.background(image.shape, scene.box)
        reference = measures.strip(image.shape, scene.box, 0, 1)
    elif request.context is None and request.landmarks is not None:
        image, padding = _crop(request)
        picture = ~(padding | measures.filled(image))
        region = picture & _around(image, request)
    else:
        region = picture & ~measures.middle_ellipse(image.shape)[0]
        left = region & ~measures.filled(image)  # others may have cut it; but black all around is what is there
        region = left if np.count_nonzero(left) >= _LEAST_LEFT * np.count_nonzero(region) else region
    visible = float(region.sum()) / max(float(picture.sum()), 1.0)
    return words.phrase(words.VISIBLE, visible) or _within(MAX_WORDS, *_surroundings(image, region, reference))


def _around(crop: measures.Image, request: CaptionRequest) -> measures.Mask:
    points = _points_in(crop, request)
    if points is None or measures.pose(points) is None:
        return ~measures.middle_ellipse(crop.shape)[0]
    return measures.background(crop.shape, measures.head_box(points))


def _surroundings(image: measures.Image, region: measures.Mask, reference: measures.Mask | None) -> Iterable[list[str]]:
    """Sentences on a region. `reference`: what its sharpness is compared with; without one, focus is not judged."""
    axes = measures.middle_ellipse(image.shape)[1]
    tone, detail = measures.tone(image, region, axes), measures.detail(image, region)
    small = Pixels(image).small(_COLOUR_LOOK)
    there = cv2.resize(region.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    colours = measures.palette(small, np.asarray(there))
    look = f"{words.phrase(words.BRIGHTNESS, tone.middle)} and {words.phrase(words.DETAIL, detail)}"
    yield [f"The surroundings are {look}, {_colours(colours)}."]
    if uneven := words.phrase(words.SIDES, abs(tone.right)):
        yield [f"They are {uneven} towards the {_side(tone.right)}."]
    yield [words.phrase(words.COLOUR, colours.colourful) or words.phrase(words.WARMTH, colours.warmth)]
    if reference is not None and detail >= words.DETAIL[0][0]:
        sharper = 0.75 * measures.tone(image, reference, axes).sharpness > tone.sharpness
        yield [words.phrase(words.FOCUS, tone.sharpness) if sharper else ""]


def _colours(colours: measures.Palette) -> str:
    if not colours.names:
        return "in many colours"
    return f"{'mostly' if colours.share >= 0.5 else 'partly'} {' and '.join(colours.names)}"


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
