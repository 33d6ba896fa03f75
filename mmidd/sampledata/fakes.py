"""Forgeries of all four types by classical means: blended swap, expression warp, whole-face morph, local edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.sampledata import portraits, warp
from mmidd.sampledata.pictures import HEIGHT, INDEX, NAMES, WIDTH, Portrait
from mmidd.sampledata.warp import Map, Pixels, Points

Acting = Callable[[float], Portrait]
Edit = Literal["hair", "skin", "lips", "glasses", "smile", "age"]

FACE_REACH = 1.2  # what an expression may move: the face's contour, grown by this


@dataclass(frozen=True)
class Expression:
    """A face's moves from rest, in canvas pixels: mouth open, its corners up, brows up, frown, head to the right."""

    open: float = 0.0
    smile: float = 0.0
    brows: float = 0.0
    frown: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True)
class Swap:
    """How a method blends: size and softness of its mask, its own resolution, colour matching, jitter per frame."""

    grow: float
    feather: float
    resolution: int  # pixels across the canvas that the generator works at
    colour: float
    jitter: float = 0.0


SWAPS = {
    "Deepfakes": Swap(0.88, 5.0, 190, 0.8),
    "FaceSwap": Swap(0.97, 2.0, WIDTH, 0.55, jitter=0.8),
    "FaceShifter": Swap(0.94, 9.0, 330, 1.0),
    "DeepFakeDetection": Swap(0.9, 6.0, 300, 0.9),
    "Celeb-synthesis": Swap(0.93, 8.0, 280, 1.0),
    "DFDC": Swap(0.9, 4.0, 210, 0.7, jitter=0.5),
    "insight": Swap(0.94, 7.0, 300, 0.95),
}


def _moves(expression: Expression) -> Points:
    """The expression as moves of the portrait's points: (len(NAMES), 2) canvas pixels."""
    moves = np.zeros((len(NAMES), 2), np.float32)

    def add(x: float, y: float, *names: str) -> None:
        for name in names:
            moves[INDEX[name]] += (x, y)

    add(0, expression.open, "lip_bottom")
    add(0, expression.open * 0.75, "chin")
    add(0, expression.open * 0.45, "mouth_l", "mouth_r", "jaw_l", "jaw_r")
    add(0, -expression.open * 0.2, "lip_top")
    add(-expression.smile * 0.9, -expression.smile, "mouth_l")
    add(expression.smile * 0.9, -expression.smile, "mouth_r")
    add(0, -expression.brows, "brow_l_out", "brow_l_in", "brow_r_in", "brow_r_out")
    add(0, -expression.brows * 0.2, "eye_l", "eye_r")
    add(0, expression.frown, "brow_l_in", "brow_r_in", "brow_l_out", "brow_r_out")
    add(expression.turn, 0, "nose")
    add(expression.turn * 0.7, 0, "lip_top", "lip_bottom", "brow_l_in", "brow_r_in")
    add(expression.turn * 0.55, 0, "eye_l", "eye_r", "mouth_l", "mouth_r", "chin")
    return moves


@lru_cache(maxsize=16)
def _rig(portrait: Portrait) -> tuple[Points, Map]:
    """What `express` needs of a portrait: the points' influence on the warp, and where the warp may act."""
    mask = portraits.face_mask(portrait.points, FACE_REACH, 6.0)
    return warp.influence(WIDTH, HEIGHT, portrait.points), mask[..., None]


def express(portrait: Portrait, expression: Expression) -> Portrait:
    """The portrait with another expression; nothing moves outside the face."""
    influence, mask = _rig(portrait)
    moves = _moves(expression)
    back = warp.dense(-(influence @ moves), WIDTH, HEIGHT) * mask
    return Portrait(warp.apply(portrait.rgb, back), portrait.alpha, portrait.points + moves)


def talk(seed: int, strength: float = 1.0) -> Callable[[float], Expression]:
    """A performance: the expression at a time in 0..1, speaking and moving as the seed says."""
    rng = np.random.default_rng([seed, 11])
    phases, rates = rng.uniform(0, 2 * np.pi, 5), rng.uniform((3, 0.7, 0.8, 1.5, 0.5), (5, 1.6, 1.8, 3, 1.1))

    def at(time: float) -> Expression:
        wave = strength * np.sin(2 * np.pi * rates * time + phases)
        speak = float(max(0.0, 0.35 * strength + 0.65 * wave[0]))
        return Expression(4.0 * speak, 1.6 * wave[1], 1.6 * wave[2], max(0.0, float(wave[3])) * 0.8, 2.2 * wave[4])

    return at


def act(portrait: Portrait, performance: Callable[[float], Expression]) -> Acting:
    """The portrait in motion."""
    return lambda time: express(portrait, performance(time))


def swap(target: Portrait, source: Portrait, style: Swap) -> Portrait:
    """The source's face in the target's: warped landmark to landmark, colours matched, blended by a soft mask."""
    moved = portraits.reshape(source, target.points).rgb
    if style.resolution < WIDTH:
        small = (style.resolution, round(style.resolution * HEIGHT / WIDTH))
        moved = cv2.resize(
            cv2.resize(moved, small, interpolation=cv2.INTER_AREA), (WIDTH, HEIGHT), None, 0, 0, cv2.INTER_CUBIC
        )
    mask = portraits.face_mask(target.points, style.grow, style.feather)
    matched = portraits.match_colours(moved, target.rgb, mask, style.colour)
    return replace(target, rgb=portraits.blend(target.rgb, matched, mask))


def swapped_act(
    target: Portrait, source: Portrait, style: Swap, performance: Callable[[float], Expression], seed: int
) -> Acting:
    """A swap that follows the target's performance; a jittering method places the face a little off in every frame."""
    still = swap(target, source, style)
    if not style.jitter:
        return act(still, performance)

    def at(time: float) -> Portrait:
        rng = np.random.default_rng([seed, round(time * 1e6)])
        shift = rng.normal(0, style.jitter, 2).clip(-2, 2)
        off = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        moved = cv2.warpAffine(still.rgb, off, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = portraits.face_mask(target.points, style.grow * 0.98, style.feather)
        return express(replace(target, rgb=portraits.blend(target.rgb, moved, mask)), performance(time))

    return at


def reenact(target: Portrait, donor: Callable[[float], Expression], mouth_only: bool) -> Acting:
    """The target's own face under a donor's performance. A mouth-only method re-renders (softens) just the mouth."""

    def at(time: float) -> Portrait:
        expression = donor(time)
        if not mouth_only:
            return express(target, expression)
        moved = express(target, Expression(expression.open * 1.2, expression.smile * 1.2))
        lips = moved.points[[INDEX["mouth_l"], INDEX["lip_top"], INDEX["mouth_r"], INDEX["lip_bottom"]]]
        middle = lips.mean(axis=0)
        mask = warp.soft_mask(WIDTH, HEIGHT, warp.curve(middle + (lips - middle) * (1.3, 1.7)), 3.0)
        return replace(moved, rgb=portraits.blend(moved.rgb, cv2.GaussianBlur(moved.rgb, (0, 0), 1.1), mask))

    return at


def morph(members: Sequence[Portrait], weights: Sequence[float]) -> Portrait:
    """A new person: the weighted mean of several, in shape and in texture. Members should share a head of hair."""
    share = np.array(weights, np.float32) / np.float32(sum(weights))
    points = np.tensordot(share, np.stack([member.points for member in members]), 1)
    moved = [portraits.reshape(member, points.astype(np.float32)) for member in members]
    rgb, alpha = (np.tensordot(share, np.stack(layers).astype(np.float32), 1) for layers in _layers(moved))
    return Portrait(_round(rgb), _round(alpha), points.astype(np.float32))


def _layers(portraits: Sequence[Portrait]) -> tuple[list[Pixels], list[Pixels]]:
    return [portrait.rgb for portrait in portraits], [portrait.alpha for portrait in portraits]


def inpaint(target: Portrait, new: Portrait) -> Portrait:
    """The face region of the target painted anew with a morph's face."""
    return swap(target, new, Swap(1.0, 8.0, 360, 0.9))


def _round(values: npt.NDArray[np.float32]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def edit(portrait: Portrait, kind: Edit, colour: tuple[float, float, float] = (0.45, 0.12, 0.1)) -> Portrait:
    """One attribute of a face changed: hair, skin or lips recoloured, glasses drawn, a smile pulled, an older skin."""
    if kind == "smile":
        return express(portrait, Expression(open=1.0, smile=7.0, frown=1.5))
    if kind == "glasses":
        return replace(portrait, rgb=_glasses(portrait))
    if kind == "lips":
        return replace(portrait, rgb=portraits.tint(portrait.rgb, _lips(portrait.points), colour))
    skin, hair, _ = portraits.regions(portrait)
    if kind == "hair":
        return replace(portrait, rgb=portraits.tint(portrait.rgb, hair, colour))
    face = skin * portraits.face_mask(portrait.points, 1.1, 5.0)
    if kind == "skin":
        toned = _round(portrait.rgb * (0.35 + 0.9 * np.array(colour, np.float32)))
        return replace(portrait, rgb=portraits.blend(portrait.rgb, toned, face * 0.85))
    soft = cv2.GaussianBlur(portrait.rgb, (0, 0), 2.0).astype(np.float32)
    lined = _round(portrait.rgb + 1.6 * (portrait.rgb - soft))
    return replace(portrait, rgb=portraits.blend(portrait.rgb, lined, face))


def _lips(points: Points) -> warp.Map:
    names = ("mouth_l", "lip_top", "mouth_r", "lip_bottom")
    return warp.soft_mask(WIDTH, HEIGHT, warp.curve(points[[INDEX[name] for name in names]]), 2.0)


def _glasses(portrait: Portrait) -> Pixels:
    rgb = portrait.rgb.copy()
    left, right = portrait.points[0], portrait.points[1]
    radius = float(np.linalg.norm(right - left)) * 0.34
    frame = (28, 24, 30)

    def at(point: Points) -> tuple[int, int]:
        return round(float(point[0]) * 16), round(float(point[1]) * 16)

    axes = (round(radius * 16), round(radius * 0.8 * 16))
    for eye in (left, right):
        cv2.ellipse(rgb, at(eye), axes, 0, 0, 360, frame, 3, cv2.LINE_AA, shift=4)
    step = np.array([radius, 0], np.float32)
    cv2.line(rgb, at(left + step), at(right - step), frame, 3, cv2.LINE_AA, shift=4)
    for eye, side, temple in ((left, -step, "temple_l"), (right, step, "temple_r")):
        cv2.line(rgb, at(eye + side), at(portrait.points[INDEX[temple]]), frame, 3, cv2.LINE_AA, shift=4)
    return rgb


def manipulated(target: Portrait, style: Swap) -> Map:
    """The swap's mask on the canvas: (HEIGHT, WIDTH) float32 in 0..1."""
    return portraits.face_mask(target.points, style.grow, style.feather)
