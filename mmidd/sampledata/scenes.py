"""Where a portrait is filmed: generated backgrounds, a slowly moving camera, changing light, sensor noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.sampledata.pictures import EYE_DISTANCE, EYES, Portrait
from mmidd.sampledata.warp import Pixels

Floats = npt.NDArray[np.float32]
Acting = Callable[[float], Portrait]  # the portrait at a time in 0..1

REACH = 1.35  # the background is this much larger than the frame, for the camera to move over


@dataclass(frozen=True)
class Scene:
    """One shot. Equal scenes give equal frames for equal portraits, so that a fake lies exactly over its real."""

    seed: int
    width: int
    height: int
    frames: int = 1
    eye_distance: float = 48.0  # pixels in the frame
    eye_height: float = 0.42  # share of the frame's height above the eyes
    motion: float = 1.0  # 0 stands still


@dataclass(frozen=True, eq=False)
class _Set:
    """What a scene needs for all of its frames."""

    background: Pixels
    noise: Floats
    phases: npt.NDArray[np.float64]
    rates: npt.NDArray[np.float64]
    tint: Floats


@lru_cache(maxsize=2)
def _build(scene: Scene) -> _Set:
    rng = np.random.default_rng([scene.seed, 7])
    width, height = round(scene.width * REACH), round(scene.height * REACH)
    painter = BACKGROUNDS[scene.seed % len(BACKGROUNDS)]
    background = np.clip(painter(rng, width, height), 0, 255).astype(np.uint8)
    noise = rng.normal(0, 1.6, (scene.height + 48, scene.width + 48, 1)).astype(np.float32)
    tint = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return _Set(background, noise, rng.uniform(0, 2 * np.pi, 8), rng.uniform(0.6, 1.3, 8), tint)


def _palette(rng: np.random.Generator, count: int, low: int = 50, high: int = 205) -> Floats:
    """Muted colours around one another: (count, 3) float32."""
    hue = rng.uniform(-40, 40, 3)
    colours: Floats = np.clip(rng.uniform(low, high) + hue + rng.uniform(-30, 30, (count, 3)), 15, 235)
    return colours.astype(np.float32)


def _colour(red: float, green: float, blue: float) -> Floats:
    return np.array([red, green, blue], np.float32)


def _ramp(width: int, height: int, start: Floats, end: Floats, across: float) -> Floats:
    x, y = np.meshgrid(np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32))
    share = (across * x + (1 - across) * y)[..., None]
    ramp: Floats = start * (1 - share) + end * share
    return ramp


def _studio(rng: np.random.Generator, width: int, height: int) -> Floats:
    start, end = _palette(rng, 2)
    image = _ramp(width, height, start, end, rng.uniform(0.2, 0.8))
    clouds = cv2.resize(rng.normal(0, 14, (7, 9, 1)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    studio: Floats = image + clouds[..., None]
    return studio


def _bokeh(rng: np.random.Generator, width: int, height: int) -> Floats:
    start, end = _palette(rng, 2, 25, 90)
    image = _ramp(width, height, start, end, 0.3)
    for _ in range(22):
        spot = np.zeros((height, width), np.uint8)
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(spot, centre, int(rng.integers(height // 40, height // 12)), 255, -1, cv2.LINE_AA)
        soft = cv2.GaussianBlur(spot, (0, 0), 2.5).astype(np.float32)[..., None] / 255
        image = image + soft * rng.uniform(30, 110) * rng.uniform(0.5, 1.0, 3).astype(np.float32)
    return image


def _curtain(rng: np.random.Generator, width: int, height: int) -> Floats:
    start, end = _palette(rng, 2)
    image = _ramp(width, height, start, end, 0.1)
    x = np.arange(width, dtype=np.float32)
    folds = np.sin(x / rng.uniform(6, 11) + 2 * np.sin(x / rng.uniform(40, 70)))[None, :, None]
    curtain: Floats = image * (1 + 0.16 * folds)
    return curtain


def _room(rng: np.random.Generator, width: int, height: int) -> Floats:
    start, end = _palette(rng, 2, 110, 190)
    image = _ramp(width, height, start, end, 0.6)
    for _ in range(7):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, round(height * 0.7)))
        size = (int(rng.integers(width // 14, width // 5)), int(rng.integers(height // 12, height // 3)))
        colour = tuple(float(v) for v in _palette(rng, 1, 40, 200)[0])
        cv2.rectangle(image, (x, y), (x + size[0], y + size[1]), colour, -1)
        cv2.rectangle(image, (x, y), (x + size[0], y + size[1]), tuple(v * 0.6 for v in colour), 3)
    room: Floats = cv2.GaussianBlur(image, (0, 0), 3.5)
    return room


def _garden(rng: np.random.Generator, width: int, height: int) -> Floats:
    sky = _ramp(width, height, _colour(120, 165, 215), _colour(205, 215, 220), 0.1)
    leaves = np.zeros((height, width, 3), np.float32)
    for size, spread in ((6, 26), (16, 18), (40, 12)):
        patch = rng.normal(0, spread, (max(2, height // size), max(2, width // size), 1)).astype(np.float32)
        leaves += cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    leaves += _colour(70, 105, 55) * rng.uniform(0.8, 1.2)
    x = np.linspace(0, 1, width, dtype=np.float32)
    edge = height * (0.35 + 0.08 * np.sin(x * rng.uniform(4, 9) + rng.uniform(0, 6)))
    share = np.clip((np.arange(height, dtype=np.float32)[:, None] - edge[None]) / 12, 0, 1)[..., None]
    garden: Floats = cv2.GaussianBlur(sky * (1 - share) + leaves * share, (0, 0), 2.5)
    return garden


BACKGROUNDS = (_studio, _room, _garden, _curtain, _bokeh)


def _similarity(scale: float, angle: float, about: tuple[float, float], to: tuple[float, float]) -> Floats:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    shift_x = to[0] - a * about[0] - b * about[1]
    shift_y = to[1] + b * about[0] - a * about[1]
    matrix: Floats = np.array([[a, b, shift_x], [-b, a, shift_y]], np.float32)
    return matrix


def _camera(scene: Scene, made: _Set, time: float) -> tuple[Floats, Floats]:
    """Two maps (2, 3) to frame pixels at a time in 0..1: from the portrait's canvas and from the background."""
    wave = np.sin(2 * np.pi * made.rates * time + made.phases) * scene.motion
    zoom, angle = 1 + 0.07 * wave[0], np.radians(4.0 * wave[1])
    pan_x, pan_y = 0.07 * scene.width * wave[2], 0.035 * scene.height * wave[3]
    centre = scene.width / 2
    eyes = (centre + pan_x, scene.height * scene.eye_height + pan_y)
    portrait = _similarity(scene.eye_distance / EYE_DISTANCE * zoom, angle, EYES, eyes)
    middle = (scene.width * REACH / 2, scene.height * REACH / 2)
    # The background is further away: it moves less.
    far = _similarity(1 + 0.4 * (zoom - 1), angle * 0.5, middle, (centre + pan_x * 0.5, scene.height / 2 + pan_y * 0.5))
    return portrait, far


def _light(scene: Scene, made: _Set, time: float) -> Floats:
    """Gain of the light at a time in 0..1: (height, width, 3) float32, brighter on a side that wanders."""
    wave = np.sin(2 * np.pi * made.rates * time + made.phases) * scene.motion
    across = np.linspace(-1, 1, scene.width, dtype=np.float32)[None, :, None] * np.float32(0.13 * wave[4])
    down = np.linspace(-1, 1, scene.height, dtype=np.float32)[:, None, None] * np.float32(0.06 * wave[5])
    gain: Floats = np.float32(1 + 0.09 * wave[6]) * made.tint * (1 + across + down)
    return gain


def film(scene: Scene, index: int, portrait: Portrait) -> Pixels:
    """Frame `index` of the scene with the portrait in front: (height, width, 3) uint8 rgb."""
    made, size = _build(scene), (scene.width, scene.height)
    time = index / max(1, scene.frames)
    near, far = _camera(scene, made, time)
    person = cv2.warpAffine(portrait.rgb, near, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(portrait.alpha, near, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    behind = cv2.warpAffine(made.background, far, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    share = alpha.astype(np.float32)[..., None] / 255
    frame = (behind * (1 - share) + person * share) * _light(scene, made, time)
    x, y = (index * 29) % 48, (index * 17) % 48
    frame += made.noise[y : y + scene.height, x : x + scene.width]
    taken: Pixels = np.clip(np.round(frame), 0, 255).astype(np.uint8)
    return taken


def film_clip(scene: Scene, acting: Acting) -> Iterator[Pixels]:
    """All frames of the scene, the portrait acting in it."""
    for index in range(scene.frames):
        yield film(scene, index, acting(index / max(1, scene.frames)))


def film_mask(scene: Scene, mask: Floats) -> Iterator[Pixels]:
    """A canvas mask under the scene's camera: white where the manipulation is, one frame as the clip's."""
    made, size = _build(scene), (scene.width, scene.height)
    white = np.where(mask > 0.5, 255, 0).astype(np.uint8)
    for index in range(scene.frames):
        near, _ = _camera(scene, made, index / max(1, scene.frames))
        yield np.repeat(cv2.warpAffine(white, near, size)[..., None], 3, axis=2)
