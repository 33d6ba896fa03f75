"""Which medium a name means: one rule for all names, and none where several media could be meant."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmidd.scores.matching import match

MEDIA = pa.table(
    {
        "dataset": ["A", "A", "A", "B", "B"],
        "media": ["real/c23/001.mp4", "fake/c23/001.mp4", "fake/c23/002_1.mp4", "fake/c23/001.mp4", "v.1/x.y"],
    }
)
WORDS = {"a": "A", "set-a": "A", "b": "B"}


@pytest.mark.parametrize(
    ("names", "datasets", "places", "how"),
    [
        (["real/c23/001.mp4", "fake/c23/001.mp4"], None, [0, -2], "the path"),
        (["fake/c23/001.mp4", "fake/c23/001.mp4"], ["set-A", "B"], [1, 3], "the path"),
        (["fake/c23/001.mp4", "fake/c23/001.mp4"], ["C", None], [-1, -1], "the path"),
        (["A/fake/c23/001.mp4", "B/fake/c23/001.mp4"], None, [1, 3], "the dataset and the path"),
        (["001", "002_1"], None, [-2, 2], "the end of the path, without its ending"),
        (["001", "002_1"], ["A", "A"], [-2, 2], "the end of the path, without its ending"),
        (["c23/001.mp4", "v.1/x.y"], ["B", "B"], [3, 4], "the end of the path"),
        (["/d/real/c23/001.mp4", "/d/v.1/x.y"], None, [0, 4], "the end of a longer path"),
        (["01.mp4", "l/c23/001.mp4"], None, [-1, -1], "the path"),
        (["fake/c23/001.avi"], ["b"], [3], "the path, without its ending"),
        (["a/" * 5000 + "x.mp4", "/" * 5000], None, [-1, -1], "the path"),
        ([""], None, [-1], "the path"),
        ([], None, [], "the path"),
    ],
)
def test_a_name_means_a_medium(names: list[str], datasets: list[str] | None, places: list[int], how: str) -> None:
    told = None if datasets is None else pa.array(datasets, pa.string())
    found = match(pa.array(names, pa.string()), told, MEDIA, WORDS)
    assert (found.place.tolist(), found.how) == (places, how)


def test_without_media_no_name_means_one() -> None:
    assert match(pa.array(["a"]), None, MEDIA.slice(0, 0), WORDS).place.tolist() == [-1]
