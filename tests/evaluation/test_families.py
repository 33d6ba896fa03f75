"""Files that belong together: degradations of one detector, and seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.made import made, random_clips
from mmidd.evaluation.evaluate import evaluate
from mmidd.scores.file import ScoreFile

BASE = random_clips(120, groups=30)


def degraded(noise: float, name: str | None) -> ScoreFile:
    chance = np.random.default_rng(2)
    clips = [replace(c, scores=[float(np.clip((s or 0) + chance.normal(0, noise), 0, 1)) for s in c.scores]) for c in BASE]
    return made(clips, degradation=name)


def test_degraded_files_stand_beside_the_clean_one_in_their_order(tmp_path: Path) -> None:
    files = [degraded(0.6, "jpeg=80"), degraded(0, None), degraded(1.2, "jpeg=100"), degraded(0.2, "blur=1")]
    found = evaluate(files, resamples=200)
    assert [each.degradation for each in found.robustness] == ["none", "blur=1", "jpeg=80", "jpeg=100"]
    clean, *others = found.robustness
    assert clean.difference.value is None and clean.auroc.value == found.files[1].figures("clip", "counted")["auroc"].value
    for each in others:
        assert each.difference.value == pytest.approx((each.auroc.value or 0) - (clean.auroc.value or 0))
        assert each.adjusted is not None and each.p is not None and each.adjusted >= each.p
    assert "Robustness" in str(found)
    assert (found.write(tmp_path / "out") / "robustness.svg").is_file()


def test_degraded_clips_that_are_others_are_in_no_table_and_that_is_said() -> None:
    found = evaluate([made(BASE), made(BASE[:-4], degradation="jpeg=3", named="other")], resamples=20)
    assert not found.robustness and any("in no robustness table" in note for note in found.notes)


def test_seeds_of_one_detector_have_a_mean_and_a_range() -> None:
    def of(seed: int, asked: str = "a") -> ScoreFile:
        model = {"kind": "run", "name": "gend", "run": "r", "seed": seed, "asked": asked, "digest": f"{asked}{seed}"}
        clips = [replace(c, scores=[(s or 0) ** (1 + seed * (n % 3)) for s in c.scores]) for n, c in enumerate(BASE)]
        return made(clips, model=model)

    found = evaluate([of(0), of(1), of(2), of(7, "other")], resamples=20)
    (area,) = (each for each in found.seeds if each.metric == "auroc")
    values = [each.figures("clip", "counted")["auroc"].value or 0 for each in found.files[:3]]
    assert list(area.values) == ["seed 0", "seed 1", "seed 2"] and list(area.values.values()) == values
    assert area.mean == pytest.approx(float(np.mean(values))) and (area.low, area.high) == (min(values), max(values))
    assert "Seeds of one detector" in str(found)
    assert not evaluate([of(0), of(0, "other")], resamples=20).seeds
