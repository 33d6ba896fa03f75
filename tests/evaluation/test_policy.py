"""The coverage policy: nobody wins by losing the hard clips, and what is missing is always beside the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Said

from evaluation.made import Clip, made
from mmidd.evaluation.compare import compare
from mmidd.evaluation.evaluate import evaluate
from mmidd.evaluation.items import Items
from mmidd.scores.file import ScoreFile, write
from mmidd.statistics import auroc

Run = Callable[..., Said]


def honest_and_picky() -> tuple[ScoreFile, ScoreFile]:
    """Two detectors of the same clips, a third of which are hard. The second is worse, and gives no score of those."""
    chance, honest, picky = np.random.default_rng(0), [], []
    for number in range(240):
        fake, hard = number % 2 == 1, number % 3 == 0
        strength = 0.3 if hard else 1.6
        logit = chance.normal(strength if fake else -strength, 1.0)
        worse = chance.normal(1.2 if fake else -1.2, 1.0)
        scores = [float(1 / (1 + np.exp(-x))) for x in (logit, worse)]
        media, group = f"{number:03d}", f"g{number // 4}"
        honest.append(Clip(media, fake, [scores[0]], group=group))
        picky.append(Clip(media, fake, [None if hard else scores[1]], group=group))
    return made(honest, name="honest"), made(picky, name="picky")


def test_losing_the_hard_clips_turns_the_ranking_and_compare_says_so_first(mmidd: Run, tmp_path: Path) -> None:
    honest, picky = honest_and_picky()
    found = compare([honest, picky])
    order = {each.policy: each.order for each in found.rankings}
    assert order["counted"] == ("honest", "picky") and order["scored, each its own"] == ("picky", "honest")
    assert found.disagreements and "below it" in found.disagreements[0]
    assert repr(found).startswith("<Comparison: clip AUROC, all count: honest ")
    assert repr(found).endswith("; THE RANKING CHANGES>")
    assert "thresholds of the balanced accuracy: honest: 0.5 (no validation scores); picky: 0.5" in str(found)
    for name, file in (("honest", honest), ("picky", picky)):
        write(tmp_path / f"{name}.parquet", file)
    said = mmidd("compare", *(str(tmp_path / f"{name}.parquet") for name in ("honest", "picky")))
    assert said.code == 0 and said.out.startswith("THE RANKING CHANGES: honest is above picky where every clip counts")


def test_both_figures_are_told_and_coverage_under_the_asked_one_ends_with_3(mmidd: Run, tmp_path: Path) -> None:
    picky = honest_and_picky()[1]
    write(tmp_path / "picky.parquet", picky)
    said = mmidd("evaluate", str(tmp_path / "picky.parquet"), "--json", "--resamples", "20")
    figures = {
        f["policy"]: f for f in said.document["files"][0]["figures"]
        if (f["level"], f["subset"], f["metric"]) == ("clip", "all", "auroc")
    }  # fmt: skip
    items = Items.of(picky.level("clip"))
    has = items.has
    assert figures["scored"]["value"] == pytest.approx(auroc(items.score[has], items.fake[has]))
    worst = np.where(has, items.score, np.where(items.fake, -np.inf, np.inf))
    assert figures["counted"]["value"] == pytest.approx(auroc(worst, items.fake))
    assert said.code == 3 and [each["label"] for each in said.document["under_coverage"]] == ["real", "fake"]
    assert mmidd("evaluate", str(tmp_path / "picky.parquet"), "--coverage", "0.5", "--resamples", "20").code == 0


def test_one_class_that_is_lost_more_often_is_told_with_a_p() -> None:
    clips = [Clip(str(n), n % 2 == 1, [None if n % 2 and n < 60 else 0.5]) for n in range(200)]
    whole = evaluate(made(clips)).files[0].coverage[0]
    assert whole.lacking("fake") == (30, 100) and whole.lacking("real") == (0, 100) and (whole.p or 1) < 1e-6


def test_errors_count_as_missing_and_where_nothing_is_missing_there_is_one_policy() -> None:
    clips = [Clip(str(n), n % 2 == 1, [n / 50]) for n in range(50)]
    found = evaluate(made(clips)).files[0]
    assert {line.policy for line in found.lines} == {"counted"}
    assert found.figures("clip", "scored") == found.figures("clip", "counted")


def test_all_missing_is_all_wrong_and_no_crash() -> None:
    found = evaluate(made([Clip(str(n), n % 2 == 1, [None]) for n in range(40)])).files[0]
    counted, scored = found.figures("clip", "counted"), found.figures("clip", "scored")
    assert counted["auroc"].value == 0 and counted["accuracy@0.5"].value == 0
    assert scored["auroc"].value is None and "no rows with a score" in scored["auroc"].why
