from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.curation.quality import measure
from mmidd.errors import DataError, MissingExtra
from mmidd.faces import align
from mmidd.sampledata import people, pictures, portraits, scenes, warp
from mmidd.sampledata.pictures import COLLINS, EYE_DISTANCE, EYES, HEIGHT, HOPPER, INDEX, WIDTH, SamplePicture
from mmidd.video.picture import Pixels

ALIKE = 12  # bits of 64: nearer perceptual hashes would be taken for duplicates


def _on_grey(portrait: pictures.Portrait) -> npt.NDArray[np.uint8]:
    return portraits.blend(
        np.full_like(portrait.rgb, 128), portrait.rgb, portrait.alpha.astype(np.float32) / np.float32(255)
    )


def _in_a_room(portrait: pictures.Portrait) -> npt.NDArray[np.uint8]:
    return scenes.film(scenes.Scene(11, WIDTH, HEIGHT, eye_distance=EYE_DISTANCE, motion=0.0), 0, portrait)


@pytest.mark.parametrize("margin", [1.0, 1.15, 1.3, 1.6])
@pytest.mark.parametrize("place", [_on_grey, _in_a_room])
def test_no_two_identities_are_near_duplicates_in_aligned_crops(
    place: Callable[[pictures.Portrait], npt.NDArray[np.uint8]], margin: float
) -> None:
    hashes = {}
    for person in people.PEOPLE:
        picture = place(people.portrait_of(person))
        points = people.portrait_of(person).points[:5].copy()
        if place is _in_a_room:
            points += (0, HEIGHT * 0.42 - EYES[1])
        crop = align.warp(Pixels(picture), align.similarity(points, size=256, margin=margin), size=256)
        hashes[person.name] = int(measure(crop).phash, 16)
    assert len(hashes) >= 8
    distances = {pair: (hashes[pair[0]] ^ hashes[pair[1]]).bit_count() for pair in combinations(hashes, 2)}
    nearest = min(distances, key=distances.__getitem__)
    assert distances[nearest] > ALIKE, f"{nearest}: {distances[nearest]} bits"


@pytest.mark.parametrize("picture", [COLLINS, HOPPER])
def test_the_canvas_has_the_eyes_level_and_in_place(picture: SamplePicture) -> None:
    portrait = pictures.canonical(picture)
    left, right = portrait.points[0], portrait.points[1]
    assert np.allclose((left + right) / 2, EYES, atol=0.01)
    assert np.allclose(right - left, (EYE_DISTANCE, 0), atol=0.01)
    assert portrait.rgb.shape == (HEIGHT, WIDTH, 3)
    assert portrait.alpha[0].max() == 0, "air above the head"
    assert all(portrait.alpha[int(y), int(x)] == 255 for x, y in portrait.points[:5])


def test_a_portrait_mirrored_twice_is_itself() -> None:
    portrait = pictures.canonical(COLLINS)
    once = portraits.mirror(portrait)
    twice = portraits.mirror(once)
    assert once.points[INDEX["eye_l"], 0] < once.points[INDEX["eye_r"], 0]
    assert np.array_equal(twice.rgb, portrait.rgb)
    assert np.allclose(twice.points, portrait.points)


def test_a_warp_brings_the_marked_points_where_it_should() -> None:
    original = np.array([(180, 120), (290, 130), (235, 210)], np.float32)
    moved = original + np.array([(9, -4), (0, 8), (-12, 6)], np.float32)
    back = warp.displacement(WIDTH, HEIGHT, moved, original)
    for (x, y), (from_x, from_y) in zip(moved.astype(int), original, strict=True):
        assert np.allclose(back[y, x] + (x, y), (from_x, from_y), atol=0.6)
    assert np.abs(back[0, 0]).max() < 1e-3, "the corner stays"


def test_a_missing_package_names_the_extra_to_install() -> None:
    with pytest.raises(MissingExtra, match=r"mmidd\[sample\]"):
        pictures.picture_path(SamplePicture("no_such_package_of_mmidd", "a.png", (), ()))


def test_a_package_without_the_picture_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match=r"nowhere\.png"):
        pictures.picture_path(SamplePicture("numpy", "nowhere.png", (), ()))


def test_the_pictures_are_found_without_importing_their_packages() -> None:
    code = (
        "import sys; from mmidd.sampledata import people; people.portrait_of(people.PEOPLE[4]); "
        "print(sorted({'skimage', 'matplotlib', 'torch'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
