"""Published figures: facts with their sources, and what keeps them from being compared, computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mmidd.studies.grid import ABLATION
from mmidd.studies.published import SOURCES, Ours, Protocol, Published, beside, published

PROTOCOL = Protocol("p", "A paper", ("FaceForensics++",), ("Celeb-DF-v2",), "AUROC", "clip", "paper")
FIGURE = Published(PROTOCOL, "gend", "GenD", 0.9)
OURS = Ours(1, "gend", "paper", (), frozenset({"FaceForensics++"}), frozenset({"Celeb-DF-v2"}), 100, False, True)


def test_every_published_figure_says_what_it_is_of() -> None:
    for each in published():
        protocol = each.protocol
        assert 0 < each.value < 1 and protocol.test and protocol.paper and protocol.source in SOURCES
        assert protocol.level in ("frame", "clip", "image", "unknown")
        assert protocol.verified == (protocol.source != "second-hand")
        assert protocol.level != "unknown" or protocol.note or not protocol.verified


def test_the_ablation_stands_beside_its_published_rows() -> None:
    mine = [each for each in published() if each.detector == "sd2" and each.protocol.name == "sd2-cross-domain"]
    values = {each.settings: each.value for each in mine}
    assert [values[words] for _, words in ABLATION] == [0.8024, 0.8184, 0.8434, 0.8779]


def test_what_agrees_in_everything_is_told_to_be_of_one_protocol() -> None:
    (found,) = beside([FIGURE], [OURS])
    assert not found.differs and found.lines == (1,) and found.verdict.startswith("of one protocol")


DIFFERENT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"train": frozenset({"FaceForensics++", "DFDC"})}, "trained on other datasets: here also DFDC"),
    ({"train": ("FaceForensics++", "KoDF")}, {}, "trained on other datasets: here without KoDF"),
    ({"train": ()}, {}, "what theirs was trained on is not stated"),
    ({"test": ("Celeb-DF-v2", "DFDC")}, {}, "tested on other datasets: here without DFDC"),
    ({"level": "frame"}, {}, "theirs is of single frames"),
    ({"level": "unknown"}, {}, "theirs is of a level that is not stated"),
    ({"metric": "mean accuracy"}, {}, "the published figure is mean accuracy"),
    ({"rows": "about 3,000,000 images"}, {}, "trained there on about 3,000,000 images, here on 100 rows"),
    ({"rows": "c23"}, {}, "theirs was trained on c23: whether this one was is not looked at"),
    ({"verified": False}, {}, "second-hand and unverified"),
    ({}, {"preset": "tiny"}, "preset tiny here"),
    ({}, {"random": True}, "random weights"),
    ({}, {"whole": False}, "a part of train"),
    ({}, {"words": ("captions=none",)}, "options differ"),
]


@pytest.mark.parametrize(("theirs", "here", "why"), DIFFERENT)
def test_each_difference_keeps_them_apart_and_is_named(theirs: dict[str, Any], here: dict[str, Any], why: str) -> None:
    figure = replace(FIGURE, protocol=replace(PROTOCOL, **theirs))
    (found,) = beside([figure], [replace(OURS, **here)])
    assert found.verdict == "not comparable" and [each for each in found.differs if why in each], found.differs


def test_what_was_set_for_all_runs_is_told_and_does_not_hide_which_line_is_nearest() -> None:
    figure = replace(FIGURE, settings=("captions=none",))
    lines = [replace(OURS, given=("steps=4",)), replace(OURS, line=2, words=("captions=none",), given=("steps=4",))]
    (found,) = beside([figure], lines)
    assert found.lines == (2,) and found.differs == ("every run here has steps=4",)


def test_the_nearest_lines_stand_beside_it() -> None:
    tiny = replace(OURS, line=2, preset="tiny")
    assert beside([FIGURE], [tiny, OURS])[0].lines == (1,)
    assert beside([FIGURE], [tiny, replace(tiny, line=3)])[0].lines == (2, 3)


@pytest.mark.parametrize(
    ("figure", "ours", "why"),
    [
        (FIGURE, [], "gend is not in this study"),
        (FIGURE, [replace(OURS, test=frozenset({"DFDC"}))], "does not test on Celeb-DF-v2"),
        (replace(FIGURE, detector=None), [OURS], "no reference detector of that name"),
    ],
)
def test_where_nothing_stands_beside_it_that_is_told(figure: Published, ours: list[Ours], why: str) -> None:
    (found,) = beside([figure], ours)
    assert found.lines == () and why in found.differs[0] and found.verdict == "nothing here to put beside it"
