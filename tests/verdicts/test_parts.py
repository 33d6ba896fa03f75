"""A mean over a track hides a part of a clip: that is said beside "real"."""

from __future__ import annotations

import errno
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from mmidd.errors import WorkError
from mmidd.verdicts.pages import Pages
from mmidd.verdicts.rates import Rates, Share, Unmeasured
from mmidd.verdicts.result import Rows
from mmidd.verdicts.verdict import Look, Track, Verdict, mixed_told, short_told

RATES = Rates(0.5, "eer", Share(0.1), Share(0.9), {"real": 20, "fake": 20}, 40, "validation", "corpus")


def _verdict(*tracks: tuple[float, ...]) -> Verdict:
    boxes = (0.0, 0.0, 1.0, 1.0)
    looks = [tuple(Look(frame, frame / 25, boxes, score) for frame, score in enumerate(each)) for each in tracks]
    return Verdict("a.mp4", "video", "judged", None, tuple(Track(number, each) for number, each in enumerate(looks)))


@pytest.mark.parametrize(
    ("tracks", "told"),
    [
        (
            [(0.9, 0.8, 0.0, 0.0, 0.1, 0.1), (0.0, 0.1, 0.0, 0.5, 0.9, 0.1)],
            "by face: 0: 2 of 6, 1: 2 of 6",
        ),  # two swap places
        ([(0.9, 0.0, 0.9, 0.0, 0.1, 0.1)], ""),  # no two in a row
        ([(0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0)], ""),  # less than a third
        ([(0.9, 0.9, 0.9, 0.0)], ""),  # called fake: nothing is hidden
        ([(0.1,)], ""),
        ([], ""),
    ],
)
def test_what_a_mean_hides_of_a_medium_called_real_is_said(tracks: list[tuple[float, ...]], told: str) -> None:
    verdict = _verdict(*tracks)
    found = mixed_told(verdict, RATES)
    assert told in found and bool(told) == bool(found)
    assert verdict.document(RATES)["part_of_it"] == (found or None)
    assert mixed_told(verdict, Unmeasured("none")) == ""


@pytest.mark.parametrize(
    ("tracks", "deciding", "score"),
    [
        ([(0.2, 0.2, 0.2, 0.2), (0.9,)], [0], 0.2),  # the face was lost for a frame: no other person
        ([(0.2, 0.2, 0.2, 0.2), (0.9, 0.9)], [0], 0.2),
        ([(0.2, 0.2, 0.2, 0.2), (0.9, 0.9, 0.9)], [0, 1], 0.9),
        ([(0.2, 0.2), (0.9,)], [0], 0.2),  # none is seen for long: those that are seen longest
        ([(0.2,), (0.9,), (0.1,)], [0, 1, 2], 0.9),  # a picture
        ([], [], None),
    ],
)
def test_a_track_of_a_moment_decides_nothing_beside_a_longer_one_and_is_told(
    tracks: list[tuple[float, ...]], deciding: list[int], score: float | None
) -> None:
    verdict = _verdict(*tracks)
    assert [each.number for each in verdict.deciding] == deciding
    assert verdict.score == pytest.approx(score) if score is not None else verdict.score is None
    assert verdict.document(RATES)["tracks_deciding"] == deciding
    told = short_told(verdict, RATES)
    short = [each for number, each in enumerate(tracks) if number not in deciding]
    assert bool(told) == bool(short) and verdict.document(RATES)["decide_nothing"] == (told or None)
    assert not short or f"{len(short)} of {len(short)} reach the threshold" in told
    assert "threshold" not in short_told(verdict, Unmeasured("none"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's own")
def test_a_full_disk_under_the_rows_is_one_error_that_says_to_begin_anew() -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115  its end fails as well
    with pytest.raises(WorkError, match="begins anew"):
        Rows(full, Path("rows.csv"), RATES)
    with suppress(OSError):
        full.close()


def test_a_full_disk_under_the_pages_leaves_no_part_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(tmp_path / "out", "run", RATES, count(1))

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WorkError, match="begins anew"):
        pages.add(_verdict(), [], [])
    assert not [each for each in (tmp_path / "out").rglob("*") if each.is_file()]


def test_a_page_that_cannot_be_put_in_place_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(tmp_path / "out", "run", RATES, count(1))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        pages.add(_verdict(), [], [])
    assert not list((tmp_path / "out").rglob("*.html"))
