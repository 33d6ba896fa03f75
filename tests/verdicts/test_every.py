"""Every face is found, and the one that a corpus would keep as the corpus would find it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from mmidd.faces.detector import Faces
from mmidd.verdicts.every import EveryFace, both


def _faces(*boxes: tuple[float, float, float, float]) -> Faces:
    found = np.array(boxes, np.float32).reshape(-1, 4)
    middle = (found[:, None, :2] + found[:, None, 2:]) / 2
    scores: npt.NDArray[np.float32] = np.linspace(0.99, 0.9, len(found)).astype(np.float32)
    return Faces.ordered(found, np.repeat(middle, 5, axis=1).astype(np.float32), scores)


BIG, MOVED, SMALL, INSIDE = (0, 0, 100, 100), (3, 2, 104, 99), (200, 10, 220, 30), (20, 20, 60, 60)


@pytest.mark.parametrize(
    ("first", "full", "wanted"),
    [
        ([BIG], [MOVED, SMALL], [BIG, SMALL]),
        ([BIG], [MOVED], [BIG]),
        ([BIG], [INSIDE], [BIG]),
        ([], [SMALL], [SMALL]),
        ([BIG], [], [BIG]),
        ([], [], []),
        ([BIG, SMALL], [SMALL, MOVED], [BIG, SMALL]),
    ],
)
def test_the_first_finds_stay_and_only_other_faces_are_added(
    first: Sequence[tuple[float, ...]], full: Sequence[tuple[float, ...]], wanted: Sequence[tuple[float, ...]]
) -> None:
    found = both(_faces(*first), _faces(*full))  # type: ignore[arg-type]
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(tuple(map(float, each)) for each in wanted)


def test_one_look_is_enough_where_the_corpus_looked_at_the_full_size() -> None:
    class Once:
        kind = "once"

        def detect(self, frames: Sequence[object]) -> list[Faces]:
            return [_faces(BIG) for _ in frames]

    assert [len(each) for each in EveryFace(Once(), None).detect([object(), object()])] == [1, 1]  # type: ignore[list-item]
