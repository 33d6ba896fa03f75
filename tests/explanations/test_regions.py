"""Which parts of a face a text names, and where they lie."""

from __future__ import annotations

import numpy as np
import pytest

from mmidd.explanations.regions import REGIONS, area, boxes, mentions, named, points_of, template
from mmidd.faces.align import TEMPLATES, similarity

SAID = {
    "I look at the eyes, the mouth and the skin of the face.": "eyes mouth skin",
    "No artifacts around the eyes, mouth or nose.": "-eyes -nose -mouth",
    "There is no reflection in the eyes": "eyes",
    "The eyes show no signs of blending, the mouth is blurred": "-eyes mouth",
    "It is not the eyes but the mouth": "-eyes mouth",
    "nothing strange about the hairline": "-hairline",
    "The eyes are not symmetric": "eyes",
    "The chin is not blurred. The chin has a seam.": "chin edges",
    "The hair has an eye-catching seam; the EAR is gone": "hairline ears edges",
    "skinny noise on earth, edgewise": "",
    "I see nothing unusual": "",
    "": "",
    "Teeth merge; brows, forehead, cheeks and jawline fade into the background, as does the neck": "eyebrows teeth cheeks "
    "forehead jaw background neck",
}


@pytest.mark.parametrize(("text", "wanted"), SAID.items())
def test_regions_are_named_or_denied(text: str, wanted: str) -> None:
    assert [f"{'-' * each.denied}{each.region}" for each in mentions(text)] == wanted.split()
    assert list(named(text)) == [each for each in wanted.split() if not each.startswith("-")]


def test_every_region_has_a_place_in_an_aligned_crop() -> None:
    held = boxes()
    assert tuple(held) == REGIONS
    for region in REGIONS:
        assert held[region]
        assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in held[region])
        assert 0 < area(region, 224).mean() < 0.6
    left, right, nose, *corners = template()
    for region, points in {"eyes": [left, right], "nose": [nose], "mouth": corners}.items():
        assert all(area(region, 100)[round(y * 100), round(x * 100)] for x, y in points)
        others = [area(each, 100) for each in REGIONS if each not in (region, "teeth", "nose")]
        assert all(not each[round(y * 100), round(x * 100)] for each in others for x, y in points)


def test_a_rows_landmarks_go_by_its_transform_and_the_template_is_the_alignments() -> None:
    assert np.allclose(template(1.0), TEMPLATES["arcface"])
    frame = TEMPLATES["arcface"] * 200 + 40
    found = points_of(frame.ravel(), similarity(frame, size=256, margin=1.3).ravel(), 256)
    assert found is not None and np.allclose(found, template(), atol=0.003)
    assert points_of(None, None, 256) is None and points_of([1, 2], [1] * 6, 256) is None
    assert points_of([float("nan")] * 10, [1] * 6, 256) is None


@pytest.mark.parametrize(
    "points", [np.zeros((5, 2)), np.full((5, 2), 0.5), template() * 40 - 20, template()[[1, 0, 2, 4, 3]], -template()]
)
def test_points_of_any_kind_give_boxes_within_the_crop(points: np.ndarray) -> None:
    for held in boxes(points).values():
        assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in held)
