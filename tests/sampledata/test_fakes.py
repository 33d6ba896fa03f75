from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.sampledata import fakes, people, portraits, scenes, shots
from mmidd.sampledata.fakes import Acting, Expression
from mmidd.sampledata.people import PEOPLE
from mmidd.sampledata.scenes import Scene

SCENE = Scene(3, 320, 240, frames=6, eye_distance=44)
TARGET, SOURCE = people.portrait_of(PEOPLE[0]), people.portrait_of(PEOPLE[3])
PERFORMANCE = fakes.talk(5)


def _film(acting: Acting) -> npt.NDArray[np.float32]:
    return np.stack(list(scenes.film_clip(SCENE, acting))).astype(np.float32)


def _face() -> npt.NDArray[np.bool_]:
    """Where the target's face (grown as far as any fake reaches) is in each frame of the scene."""
    mask = portraits.face_mask(TARGET.points, 1.45, 0)
    return np.stack(list(scenes.film_mask(SCENE, mask)))[..., 0] > 0


CLIPS = {
    **{name: fakes.swapped_act(TARGET, SOURCE, style, PERFORMANCE, 1) for name, style in fakes.SWAPS.items()},
    "Face2Face": fakes.reenact(TARGET, fakes.talk(9, 2.2), mouth_only=False),
    "NeuralTextures": fakes.reenact(TARGET, fakes.talk(9, 2.2), mouth_only=True),
    "inpainting": fakes.act(fakes.inpaint(TARGET, SOURCE), PERFORMANCE),
}


@pytest.mark.parametrize("method", CLIPS)
def test_a_fake_differs_from_its_real_inside_the_face_and_hardly_outside(method: str) -> None:
    real = _film(fakes.act(TARGET, PERFORMANCE))
    difference = np.abs(_film(CLIPS[method]) - real).mean(axis=-1)
    face = _face()
    assert difference[~face].max() <= 1
    assert difference[~face].mean() < 0.001
    for frame, inside in zip(difference, face, strict=True):
        assert frame[inside].mean() > 0.4


@pytest.mark.parametrize("kind", ["hair", "skin", "lips", "glasses", "smile", "age"])
def test_an_edit_changes_the_person_and_not_the_place(kind: fakes.Edit) -> None:
    edited = fakes.edit(TARGET, kind)
    assert np.array_equal(edited.alpha, TARGET.alpha)
    assert np.abs(edited.rgb.astype(int) - TARGET.rgb).max() > 30
    before, after = (scenes.film(SCENE, 0, portrait).astype(int) for portrait in (TARGET, edited))
    assert np.array_equal(before[:60, :60], after[:60, :60])


def test_edits_are_local() -> None:
    lips = np.abs(fakes.edit(TARGET, "lips").rgb.astype(int) - TARGET.rgb).max(axis=-1)
    eyes = TARGET.points[:2].mean(axis=0).astype(int)
    assert lips[: eyes[1] + 20].max() == 0
    assert lips.max() > 20


def test_a_morph_is_none_of_its_members() -> None:
    members = [people.portrait_of(PEOPLE[i]) for i in (0, 2, 6)]
    morph = fakes.morph(members, [1, 1, 1])
    for member in members:
        assert np.abs(morph.rgb.astype(int) - member.rgb).mean() > 5
    alone = fakes.morph(members, [1, 0, 0])
    assert np.allclose(alone.points, members[0].points, atol=1e-3)
    assert np.abs(alone.rgb.astype(int) - members[0].rgb).max() <= 1


def test_an_expression_at_rest_leaves_the_portrait_as_it_is() -> None:
    assert np.array_equal(fakes.express(TARGET, Expression()).rgb, TARGET.rgb)


def test_reenactment_moves_over_time() -> None:
    frames = [CLIPS["Face2Face"](time).points for time in (0.0, 0.3, 0.6)]
    assert np.abs(frames[0] - frames[1]).max() > 1
    assert np.abs(frames[1] - frames[2]).max() > 1


def test_the_camera_and_the_light_move() -> None:
    first, last = islice(scenes.film_clip(SCENE, lambda _: TARGET), 0, 6, 5)
    assert np.abs(first.astype(int) - last).mean() > 4


def test_a_scene_is_the_same_each_time_it_is_filmed() -> None:
    once = _film(CLIPS["FaceSwap"])
    scenes._build.cache_clear()
    assert np.array_equal(once, _film(CLIPS["FaceSwap"]))


def test_an_unknown_method_is_refused() -> None:
    shot = shots.clip(PEOPLE[0], "any", tiny=True)
    with pytest.raises(ValueError, match="Teleport"):
        shots._acting(shot, "Teleport", PEOPLE[1])
