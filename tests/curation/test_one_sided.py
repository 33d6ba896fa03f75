"""Frames that only one side of a pair has."""

from __future__ import annotations

import pytest

from mmidd.curation.one_sided import PairFrames, Uneven, compare

REAL = ("D", "real.mp4")


def pair(number: int, fakes: set[int], reals: set[int], dataset: str = "D") -> PairFrames:
    return PairFrames((dataset, f"fake{number}.mp4"), REAL, frozenset(fakes), frozenset(reals))


@pytest.mark.parametrize(
    ("fakes", "reals", "sides"),
    [
        ({0, 4, 8}, {0, 4, 8}, None),
        ({0, 4}, {0, 4, 8}, (1, 0)),
        ({0, 4, 8}, {8}, (0, 2)),
        ({0, 4}, {4, 8}, (1, 1)),
        (set(), {0, 4}, (2, 0)),
        (set(), set(), None),
    ],
    ids=["even", "the fake lost one", "the real lost two", "each lost another", "no fake left", "nothing left"],
)
def test_each_pair_is_counted_by_the_frames_of_one_side_alone(
    fakes: set[int], reals: set[int], sides: tuple[int, int] | None
) -> None:
    found = compare([pair(1, fakes, reals)])["D"]
    assert found.pairs == 1
    assert [(each.only_real, each.only_fake) for each in found.uneven] == ([sides] if sides else [])


def test_datasets_are_told_apart_and_the_worst_pair_comes_first() -> None:
    found = compare([pair(1, {0}, {0, 1}), pair(2, {5}, {0, 1}), pair(3, {0, 1}, {0, 1}), pair(4, {0}, {0}, "A")])
    assert list(found) == ["A", "D"] and str(found["A"]).startswith("0 of 1 pairs")
    assert found["D"].uneven == (Uneven(("D", "fake2.mp4"), REAL, 2, 1), Uneven(("D", "fake1.mp4"), REAL, 1, 0))
    assert found["D"].counts == {"pairs": 3, "uneven": 2, "only_real": 3, "only_fake": 1}
    assert found["D"].document()["each"][0] == {"fake": "D/fake2.mp4", "real": "D/real.mp4", "only_real": 2, "only_fake": 1}
