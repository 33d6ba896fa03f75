"""What is filmed for one file of a sample dataset: who, where, by which method, written how."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from mmidd.sampledata import fakes, media, people, portraits, scenes
from mmidd.sampledata.fakes import Acting, Edit
from mmidd.sampledata.people import Person
from mmidd.sampledata.pictures import Portrait
from mmidd.sampledata.scenes import Scene
from mmidd.sampledata.warp import Pixels

Writer = Callable[[Path], None]

FRAME_SIZES = ((480, 360), (400, 300), (320, 240), (424, 240))
RATES = (25, 30, 24)
COLOURS: dict[Edit, tuple[tuple[float, float, float], ...]] = {
    "hair": ((0.08, 0.07, 0.08), (0.75, 0.6, 0.3), (0.4, 0.2, 0.1), (0.6, 0.6, 0.62)),
    "skin": ((0.85, 0.7, 0.6), (0.5, 0.38, 0.3), (0.8, 0.62, 0.42)),
    "lips": ((0.7, 0.1, 0.15), (0.55, 0.1, 0.35)),
}
FACE_SWAP_SHORT = 3  # FaceSwap's clips end a few frames before their reals, as the published ones do


@dataclass(frozen=True)
class File:
    """One file of the sample: its dataset's folder, its POSIX path below that, and what writes it."""

    dataset: str
    path: str
    write: Writer


@dataclass(frozen=True)
class Shot:
    """A real clip: all that its fakes must share with it."""

    person: Person
    scene: Scene
    seed: int
    fps: int


def seed_of(*names: object) -> int:
    """A stable number for a name: 32 bits."""
    return zlib.crc32("/".join(map(str, names)).encode())


def clip(person: Person, name: str, *, tiny: bool, upright: bool = False) -> Shot:
    """The real clip of that name: its place, length, rate and performance follow from the name alone."""
    seed = seed_of("clip", name)
    width, height = (320, 240) if tiny else FRAME_SIZES[seed // 7 % len(FRAME_SIZES)]
    frames = 12 + seed // 5 % 5 if tiny else 24 + seed // 5 % 17
    scene = Scene(seed, width, height, frames, eye_distance=0.185 * height)
    if upright:
        scene = replace(scene, width=height, height=width, eye_distance=0.2 * height, eye_height=0.5)
    return Shot(person, scene, seed, RATES[seed // 3 % len(RATES)])


def real_video(shot: Shot, *, crf: int = 20, rotation: int = 0, uneven: bool = False) -> Writer:
    """A real clip; `rotation` stores it lying down with rotation metadata, `uneven` gives its frames uneven times."""
    times = _uneven_times(shot) if uneven else None

    def write(path: Path) -> None:
        acting = fakes.act(people.portrait_of(shot.person), fakes.talk(shot.seed))
        frames: Iterable[Pixels] = scenes.film_clip(shot.scene, acting)
        if rotation:
            frames = (np.ascontiguousarray(np.rot90(frame, -rotation // 90)) for frame in frames)
        media.write_video(path, frames, fps=shot.fps, crf=crf, times=times, rotation=rotation)

    return write


def _uneven_times(shot: Shot) -> list[int]:
    rng = np.random.default_rng([shot.seed, 3])
    gaps = rng.choice([media.TICKS // 30, media.TICKS // 20, media.TICKS // 12], shot.scene.frames)
    return [0, *(int(t) for t in np.cumsum(gaps)[:-1])]


def fake_video(shot: Shot, method: str, source: Person, *, crf: int = 20) -> Writer:
    """A fake made from the clip, frame by frame over it: a method of `fakes.SWAPS`, Face2Face or NeuralTextures."""
    length = shot.scene.frames - (FACE_SWAP_SHORT if method == "FaceSwap" else 0)

    def write(path: Path) -> None:
        frames = islice(scenes.film_clip(shot.scene, _acting(shot, method, source)), length)
        media.write_video(path, frames, fps=shot.fps, crf=crf)

    return write


def _acting(shot: Shot, method: str, source: Person) -> Acting:
    target = people.portrait_of(shot.person)
    if method in fakes.SWAPS:
        donor = people.portrait_of(source)
        return fakes.swapped_act(target, donor, fakes.SWAPS[method], fakes.talk(shot.seed), shot.seed)
    if method not in ("Face2Face", "NeuralTextures"):
        raise ValueError(f"no sample method {method!r}")
    driving = fakes.talk(seed_of("driving", source.name, shot.seed), 2.2)
    return fakes.reenact(target, driving, mouth_only=method == "NeuralTextures")


def mask_video(shot: Shot, method: str) -> Writer:
    """The swap's mask under the clip's camera."""

    def write(path: Path) -> None:
        mask = fakes.manipulated(people.portrait_of(shot.person), fakes.SWAPS[method])
        media.write_video(path, scenes.film_mask(shot.scene, mask), fps=shot.fps)

    return write


def still(portrait: Callable[[], Portrait], scene: Scene, *, quality: int = 92) -> Writer:
    """One picture of a portrait, which is made when it is written."""

    def write(path: Path) -> None:
        media.write_image(path, scenes.film(scene, 0, portrait()), quality=quality)

    return write


def posed(person: Person, seed: int) -> Portrait:
    """The person in a moment of a performance."""
    return fakes.express(people.portrait_of(person), fakes.talk(seed)(seed % 97 / 97))


def invented(seed: int) -> Portrait:
    """Nobody: a morph of three pseudo-identities that share a head of hair, in a shape and a light of its own."""
    rng = np.random.default_rng([seed, 5])
    heads = [person for person in people.PEOPLE if person.head is people.PEOPLE[seed % 2].head]
    chosen = [heads[i] for i in rng.permutation(len(heads))[:3]]
    portrait = fakes.morph([people.portrait_of(person) for person in chosen], rng.uniform(0.5, 1.5, 3).tolist())
    factors = [float(factor) for factor in rng.uniform(0.9, 1.1, 5)]
    shape = Person(
        "nobody",
        chosen[0].head,
        face_width=factors[0],
        jaw_width=factors[1],
        eyes=factors[2],
        mouth=factors[3],
        hair=(factors[4], factors[0]),
        chin=float(rng.uniform(-6, 8)),
        nose=float(rng.uniform(-3, 4)),
    )
    portrait = portraits.reshape(portrait, people.deform(shape, portrait.points))
    light = (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5)))
    return replace(portrait, rgb=portraits.illuminate(portrait.rgb, light))


def edited(person: Person, seed: int, kind: Edit) -> Portrait:
    """The person with one attribute edited; a new colour follows from the seed."""
    colours = COLOURS.get(kind, ((0.0, 0.0, 0.0),))
    return fakes.edit(posed(person, seed), kind, colours[seed % len(colours)])


def text(content: str) -> Writer:
    """A text file, UTF-8 with plain line feeds."""

    def write(path: Path) -> None:
        path.write_bytes(content.encode())

    return write
