from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.captions import words
from mmidd.captions.attributes import MAX_WORDS, Attributes
from mmidd.captions.leaks import leaks
from mmidd.captions.protocol import CaptionRequest

from .conftest import (
    BOX,
    POINTS,
    Picture,
    blurred,
    dimmed,
    grey,
    lit_from_image_left,
    mirrored,
    request,
)

FACE_TALK = r"\b(face|head|skin|hair|eyes?|mouth|nose|chin|person|wom[ae]n|m[ae]n)\b"
NEVER = r"\b(young|old|age|wom[ae]n|m[ae]n|girl|boy|child|male|female|asian|african|european|happy|sad|smil\w+|angry)\b"


def said(given: CaptionRequest) -> tuple[str, str]:
    (caption,) = Attributes().caption([given])
    assert caption.status == "ok" and caption.face is not None and caption.environment is not None
    return caption.face, caption.environment


def test_a_real_portrait_is_described_as_it_looks(frame: Picture) -> None:
    face, environment = said(request(frame))
    assert face.startswith("The face is seen from the front. It is sharp, well and evenly lit, with strong contrast.")
    assert "about a third of the picture's height, centred" in face
    assert "blue" in environment and "The colours are cool" in environment


@pytest.mark.parametrize(
    ("change", "expected", "gone"),
    [
        (lambda frame: dimmed(frame, 0.45), "dimly and evenly lit", "well"),
        (lambda frame: dimmed(frame, 0.15), "very dimly", "well"),
        (lambda frame: dimmed(frame, 1.5), "brightly and evenly lit", "well"),
        (lambda frame: dimmed(frame * 0.25 + 110, 1), "with soft contrast", "strong"),
        (lit_from_image_left, "brighter on the image left", "evenly"),
        (lambda frame: lit_from_image_left(frame[:, ::-1])[:, ::-1], "brighter on the image right", "evenly"),
        (blurred, "It is blurred", "sharp"),
        (lambda frame: cv2.GaussianBlur(frame, (0, 0), 1.5), "slightly soft", "sharp"),
        (grey, "in black and white", "colours"),
        (lambda frame: dimmed(frame * [0.5, 0.8, 1.3], 1), "Its colours are cool", "warm"),
    ],
    ids=["dim", "dark", "bright", "flat", "left light", "right light", "blur", "soft", "grey", "cold"],
)
def test_face_words_follow_what_was_done_to_the_picture(
    frame: Picture, change: Callable[[Picture], Picture], expected: str, gone: str
) -> None:
    face, _ = said(request(np.ascontiguousarray(change(frame))))
    assert expected in face
    assert gone not in face


def turned(right: float, down: float = 0) -> np.ndarray:
    points = POINTS.copy()
    points[2] += (right, down)
    return points


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (POINTS, "The face is seen from the front."),
        (turned(14), "The face is turned slightly to the image right."),
        (turned(-14), "The face is turned slightly to the image left."),
        (turned(28), "The face is turned to the image right."),
        (turned(-50), "The face is turned far to the image left."),
        (
            POINTS + np.array([[0, 0], [0, 0], [0, -24], [0, 0], [0, 0]], np.float32),
            "The face is seen from the front, chin raised.",
        ),
        (
            POINTS + np.array([[0, 0], [0, 0], [0, 20], [0, 0], [0, 0]], np.float32),
            "The face is seen from the front, chin lowered.",
        ),
    ],
    ids=["front", "slight right", "slight left", "right", "far left", "up", "down"],
)
def test_pose_words_follow_the_points(frame: Picture, points: np.ndarray, expected: str) -> None:
    assert said(request(frame, np.asarray(points, np.float32)))[0].startswith(expected)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (2, "The face is seen from the front."),
        (10, "The face is seen from the front, leaning slightly to the image right."),
        (-10, "The face is seen from the front, leaning slightly to the image left."),
        (25, "The face is seen from the front, leaning to the image right."),
        (-25, "The face is seen from the front, leaning to the image left."),
    ],
)
def test_a_tilted_head_leans_to_the_side_its_top_points_to(frame: Picture, degrees: float, expected: str) -> None:
    middle = POINTS.mean(axis=0)
    turn = math.radians(degrees)  # clockwise on the screen, so that the top of the head moves to the image right
    spin = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    points = np.array((POINTS - middle) @ spin + middle, np.float32)
    assert said(request(frame, points))[0].startswith(expected)


def test_mirroring_a_picture_exchanges_left_and_right(frame: Picture) -> None:
    lit = lit_from_image_left(frame)
    plain, flipped = said(request(lit)), said(mirrored(lit))
    assert any("image left" in text for text in plain)
    for text, other in zip(plain, flipped, strict=True):
        assert other == text.replace("image left", "image right")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 10, 60, 70), "It is small in the picture, in the upper left."),
        ((430, 480, 510, 590), "a quarter of the picture's height, in the lower right."),
        ((100, 100, 400, 330), "a third of the picture's height, centred."),
        ((100, 20, 400, 330), "half of the picture's height, in the upper part."),
        ((100, 100, 400, 500), "two thirds of the picture's height, centred."),
        ((-50, -50, 200, 900), "most of the picture's height, left of centre."),
    ],
)
def test_size_and_place_words_follow_the_box(frame: Picture, box: tuple[float, ...], expected: str) -> None:
    assert expected in said(replace(request(frame), face_box=np.array(box, np.float32)))[0]


def painted(background: tuple[int, int, int]) -> CaptionRequest:
    """A noisy block for a face, black above and green below, on one colour."""
    frame = np.full((300, 300, 3), background, np.uint8)
    frame[100:200, 110:190] = np.random.default_rng(0).integers((120, 80, 60), (220, 170, 140), (100, 80, 3))
    frame[60:100, 110:190] = 10
    frame[200:, 110:190] = (60, 170, 60)
    points = np.array([[130, 135], [170, 135], [150, 155], [135, 175], [165, 175]], np.float32)
    return CaptionRequest(frame, frame, points, np.array([110, 100, 190, 200], np.float32), (300, 300))


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 0, 0), "dark and plain, mostly black. There is hardly any colour."),
        ((130, 130, 130), "moderately bright and plain, mostly grey. There is hardly any colour."),
        ((255, 255, 255), "very bright and plain, mostly white. There is hardly any colour."),
        ((200, 20, 20), "dim and plain, mostly red. The colours are warm."),
        ((20, 40, 200), "dim and plain, mostly blue. The colours are cool."),
        ((30, 120, 40), "dim and plain, mostly green."),
        ((240, 220, 40), "bright and plain, mostly yellow. The colours are warm."),
        ((110, 70, 40), "dim and plain, mostly brown. The colours are warm."),
        ((240, 140, 30), "moderately bright and plain, mostly orange. The colours are warm."),
        ((128, 30, 150), "dim and plain, mostly purple."),
        ((255, 150, 190), "bright and plain, mostly pink. The colours are warm."),
        ((225, 205, 170), "bright and plain, mostly beige."),
        ((30, 140, 140), "moderately bright and plain, mostly teal. The colours are cool."),
    ],
)
def test_plain_surroundings_are_called_by_their_colour(colour: tuple[int, int, int], expected: str) -> None:
    environment = said(painted(colour))[1]
    assert environment.startswith(f"The surroundings are {expected}")


def test_the_areas_above_and_below_are_called_by_their_colours_only() -> None:
    assert said(painted((130, 130, 130)))[0].endswith("The area above it is black, below it green.")


def test_detail_focus_and_one_sided_light_of_the_surroundings(frame: Picture) -> None:
    rng = np.random.default_rng(0)
    busy = cv2.resize(rng.integers(0, 256, (50, 43, 3), dtype=np.uint8), (512, 600), interpolation=cv2.INTER_NEAREST)
    face = np.zeros((600, 512, 1), bool)
    face[int(BOX[1]) : int(BOX[3]), int(BOX[0]) : int(BOX[2])] = True
    assert "busy" in said(request(np.where(face, frame, busy)))[1]
    soft = np.where(face, frame, cv2.GaussianBlur(busy, (0, 0), 4.0))
    assert "out of focus" in said(request(soft))[1]
    assert "out of focus" not in said(request(np.where(face, frame, busy)))[1]
    assert "out of focus" not in said(request(cv2.GaussianBlur(soft, (0, 0), 4.0)))[1], "the face is as soft"
    assert "brighter towards the image left" in said(request(lit_from_image_left(np.where(face, frame, 180))))[1]


def test_halves_of_the_face_turn_with_the_face(frame: Picture) -> None:
    shaded = frame.copy()
    shaded[235:] = shaded[235:] // 3
    upright = request(shaded)
    assert upright.landmarks is not None
    sideways = np.ascontiguousarray(np.rot90(upright.crop, -1))
    points = np.array([[sideways.shape[1] - 1 - y, x] for x, y in upright.landmarks], np.float32)
    for crop, landmarks in ((upright.crop, upright.landmarks), (sideways, points)):
        assert "brighter in its upper half" in said(replace(upright, crop=crop, landmarks=landmarks))[0]
    assert "upper half" not in said(request(frame))[0]


def test_the_size_of_the_crop_does_not_move_its_points(frame: Picture) -> None:
    plain = request(lit_from_image_left(frame))
    assert plain.landmarks is not None
    large = cv2.resize(plain.crop, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    points = ((plain.landmarks + 0.5) * 4 - 0.5).astype(np.float32)
    assert said(replace(plain, crop=large, landmarks=points)) == said(plain)


def test_a_face_that_fills_the_picture_leaves_no_surroundings_to_describe(frame: Picture) -> None:
    whole = replace(request(frame), face_box=np.array([10, 10, 500, 590], np.float32))
    assert said(whole)[1] == "The surroundings are hardly visible."


def test_black_beyond_the_edge_of_the_frame_is_no_shadow(frame: Picture) -> None:
    plain = request(frame)
    crop = plain.crop.copy()
    crop[:, 150:] = 0
    assert "evenly lit" in said(replace(plain, crop=crop))[0]


def test_whole_images_are_described_without_claiming_a_face(frame: Picture) -> None:
    face, environment = said(CaptionRequest(frame, None, None, None, (512, 600)))
    assert face.startswith("This is the middle of the picture. It is sharp,")
    assert environment.startswith("The surroundings are ")


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 3), (7, 7), (900, 1200)])
@pytest.mark.parametrize("points", [None, np.zeros((5, 2)), np.full((5, 2), 1e30), np.array(POINTS, np.float32) * -1])
@pytest.mark.parametrize("box", [None, (0, 0, 1, 1), (5, 5, 5, 5), (9, 9, 2, 2), (-1e30, -1e30, 1e30, 1e30)])
def test_hostile_sizes_and_geometry_still_get_true_short_sentences(
    size: tuple[int, int], points: np.ndarray | None, box: tuple[float, ...] | None
) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    context = crop[:336, :336]
    given_box = None if box is None else np.array(box, np.float32)
    for scene in (context, None):
        landmarks = None if points is None else points.astype(np.float32)
        for text in said(CaptionRequest(crop, scene, landmarks, given_box, (3, 2))):
            assert 0 < len(text.split()) <= MAX_WORDS and text.endswith(".")


@st.composite
def requests(draw: st.DrawFn) -> CaptionRequest:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = sorted((draw(st.integers(0, 255)), draw(st.integers(0, 255))))
    coarse = rng.integers(low, high + 1, (draw(st.integers(1, 20)), draw(st.integers(1, 20)), 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (draw(st.integers(1, 300)), draw(st.integers(1, 300))))
    height, width = frame.shape[:2]
    points = np.array(POINTS / 512 * width + rng.normal(0, draw(st.floats(0, 60)), (5, 2)), np.float32)
    box = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), axis=0) * [width, height]
    return CaptionRequest(frame, frame, points, np.array(box.ravel(), np.float32), (width, height))


@given(requests())
@settings(max_examples=150)
def test_no_caption_is_long_leaks_a_label_or_says_what_cannot_be_measured(given_request: CaptionRequest) -> None:
    face, environment = said(given_request)
    for text in (face, environment):
        assert 0 < len(text.split()) <= MAX_WORDS
        assert leaks(text) == []
        assert not re.search(NEVER, text, re.IGNORECASE)
    assert not re.search(FACE_TALK, environment, re.IGNORECASE)
    assert not [word for word in ("surroundings", "background") if word in face.lower()]


def test_no_phrase_of_the_tables_leaks() -> None:
    scales = [value for name, value in vars(words).items() if name.isupper() and isinstance(value, tuple)]
    phrases = [*words.COLOURS, *(step[1] for scale in scales for step in scale if isinstance(step, tuple))]
    texts = [phrase for phrase in phrases if isinstance(phrase, str)]
    assert len(texts) > 80
    assert [text for text in texts if leaks(text)] == []


def test_every_phrase_table_ascends_and_ends_open() -> None:
    scales = [words.NEUTRAL, words.LIT, words.SHARPNESS, words.YAW, words.PITCH, words.SIZE, words.BRIGHTNESS]
    for scale in scales:
        bounds = [bound for bound, _ in scale]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf
        assert [words.phrase(scale, bound - 1e-6) for bound in bounds[:-1]] == [text for _, text in scale[:-1]]
        assert words.phrase(scale, math.inf) == scale[-1][1]


def test_captioning_changes_no_pixel_and_ignores_memory_layout(frame: Picture) -> None:
    plain = request(frame)
    before = plain.crop.copy()
    strided = replace(plain, crop=np.asfortranarray(plain.crop), context=np.asfortranarray(plain.context))
    assert said(strided) == said(plain)
    assert (plain.crop == before).all()
