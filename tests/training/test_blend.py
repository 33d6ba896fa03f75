from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from mmidd.errors import CorpusError, UsageError
from mmidd.training.augment import Augment, Brightness, chance_of
from mmidd.training.blend import FIVE, SelfBlend, blend, outline
from mmidd.training.sample import Sample
from training.pictures import LANDMARKS, face

NEUTRAL = SelfBlend(change=Augment([]), scale=(1, 1), shift=(0, 0))
BRIGHTER = replace(NEUTRAL, change=Augment([Brightness(factor=(1, 1), shift=(0.15, 0.15))]), on_target=0, ratios=(1,))


def _one(sample: Sample, seed: int = 0, how: SelfBlend = blend) -> dict[str, Any]:
    return cast(dict[str, Any], how(sample, chance_of(seed)))


def test_a_blend_is_a_fake_that_says_so_and_leaves_the_real_alone() -> None:
    real = face()
    before = real["image"].clone()
    found = _one(real)
    assert torch.equal(real["image"], before) and real["label"] == 0 and not real["mask"].any()
    assert not torch.equal(found["image"], before) and found["image"].dtype == torch.uint8
    assert (found["label"], found["blended"], found["has_mask"], found["forgery_type"]) == (1, 1, 1, -1)
    assert found["method"] == "SelfBlended" and found["pair"] == found["id"] == real["id"]
    assert torch.equal(found["landmarks"], real["landmarks"]) and found["row"] == real["row"]


def test_it_adds_no_key_that_was_not_asked_for() -> None:
    real = face()
    found = _one(Sample(image=real["image"], landmarks=real["landmarks"], label=0))
    assert set(found) == {"image", "landmarks", "label", "blended"}


def test_the_same_seed_gives_the_same_and_others_differ() -> None:
    found = [_one(face(), seed)["image"].numpy().tobytes() for seed in (1, 1, 2, 3)]
    assert found[0] == found[1] and len(set(found)) == 3


@pytest.mark.parametrize("seed", range(8))
def test_outside_the_mask_the_picture_is_the_target_to_the_bit(seed: int) -> None:
    """It is the real itself where the source was changed, else the real with its statistics changed everywhere."""
    real = face()
    outside = ~_one(real, seed, replace(blend, on_target=0))["mask"][0].bool()
    assert 0.2 < float(outside.float().mean()) < 0.97
    found = _one(real, seed, replace(blend, on_target=0))["image"]
    assert torch.equal(found[:, outside], real["image"][:, outside]) and not torch.equal(found, real["image"])
    changed = _one(real, seed, replace(blend, on_target=1, ratios=(0,)))["image"]
    swapped = _one(real, seed, replace(blend, on_target=1, ratios=(1,)))
    outside = ~swapped["mask"][0].bool()
    assert torch.equal(swapped["image"][:, outside], changed[:, outside])
    assert not torch.equal(changed, real["image"])


def test_with_neutral_numbers_nothing_changes() -> None:
    for seed in range(8):
        found = _one(face(), seed, NEUTRAL)
        assert torch.equal(found["image"], face()["image"]) and found["mask"].any()


def test_the_ratio_is_the_sources_share_in_the_middle() -> None:
    flat = Sample(image=torch.full((3, 96, 96), 100, dtype=torch.uint8), landmarks=LANDMARKS, label=0)
    for ratio in (0.25, 0.5, 1.0):
        found = _one(flat, 0, replace(BRIGHTER, ratios=(ratio,)))["image"]
        assert abs(int(found.max()) - (100 + 38 * ratio)) <= 1 and int(found.min()) == 100
        assert int(found[0, 56, 48]) == int(found.max())  # the nose
        assert set(np.diff(np.unique(found.numpy())).tolist()) <= {1, 2, 3, 4}  # a soft edge, all the way


def test_the_mask_covers_what_changed_and_follows_the_face() -> None:
    moved = face()
    moved["landmarks"] = moved["landmarks"] + torch.tensor([18.0, 8])
    for sample, shift in ((face(), 0), (moved, 18)):
        found = _one(sample, 0, BRIGHTER)
        differs = (found["image"] != sample["image"]).any(0)
        mask = found["mask"][0]
        assert found["mask"].shape == (1, 96, 96) and set(mask.unique().tolist()) == {0, 255}
        assert (
            not (differs & (mask == 0)).any() and float((mask > 0).float().sum()) < 1.3 * float(differs.float().sum()) + 20
        )
        assert abs(float(np.nonzero(mask.numpy())[1].mean()) - (48 + shift)) < 6


def test_the_outline_holds_the_five_points_and_moves_as_they_do() -> None:
    import cv2

    for forehead in (False, True):
        around = outline(FIVE * 20 + 50, forehead=forehead)
        hull = cv2.convexHull(around.astype(np.float32))
        assert all(cv2.pointPolygonTest(hull, tuple(map(float, point)), False) > 0 for point in FIVE * 20 + 50)
        turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
        assert np.allclose(outline((FIVE * 20 + 50) @ turn, forehead=forehead), around @ turn)
    assert outline(FIVE * 20, forehead=True)[:, 1].min() < outline(FIVE * 20, forehead=False)[:, 1].min()


def test_a_clip_is_blended_with_the_same_numbers_in_every_frame() -> None:
    real = face()
    clip = cast(Any, {"image": torch.stack([real["image"]] * 3), "landmarks": torch.stack([LANDMARKS] * 3)})
    clip |= {"mask": torch.stack([real["mask"]] * 3), "label": torch.zeros(3, dtype=torch.int64), "method": ["", "", ""]}
    found, one = _one(clip, 4), _one(real, 4)
    assert all(torch.equal(frame, one["image"]) for frame in found["image"])
    assert (
        found["mask"].shape == (3, 1, 96, 96)
        and found["label"].tolist() == [1, 1, 1]
        and found["method"] == ["SelfBlended"] * 3
    )


NO_FACE = {
    "whole images": torch.full((5, 2), float("nan")),
    "all on one spot": torch.full((5, 2), 40.0),
    "all on one line": torch.tensor([[float(i), 2.0 * i] for i in range(5)]),
}


@pytest.mark.parametrize("case", NO_FACE)
def test_without_landmarks_it_says_that_it_needs_them(case: str) -> None:
    with pytest.raises(CorpusError, match="self-blending needs landmarks"):
        _one({**face(), "landmarks": NO_FACE[case]})


def test_a_face_at_the_border_or_of_a_few_pixels_is_blended_as_far_as_there_is_a_picture() -> None:
    for points in (LANDMARKS - torch.tensor([60.0, 0]), LANDMARKS * 0.3, LANDMARKS * 4, LANDMARKS + 500):
        found = _one({**face(), "landmarks": points})
        assert found["image"].shape == (3, 96, 96)


WRONG: dict[str, Any] = {
    "a fake": lambda: _one({**face(), "label": 1}),
    "no landmarks asked for": lambda: _one(Sample(image=face()["image"], label=0)),
    "a ratio above 1": lambda: SelfBlend(ratios=(2,)),
    "no ratio": lambda: SelfBlend(ratios=()),
    "a range the wrong way round": lambda: SelfBlend(blur=(0.3, 0.1)),
    "a chance above 1": lambda: SelfBlend(on_target=2),
    "border": lambda: SelfBlend(border=cast(Any, "wrap")),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_with_a_way_out(case: str) -> None:
    with pytest.raises(UsageError, match=r"give|there are|ask|only reals"):
        WRONG[case]()
