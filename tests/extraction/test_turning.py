"""Which way up a medium is, by where its faces are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmidd.extraction.turning import turn_of
from mmidd.faces.choose import make_detector
from mmidd.faces.detector import DetectorConfig, Faces
from mmidd.media import TURNS
from mmidd.sampledata import people, scenes
from mmidd.sampledata.people import PEOPLE
from mmidd.video import Frame, Picture, Pixels, frame_plan, open_video
from mmidd.video.turned import turned

LANDMARKS = np.zeros((5, 2), np.float32)


def _told(*scores: tuple[float, ...]) -> tuple[int, list[int]]:
    """What is found where the frames' faces have these scores, by turn (0: no face)."""
    told = iter(scores)

    def look(pictures: list[Picture]) -> list[Faces]:
        assert [(each.width, each.height) for each in pictures] == [(8, 6), (6, 8), (8, 6), (6, 8)]
        box = np.array([0, 0, 2, 2], np.float32)
        found = [(box, LANDMARKS, score) for score in next(told)]
        return [Faces(b[None], p[None], np.array([s], np.float32)) if s else Faces.empty() for b, p, s in found]

    turn, seen = turn_of([Frame(at, None, Pixels(np.zeros((6, 8, 3), np.uint8))) for at in range(len(scores))], look)
    assert seen["turn_frames"] == len(scores)
    return turn, seen["turn_faces"]


@pytest.mark.parametrize(
    ("scores", "turn", "faces"),
    [
        ([(0, 0, 0, 0)], 0, [0, 0, 0, 0]),
        ([], 0, [0, 0, 0, 0]),
        ([(0.9, 0, 0.9, 0)], 0, [1, 0, 1, 0]),
        ([(0, 0.9, 0, 0.9)], 0, [0, 1, 0, 1]),
        ([(0.8, 0, 0.9, 0)], 180, [1, 0, 1, 0]),
        ([(0.9, 0, 0.5, 0), (0, 0, 0.5, 0)], 180, [1, 0, 2, 0]),
        ([(0.5, 0.75, 0, 0.5), (0.5, 0.25, 0, 0.75)], 270, [2, 2, 0, 2]),
    ],
)
def test_most_frames_with_a_face_count_then_their_scores_and_nothing_is_turned_on_a_tie(
    scores: list[tuple[float, ...]], turn: int, faces: list[int]
) -> None:
    assert _told(*scores) == (turn, faces)


def test_frames_that_are_lost_say_nothing() -> None:
    turn, seen = turn_of([Frame(0, None, None, "corrupt_frame")], lambda pictures: [])
    assert (turn, seen) == (0, {"turn_frames": 0, "turn_faces": [0, 0, 0, 0]})


@pytest.mark.parametrize("lies", TURNS)
def test_a_drawn_face_is_found_however_it_lies(lies: int) -> None:
    detector = make_detector(DetectorConfig("mtcnn"))
    scene = scenes.Scene(11, 160, 120, 1, eye_distance=30)
    picture = turned(Pixels(scenes.film(scene, 0, people.portrait_of(PEOPLE[0]))), lies)
    assert turn_of([Frame(0, None, picture)], detector.detect)[0] == (360 - lies) % 360


@pytest.mark.parametrize("lies", TURNS)
@pytest.mark.parametrize("name", ["conan_obrien.mp4", "d14.mp4"])
def test_a_person_is_found_however_the_clip_lies(shared_media: Path, name: str, lies: int) -> None:
    detector = make_detector(DetectorConfig("mtcnn", size=320))
    with open_video(shared_media / "videos" / name, "pyav") as video:
        frames = list(video.frames(frame_plan(video.clip.frame_count, 2, "even")))
    assert all(frame.picture for frame in frames)
    lying = [Frame(each.index, None, turned(each.picture, lies)) for each in frames if each.picture]
    assert turn_of(lying, detector.detect)[0] == (360 - lies) % 360
