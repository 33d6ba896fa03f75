"""Which rows are scored together, and in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from once import Once
from runs import corpora

from mmidd.corpus.read import Corpus
from mmidd.scoring.data import clip_order, dataset, items, windows
from mmidd.scoring.degrade import Degradation
from mmidd.scoring.model import Look
from mmidd.training.select import select


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("learnable", corpora.corpus))


@pytest.mark.parametrize(
    ("clip", "frame", "size", "expected"),
    [
        ([0, 0, 0, 0], [0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([0, 0, 0, 0, 0], [0, 1, 2, 3, 4], 2, [[0, 1], [2, 3], [3, 4]]),
        ([0, 0, 0], [0, 1, 2], 3, [[0, 1, 2]]),
        ([0, 0], [0, 1], 3, []),
        ([], [], 2, []),
        ([0, 0, 1, 1], [0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([0, 0, 1, 1], [0, 1, 2, 3], 3, []),
        ([0, 0, 0, 0, 0], [0, 1, 2, 9, 10], 2, [[0, 1], [1, 2], [3, 4]]),
        ([0, 0, 0, 0, 0], [0, 1, 2, 9, 10], 3, [[0, 1, 2]]),
        ([0, 0, 0, 0], [0, 3, 7, 10], 4, [[0, 1, 2, 3]]),
        ([0, 0, 0, 0], [0, 3, 9, 12], 2, [[0, 1], [2, 3]]),
        ([5], [3], 2, []),
    ],
)
def test_windows_are_of_frames_in_a_row_and_hold_every_frame_of_a_stretch(
    clip: list[int], frame: list[int], size: int, expected: list[list[int]]
) -> None:
    assert windows(np.array(clip), np.array(frame), size).tolist() == expected


def test_clips_lie_together_in_the_order_of_frames(corpus: Corpus) -> None:
    rows = select(corpus, split="test")
    order = clip_order(rows)
    assert sorted(order.tolist()) == list(range(len(rows)))
    told = corpus.take(rows.numbers[order], ["media", "frame"]).to_pylist()
    starts = [place for place, row in enumerate(told) if place == 0 or told[place - 1]["media"] != row["media"]]
    assert len(starts) == len({row["media"] for row in told})
    assert all(told[place]["frame"] > told[place - 1]["frame"] for place in set(range(len(told))) - set(starts))
    assert items(rows, 1).shape == (len(rows), 1) and items(rows, 3).shape == (2 * 2 * corpora.PERSONS, 3)
    assert items(rows, 5).shape == (0, 5)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("text", ["noise=20", "h264=30"])
def test_a_degraded_item_has_what_a_plain_one_has(corpus: Corpus, frames: int, text: str) -> None:
    from mmidd.training.draws import Draw

    rows, look = select(corpus, split="test"), Look(8, frames=frames, columns=("frame", "method"))
    name, _, level = text.partition("=")
    given = [
        dataset(corpus, rows, look, degradation).__getitems__(
            [
                Draw(tuple(each) if frames > 1 else each[0], 0, place)
                for place, each in enumerate(items(rows, frames)[:3].tolist())
            ]
        )
        for degradation in (None, Degradation(name, float(level)))
    ]
    for plain, worse in zip(*given, strict=True):
        assert plain.keys() == worse.keys() and "label" not in plain and "forgery_type" not in plain
        assert plain["image"].shape == worse["image"].shape and not plain["image"].equal(worse["image"])
        assert str(plain["row"]) == str(worse["row"]) and plain["id"] == worse["id"]


def test_h264_of_a_clip_does_not_depend_on_what_is_asked_for_beside(corpus: Corpus, tmp_path: Path) -> None:
    from mmidd.training.draws import Draw

    rows, look = select(corpus, split="test"), Look(16)
    draws = [Draw(each, 0, place) for place, each in enumerate(items(rows, 1)[:12, 0].tolist())]
    whole = dataset(corpus, rows, look, Degradation("h264", 30)).__getitems__(draws)
    for place in (1, 5, 11):
        alone = dataset(corpus, rows, look, Degradation("h264", 30)).__getitems__([draws[place]])[0]
        assert alone["image"].equal(whole[place]["image"])
