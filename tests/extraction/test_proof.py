"""Shared geometry is a claim: what a fake's pixels say of it, in clips that were zoomed, cut, moved or paired wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mmidd.extraction.medium import MediumSamples, Way, video_crops
from mmidd.extraction.sample import Fix, TrackRecord
from mmidd.faces.choose import make_detector
from mmidd.recipe import parse
from mmidd.sampledata import fakes, media, people, scenes
from mmidd.sampledata.people import PEOPLE
from mmidd.sampledata.scenes import Scene
from mmidd.stages import extract

Pixels = npt.NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]

SIDE, FRAMES, PLANNED = 240, 24, 8
SCENE = Scene(11, SIDE, SIDE, FRAMES, eye_distance=44, motion=1.0)
OTHER = Scene(23, SIDE, SIDE, FRAMES, eye_distance=44, motion=1.0)


def _film(scene: Scene, number: int) -> list[Pixels]:
    return list(scenes.film_clip(scene, fakes.act(people.portrait_of(PEOPLE[number]), fakes.talk(number))))


def _swapped(method: str) -> list[Pixels]:
    portraits = people.portrait_of(PEOPLE[0]), people.portrait_of(PEOPLE[6])
    return list(scenes.film_clip(SCENE, fakes.swapped_act(*portraits, fakes.SWAPS[method], fakes.talk(0), 7)))


def _affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Change:
    matrix = np.array([[a, b, c], [d, e, f]], np.float32)
    return lambda frame: np.asarray(cv2.warpAffine(frame, matrix, (SIDE, SIDE)), np.uint8)


def _zoom(factor: float) -> Change:
    off = SIDE / 2 * (1 - factor)
    return _affine(factor, 0, off, 0, factor, off)


def _letterboxed(frame: Pixels) -> Pixels:
    high = SIDE * 3 // 4
    made = np.zeros_like(frame)
    made[(SIDE - high) // 2 :][:high] = cv2.resize(frame, (SIDE, high), interpolation=cv2.INTER_AREA)
    return made


def _darker(frame: Pixels) -> Pixels:
    return np.asarray(np.clip(frame * 0.7 + 20, 0, 255), np.uint8)


def _halved(frame: Pixels) -> Pixels:
    return np.asarray(cv2.resize(frame, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _bare(frame: Pixels) -> Pixels:
    """The face is painted over: nobody is there, but the picture is its real's."""
    made = frame.copy()
    cv2.ellipse(made, (SIDE // 2, SIDE // 2), (55, 75), 0, 0, 360, (90, 80, 70), -1)
    return made


@dataclass(frozen=True)
class Bench:
    """A real with its track record, and what becomes of clips that are said to be fakes of it."""

    folder: Path
    way: Way
    track: TrackRecord
    frames: list[Pixels]
    swapped: list[Pixels]

    def cut(self, frames: list[Pixels], *, shared: bool = True) -> MediumSamples:
        path = self.folder / "fake.mp4"
        media.write_video(path, iter(frames), fps=25)
        return video_crops(path, PLANNED, Way(self.way.config, self.way.detector, track=self.track if shared else None))


def _track(crops: MediumSamples) -> TrackRecord:
    fixes: dict[int, tuple[Fix, ...]] = {}
    views: dict[int, bytes] = {}
    for sample in crops.samples:
        assert sample.fix is not None
        fixes[sample.frame] = (*fixes.get(sample.frame, ()), sample.fix)
        view = sample.view or sample.context
        views |= {sample.frame: view} if view else {}
    return TrackRecord(crops.planned, fixes, views)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("proof")
    config = extract.config(parse("name: t\ndatasets: [CelebA]\n", "r.yaml", ["detector=mtcnn", "image.format=png"]))
    way = Way(config, make_detector(config.detector, "cpu"), led=True)
    frames = _film(SCENE, 0)
    media.write_video(folder / "real.mp4", iter(frames), fps=25)
    track = _track(video_crops(folder / "real.mp4", PLANNED, way))
    assert len(track.views) == 5 and track.people == {0}
    return Bench(folder, way, track, frames, _swapped("Deepfakes"))


@pytest.mark.parametrize("method", ["Deepfakes", "FaceSwap", "FaceShifter"])
@pytest.mark.parametrize("change", [None, _darker], ids=["as it is", "darker"])
def test_a_fake_of_its_real_is_cut_where_that_was(bench: Bench, method: str, change: Change | None) -> None:
    frames = _swapped(method)
    found = bench.cut([change(frame) for frame in frames] if change else frames)
    assert found.facts["pair_check"] == "proved"
    assert {sample.geometry for sample in found.samples} == {"shared"}
    assert [sample.fix for sample in found.samples] == [fix for (fix,) in bench.track.fixes.values()]


CASES: dict[str, tuple[Callable[[Bench], Iterator[Pixels]], str]] = {
    "zoomed": (lambda b: map(_zoom(1.3), b.swapped), "other_picture"),
    "zoomed out": (lambda b: map(_zoom(0.7), b.swapped), "other_picture"),
    "moved": (lambda b: map(_affine(1, 0, 40, 0, 1, 0), b.swapped), "other_picture"),
    "mirrored": (lambda b: map(_affine(-1, 0, SIDE - 1, 0, 1, 0), b.swapped), "other_picture"),
    "upside down": (lambda b: map(_affine(-1, 0, SIDE - 1, 0, -1, SIDE - 1), b.swapped), "other_picture"),
    "letterboxed": (lambda b: map(_letterboxed, b.swapped), "other_picture"),
    "paired wrongly": (lambda b: iter(_film(OTHER, 3)), "other_picture"),
    "a ceiling": (lambda b: iter([np.full((SIDE, SIDE, 3), 200, np.uint8)] * FRAMES), "other_picture"),
    "half of another clip": (lambda b: iter([*b.swapped[: FRAMES // 2], *_film(OTHER, 3)[FRAMES // 2 :]]), "other_picture"),
    "in half size": (lambda b: map(_halved, b.swapped), "other_size"),
    "another clip in half size": (lambda b: map(_halved, _film(OTHER, 3)), "other_picture"),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_fake_that_does_not_fit_its_real_is_cut_on_its_own_and_says_why(bench: Bench, case: str) -> None:
    make, check = CASES[case]
    frames = list(make(bench))
    found, alone = bench.cut(frames), bench.cut(frames, shared=False)
    assert (found.facts["pair_check"], found.facts["geometry_note"] != "") == (check, True)
    assert [sample.image for sample in found.samples] == [sample.image for sample in alone.samples]
    assert {sample.geometry for sample in found.samples} <= {"own"}


def test_a_fake_at_another_time_is_known_by_the_pictures_around_the_face(bench: Bench, tmp_path: Path) -> None:
    wide = Scene(11, SIDE, SIDE, 3 * FRAMES, eye_distance=44, motion=3.0)
    moving = [np.ascontiguousarray(np.roll(frame, 6 * at, 1)) for at, frame in enumerate(_film(wide, 0))]
    media.write_video(tmp_path / "real.mp4", iter(moving[:FRAMES]), fps=25)
    track = _track(video_crops(tmp_path / "real.mp4", PLANNED, bench.way))
    media.write_video(tmp_path / "fake.mp4", iter(moving[6 : FRAMES + 6]), fps=25)
    found = video_crops(tmp_path / "fake.mp4", PLANNED, Way(bench.way.config, bench.way.detector, track=track))
    assert found.facts["pair_check"] in ("other_time", "other_picture") and {s.geometry for s in found.samples} == {"own"}


def test_a_fake_without_a_face_that_shows_its_reals_picture_is_told_apart(bench: Bench) -> None:
    found = bench.cut([_bare(frame) for frame in bench.swapped])
    assert found.facts["pair_check"] == "unseen" and {sample.geometry for sample in found.samples} == {"shared"}


def test_a_track_record_without_views_proves_nothing(bench: Bench) -> None:
    bare = TrackRecord(bench.track.planned, bench.track.fixes)
    media.write_video(bench.folder / "bare.mp4", iter(bench.swapped), fps=25)
    found = video_crops(bench.folder / "bare.mp4", PLANNED, Way(bench.way.config, bench.way.detector, track=bare))
    assert found.facts["pair_check"] == "unchecked"
