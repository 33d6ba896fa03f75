"""Detectors on the same rows: tests that agree with each other and with scikit-learn's areas; rows that are not the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.made import Clip, made, random_clips
from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.compare import compare
from mmidd.evaluation.evaluate import evaluate
from mmidd.evaluation.items import Items
from mmidd.scores.file import ScoreFile
from mmidd.statistics import delong, delong_clustered, holm

Change = Callable[[list[Clip]], list[Clip]]


def detectors(count: int = 3, clips: int = 200) -> list[ScoreFile]:
    """The same clips, each detector seeing less."""
    chance, found = np.random.default_rng(5), []
    base = random_clips(clips, groups=40)
    for number in range(count):
        noisy = [
            replace(c, scores=[float(np.clip(s + chance.normal(0, 0.25 * number), 0, 1)) for s in c.scores if s is not None])
            for c in base
        ]
        found.append(made(noisy, name=f"d{number}"))
    return found


def test_differences_are_of_scikit_learns_areas_with_three_tests_after_holm() -> None:
    files = detectors()
    found = compare(files)
    items = [Items.of(file.level("clip")) for file in files]
    areas = [roc_auc_score(each.fake, each.score) for each in items]
    pairs = [each for each in found.pairs if each.metric == "auroc"]
    assert [(each.first, each.second) for each in pairs] == [("d0", "d1"), ("d0", "d2"), ("d1", "d2")]
    for pair, (a, b) in zip(pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
        one, two = items[a], items[b]
        assert pair.difference.value == pytest.approx(areas[a] - areas[b])
        plain, grouped = delong(one.score, two.score, one.fake), delong_clustered(one.score, two.score, one.fake, one.group)
        assert plain is not None and grouped is not None
        assert (pair.delong, pair.clustered) == (plain.p, grouped.p)
        low, high = grouped.interval()
        assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high), abs=0.02)
    assert [each.adjusted_clustered for each in pairs] == pytest.approx(holm([each.clustered or 0 for each in pairs]))
    assert [each.adjusted_p for each in pairs] == pytest.approx(holm([each.p or 0 for each in pairs]))
    assert found.rankings[0].order == ("d0", "d1", "d2") and len(found.rankings) == 1 and not found.disagreements
    json.dumps(found.document(), allow_nan=False)


def test_equal_scores_are_not_told_apart() -> None:
    one, two = made(random_clips(80), name="one"), made(random_clips(80), name="two")
    found = compare([one, two])
    pair = found.pairs[0]
    assert (pair.difference.value, pair.p, pair.clustered, pair.apart) == (0, 1, 1, False)
    assert found.rankings[0].alike == {"one": ("two",), "two": ("one",)} and "one" in str(found)
    assert found.notes() == ["one and two hold the same scores: they are one detector twice"]
    assert "one detector twice" in str(found)


def test_frames_can_be_compared_too() -> None:
    found = compare(detectors(2, 60), level="frame", resamples=100)
    assert found.pairs[0].difference.rows == 180
    with pytest.raises(UsageError, match="--level"):
        compare(detectors(2, 60), level="video")


BASE = random_clips(20)
DIFFERENT: dict[str, tuple[Change, str]] = {
    "fewer": (lambda clips: clips[:-2], "2 clips are in one alone"),
    "more": (lambda clips: [*clips, Clip("new", True, [0.5])], "1 clip is in two alone"),
    "labels": (lambda clips: [replace(clips[0], fake=True), *clips[1:]], "1 clip with other labels"),
    "groups": (lambda clips: [replace(clips[0], group="x"), *clips[1:]], "1 clip with other groups"),
    "split": (
        lambda clips: [replace(clip, split="validation") for clip in clips],
        "the one is told of test, the other of val",
    ),
    "dataset": (lambda clips: [replace(clip, dataset=f"{clip.dataset}2") for clip in clips], "20 clips are in two alone"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_rows_are_refused_with_what_differs(name: str) -> None:
    change, what = DIFFERENT[name]
    with pytest.raises(ScoreError, match=what):
        compare([made(BASE, name="one"), made(change(list(BASE)), name="two", named="other")])


def test_rows_of_equal_names_in_corpora_of_other_digests_are_compared_and_that_is_said() -> None:
    found = compare([made(BASE, name="one"), made(BASE, name="two", corpus={"name": "c", "digest": "d"})], resamples=20)
    assert "2 digests" in found.document()["notes"][0] and "2 digests" in str(found)


def test_clips_scored_alone_have_no_figures_of_frames() -> None:
    file = made(BASE, name="one")
    alone = ScoreFile(file.table, replace(file.about, clip="as it was imported"))
    found = evaluate(alone, resamples=20)
    assert {line.level for line in found.files[0].lines} == {"clip"} and any("clips alone" in note for note in found.notes)
    assert "AUROC" in str(found)
    with pytest.raises(ScoreError, match="clips alone"):
        compare([alone, made(BASE, name="two")], level="frame")


def test_one_class_is_told_and_no_crash() -> None:
    fakes = [Clip(str(n), True, [n / 30]) for n in range(30)]
    found = compare([made(fakes, name="one"), made(fakes, name="two")])
    assert found.pairs[0].difference.value is None and "all 30 rows are fake" in found.pairs[0].difference.why
    assert not found.pairs[0].apart and found.rankings[0].figures["one"].value is None


def test_few_groups_have_a_difference_and_no_test_of_resamples() -> None:
    given = [replace(clip, group=f"g{n % 3}") for n, clip in enumerate(random_clips(40))]
    pair = compare([made(given, name="one"), made(given, name="two")]).pairs[0]
    assert pair.difference.value == 0 and pair.p is None and "3 groups" in pair.difference.why
