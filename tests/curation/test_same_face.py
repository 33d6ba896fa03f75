"""Which face of a real a fake's face is: by number, or by place where the fake was cut on its own."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mmidd.curation.same_face import overlap, real_faces
from mmidd.extraction.records import SCHEMA

FAKE, REAL = "D/fake.mp4", "D/real.mp4"
LEFT, RIGHT = (10.0, 10.0, 50.0, 50.0), (210.0, 10.0, 250.0, 50.0)


def row(medium: str, face: int, box: tuple[float, ...] | None, geometry: str, size: int = 400) -> dict[str, Any]:
    return {
        "medium": medium, "frame": 3, "face": face, "geometry": geometry, "width": size, "height": size, "box": box,
        "real": REAL if medium == FAKE else None,
    }  # fmt: skip


def linked(fake: list[dict[str, Any]], real: list[dict[str, Any]], *, aligned: bool | None = True) -> list[int | None]:
    """For each row of the fake the face of the real."""
    names = ["frame", "face", "geometry", "width", "height", "box"]
    columns = [("medium", pa.large_string()), ("real", pa.large_string()), ("aligned", pa.bool_())]
    schema = pa.schema([*columns, *(SCHEMA.field(name) for name in names)])
    rows = [{**each, "aligned": aligned if each["medium"] == FAKE else None} for each in [*fake, *real]]
    faces: list[int | None] = real_faces(pa.Table.from_pylist(rows, schema)).to_pylist()
    assert faces[len(fake) :] == [each["face"] for each in real]
    return faces[: len(fake)]


both = [row(REAL, 0, LEFT, "own"), row(REAL, 1, RIGHT, "own")]


@pytest.mark.parametrize(
    ("fake", "real", "faces"),
    [
        ([row(FAKE, 0, RIGHT, "own"), row(FAKE, 1, LEFT, "own")], both, [1, 0]),
        ([row(FAKE, 0, RIGHT, "own")], both[:1], [None]),
        ([row(FAKE, 0, (105.0, 5.0, 125.0, 25.0), "own", 200)], both, [1]),
        ([row(FAKE, 0, RIGHT, "shared")], both, [0]),
        ([row(FAKE, 0, None, "whole")], [row(REAL, 0, None, "whole")], [0]),
        ([row(FAKE, 0, RIGHT, "own")], [], [0]),
    ],
    ids=["by place", "another person", "another size of frame", "its real's geometry", "whole pictures", "no real there"],
)
def test_a_fakes_face_is_that_of_its_real_which_lies_where_it_lies(
    fake: list[dict[str, Any]], real: list[dict[str, Any]], faces: list[int | None]
) -> None:
    assert linked(fake, real) == faces


@pytest.mark.parametrize("aligned", [False, None])
def test_places_say_nothing_where_fake_and_real_are_not_aligned(aligned: bool | None) -> None:
    assert linked([row(FAKE, 0, RIGHT, "own")], both[:1], aligned=aligned) == [0]


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [((0, 0, 2, 2), (0, 0, 2, 2), 1.0), ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3), ((0, 0, 1, 1), (1, 0, 2, 1), 0.0)],
)
def test_overlap_is_intersection_over_union(a: Any, b: Any, share: float) -> None:
    assert overlap(a, b) == pytest.approx(share)
