"""Ten pseudo-identities, made from the two pictures by strong shape and colour warps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from mmidd.sampledata import portraits
from mmidd.sampledata.pictures import (
    COLLINS,
    CONTOUR,
    EYES,
    FACE,
    HAIR,
    HOPPER,
    INDEX,
    Portrait,
    SamplePicture,
    canonical,
)
from mmidd.sampledata.warp import Pixels, Points


@dataclass(frozen=True)
class Person:
    """The recipe of a pseudo-identity; the factors are relative to the picture it starts from."""

    name: str
    head: SamplePicture
    other: float = 0.0  # share of the other picture's face, shape and texture
    mirrored: bool = False
    face_width: float = 1.0
    jaw_width: float = 1.0
    chin: float = 0.0  # pixels downwards
    eyes: float = 1.0  # distance of eyes and brows
    brows: float = 0.0  # pixels upwards
    nose: float = 0.0  # pixels downwards
    mouth: float = 1.0  # width
    hair: tuple[float, float] = (1.0, 1.0)  # width and height
    skin: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gain per channel
    gamma: float = 1.0  # of the skin; above 1 is darker
    hair_tint: tuple[float, float, float] | None = None
    cloth_tint: tuple[float, float, float] | None = None
    light: tuple[float, float] = (0.0, 0.0)  # to the right, downwards: log2 gain over half a face


PEOPLE = (
    Person("ada", COLLINS, light=(-0.74, 0.43)),
    Person("ben", HOPPER, light=(0.74, 0.42), hair=(1.0, 0.95)),
    Person(
        "cleo",
        COLLINS,
        mirrored=True,
        face_width=1.14,
        jaw_width=1.18,
        eyes=1.1,
        chin=-6,
        mouth=1.14,
        hair=(1.12, 1.06),
        skin=(0.72, 0.55, 0.45),
        gamma=1.35,
        hair_tint=(0.10, 0.08, 0.08),
        cloth_tint=(0.55, 0.62, 0.85),
        light=(-0.61, 0.35),
    ),
    Person(
        "dov",
        HOPPER,
        mirrored=True,
        face_width=0.86,
        jaw_width=0.82,
        chin=12,
        eyes=0.92,
        nose=4,
        mouth=0.86,
        hair=(0.9, 1.05),
        skin=(0.80, 0.60, 0.48),
        gamma=1.3,
        hair_tint=(0.45, 0.10, 0.10),
        cloth_tint=(0.55, 0.2, 0.2),
        light=(0.0, -0.3),
    ),
    Person(
        "eve",
        COLLINS,
        other=0.6,
        face_width=1.04,
        jaw_width=1.1,
        brows=-3,
        hair=(0.96, 0.94),
        skin=(1.05, 1.0, 0.95),
        hair_tint=(0.62, 0.62, 0.66),
        cloth_tint=(0.3, 0.6, 0.35),
        light=(0.42, -0.74),
    ),
    Person(
        "fay",
        HOPPER,
        other=0.65,
        face_width=0.95,
        eyes=1.06,
        chin=-4,
        mouth=1.1,
        skin=(1.05, 1.02, 1.0),
        gamma=0.85,
        hair_tint=(0.75, 0.68, 0.5),
        cloth_tint=(0.4, 0.45, 0.5),
        light=(0.42, -0.74),
    ),
    Person(
        "gil",
        COLLINS,
        face_width=0.82,
        jaw_width=0.84,
        chin=14,
        eyes=0.9,
        nose=7,
        mouth=0.84,
        brows=4,
        hair=(0.8, 1.1),
        skin=(0.98, 0.92, 0.95),
        hair_tint=(0.13, 0.09, 0.07),
        cloth_tint=(0.2, 0.22, 0.26),
        light=(0.74, 0.42),
    ),
    Person(
        "hal",
        HOPPER,
        face_width=1.16,
        jaw_width=1.24,
        chin=2,
        eyes=1.1,
        nose=-4,
        mouth=1.2,
        hair=(1.12, 0.86),
        skin=(1.1, 1.04, 1.04),
        gamma=0.9,
        hair_tint=(0.24, 0.42, 0.3),
        cloth_tint=(0.3, 0.45, 0.3),
        light=(-0.35, 0.61),
    ),
    Person(
        "ida",
        COLLINS,
        other=0.35,
        mirrored=True,
        face_width=0.94,
        jaw_width=0.9,
        nose=3,
        chin=6,
        hair=(1.05, 0.86),
        skin=(0.9, 0.74, 0.6),
        gamma=1.15,
        hair_tint=(0.5, 0.22, 0.1),
        cloth_tint=(0.8, 0.75, 0.3),
        light=(0.35, -0.61),
    ),
    Person(
        "jon",
        HOPPER,
        other=0.3,
        mirrored=True,
        face_width=1.06,
        jaw_width=0.94,
        brows=3,
        mouth=0.92,
        hair=(1.02, 1.1),
        skin=(0.62, 0.46, 0.36),
        gamma=1.45,
        hair_tint=(0.7, 0.7, 0.72),
        cloth_tint=(0.75, 0.7, 0.65),
        light=(0.35, -0.61),
    ),
)


def deform(person: Person, points: Points) -> Points:
    """The person's shape: the factors applied to landmarks on the canvas, about the face's middle line."""
    moved = points.copy()
    axis = points[:2, 0].mean()

    def scale(names: slice | list[int], factor: float) -> None:
        moved[names, 0] = axis + (moved[names, 0] - axis) * factor

    def at(*names: str) -> list[int]:
        return [INDEX[name] for name in names]

    brows = at("brow_l_out", "brow_l_in", "brow_r_in", "brow_r_out")
    scale(CONTOUR, person.face_width)
    scale(at("jaw_l", "jaw_r", "cheek_l", "cheek_r"), person.jaw_width / person.face_width)
    scale([*at("eye_l", "eye_r"), *brows], person.eyes)
    scale(at("mouth_l", "mouth_r"), person.mouth)
    scale(HAIR, person.hair[0])
    moved[brows, 1] -= person.brows
    moved[at("nose"), 1] += person.nose
    moved[at("mouth_l", "mouth_r", "lip_top", "lip_bottom"), 1] += person.nose * 0.7 + person.chin * 0.35
    moved[at("chin"), 1] += person.chin
    moved[at("jaw_l", "jaw_r"), 1] += person.chin * 0.6
    crown = at("crown")
    moved[crown, 1] = EYES[1] + (moved[crown, 1] - EYES[1]) * person.hair[1]
    return moved


def _donate(head: Portrait, donor: Portrait, share: float) -> Portrait:
    """`share` of the donor's face texture on a head of the same points."""
    mask = portraits.face_mask(head.points, 0.95, 7.0)
    coloured = portraits.match_colours(donor.rgb, head.rgb, mask, 0.85)
    return replace(head, rgb=portraits.blend(head.rgb, coloured, mask * share))


def _dress(person: Person, portrait: Portrait) -> Pixels:
    skin, hair, clothes = portraits.regions(portrait)
    luma = cv2.cvtColor(portrait.rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    calm = 0.8 * portrait.rgb.astype(np.float32) / 255 + 0.2 * luma
    value = calm * np.maximum(luma, 0.02) ** (person.gamma - 1) * np.array(person.skin, np.float32)
    rgb = portraits.blend(portrait.rgb, np.clip(value * 255, 0, 255).astype(np.uint8), skin)
    if person.hair_tint:
        rgb = portraits.tint(rgb, hair, person.hair_tint)
    if person.cloth_tint:
        rgb = portraits.tint(rgb, clothes, person.cloth_tint)
    return rgb


@cache
def portrait_of(person: Person) -> Portrait:
    """The pseudo-identity's portrait. Pure in the recipe and the two installed pictures."""
    head = canonical(person.head)
    other = canonical(HOPPER if person.head is COLLINS else COLLINS)
    if person.mirrored:
        head, other = portraits.mirror(head), portraits.mirror(other)
    shape = head.points.copy()
    shape[FACE] += person.other * (other.points[FACE] - head.points[FACE])
    shape = deform(person, shape)
    portrait = portraits.reshape(head, shape)
    if person.other:
        portrait = _donate(portrait, portraits.reshape(other, shape), person.other)
    return replace(portrait, rgb=portraits.illuminate(_dress(person, portrait), person.light))
