"""Masks: whose they are, which frame is whose, how much of one lies in a box."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mmidd.extraction.masks import FLOOR, Mask, Masks, pointers
from mmidd.video import Frame, Pixels


def row(
    media: str, mask: str | None, pair: str | None = "real.mp4", dataset: str = "A", aligned: bool = True
) -> dict[str, object]:
    return {"dataset": dataset, "media": media, "mask": mask, "pair_dataset": "A", "pair_media": pair, "aligned": aligned}


@pytest.mark.parametrize(
    ("rows", "pointing"),
    [
        ([row("b", "mask b"), row("a", None), row("c", "mask c")], {("A", "real.mp4"): ("A", "mask b")}),
        ([row("a", "mask a", dataset="B"), row("z", "mask z")], {("A", "real.mp4"): ("A", "mask z")}),
        ([row("a", "mask a", aligned=False)], {}),
        ([row("a", "mask a", pair=None)], {}),
        ([row("a", None)], {}),
    ],
    ids=["first by name", "across datasets", "not aligned", "no pair", "no mask"],
)
def test_a_real_is_pointed_at_by_the_first_of_its_fakes_with_a_mask(rows: list[dict[str, object]], pointing: object) -> None:
    assert pointers(rows) == pointers(list(reversed(rows))) == pointing


def picture(level: int = 255, size: tuple[int, int] = (40, 80)) -> Pixels:
    """Black, with `level` in the red of a square of 20 pixels at (50, 10)."""
    image = np.zeros((*size, 3), np.uint8)
    image[10:30, 50:70, 0] = level
    return Pixels(image)


def test_the_mass_in_boxes_is_that_of_the_marked_pixels_in_them_counted_once_together() -> None:
    mask = Mask(picture(), True)
    shares, covered = mask.inside([[50, 10, 70, 30], [60, 0, 80, 40], [0, 0, 40, 40], [-9, -9, 99, 99]])
    whole = 400 / 3200
    assert shares.tolist() == pytest.approx([whole, whole / 2, 0, whole]) and covered == pytest.approx(whole)
    assert mask.mass() == pytest.approx(whole) and mask.inside(np.zeros((0, 4)))[1] == 0


def test_a_large_picture_is_measured_small_to_the_same_share() -> None:
    image = np.zeros((900, 1600, 3), np.uint8)
    image[300:600, 400:800] = 200
    (inside,), _ = Mask(Pixels(image), True).inside([[400, 300, 600, 600]])
    assert inside == pytest.approx(200 * 300 / (900 * 1600) * 200 / 255, rel=0.02)


def test_noise_points_at_nobody_and_is_cut_as_it_is() -> None:
    mask = Mask(picture(FLOOR - 1), True)
    assert mask.mass() == 0
    assert mask.part((50, 10, 70, 30)).tolist() == np.full((20, 20), FLOOR - 1).tolist()


def frames(*known: tuple[int, Pixels | None]) -> Iterator[Frame]:
    return (Frame(index, None, found, None if found else "corrupt_frame") for index, found in known)


def test_every_frame_that_is_asked_for_has_its_mask_or_is_counted() -> None:
    masks = Masks(frames((0, picture()), (2, picture()), (4, None), (6, picture(size=(30, 80)))), own=True, present=True)
    found = [masks.at(index, picture()) is not None for index in (0, 1, 2, 4, 6, 8)]
    assert found == [True, False, True, False, False, False]
    assert masks.counts == {"mask_frames": 2, "mask_short": 2, "mask_unreadable": 1, "mask_other_size": 1}


def test_without_a_mask_nothing_is_counted() -> None:
    masks = Masks()
    assert masks.at(0, picture()) is None and not masks.counts
