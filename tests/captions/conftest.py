"""A real face whose points are known, and ways to change its picture so that the right words are known too."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmidd.captions.protocol import CONTEXT_SIDE, CaptionRequest
from mmidd.video.picture import Pixels

Picture = npt.NDArray[np.uint8]

# matplotlib's grace_hopper.jpg: face box and points found once with YuNet, and a square crop around them.
BOX = np.array([183, 120, 353, 333], np.float32)
POINTS = np.array([[227, 193], [308, 195], [266, 240], [228, 268], [302, 270]], np.float32)
CROP = (140, 99, 396, 355)


def request(frame: Picture, points: npt.NDArray[np.float32] = POINTS) -> CaptionRequest:
    """The request for the known face of a picture of the same size and geometry."""
    left, top, right, bottom = CROP
    height, width = frame.shape[:2]
    crop = np.ascontiguousarray(frame[top:bottom, left:right])
    return CaptionRequest(
        crop, Pixels(frame).small(CONTEXT_SIDE), points - np.array([left, top], np.float32), BOX, (width, height)
    )


def mirrored(frame: Picture) -> CaptionRequest:
    """The request for the mirrored picture, its points in the order that a detector would give them."""
    width = frame.shape[1]
    flipped = np.ascontiguousarray(frame[:, ::-1])
    box = np.array([width - BOX[2], BOX[1], width - BOX[0], BOX[3]], np.float32)
    plain = request(frame)
    assert plain.landmarks is not None
    crop = np.ascontiguousarray(plain.crop[:, ::-1])
    points = (plain.landmarks * [-1, 1] + [crop.shape[1] - 1, 0])[[1, 0, 2, 4, 3]].astype(np.float32)
    return replace(plain, crop=crop, context=Pixels(flipped).small(CONTEXT_SIDE), landmarks=points, face_box=box)


def dimmed(frame: Picture, factor: float) -> Picture:
    return np.asarray(np.clip(frame * factor, 0, 255), np.uint8)


def lit_from_image_left(frame: Picture) -> Picture:
    fall = np.clip(np.linspace(1.9, -0.4, frame.shape[1]), 0.15, 1)
    return (frame * fall[None, :, None]).astype(np.uint8)


def grey(frame: Picture) -> Picture:
    return np.repeat(np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)


def blurred(frame: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 3.0), np.uint8)


@pytest.fixture(scope="session")
def frame() -> Picture:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        pytest.skip("matplotlib is not installed, which ships the picture")
    with Image.open(Path(spec.origin).parent / "mpl-data/sample_data/grace_hopper.jpg") as image:
        return np.asarray(image.convert("RGB"))
