"""The operating point: validation chooses, by a rule that is told, and the rates measured there go with it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation.made import Clip, made, random_clips
from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.items import Items
from mmidd.evaluation.operating import Rule, operating, threshold
from mmidd.statistics import temperature

VALIDATION = random_clips(300, split="validation", seed=4)


@pytest.mark.parametrize("rule", ["eer", "balanced", "fpr=0.05", "fpr=0"])
def test_the_threshold_is_the_best_of_all_that_there_are(rule: str) -> None:
    chance = np.random.default_rng(3)
    for size in (2, 5, 40):
        score, fake = chance.integers(0, 8, size) / 8, np.arange(size) % 2 == 1
        every = np.unique(np.concatenate([score, score + 1e-9, [0, 2]]))
        rates = [(1 - (score[fake] >= at).mean(), (score[~fake] >= at).mean()) for at in every]
        at = threshold(score, fake, Rule.parse(rule))
        missed, taken = 1 - (score[fake] >= at).mean(), (score[~fake] >= at).mean()
        if rule == "eer":
            assert abs(missed - taken) == pytest.approx(min(abs(a - b) for a, b in rates))
        elif rule == "balanced":
            assert missed + taken == pytest.approx(min(a + b for a, b in rates))
        else:
            share = float(rule.partition("=")[2])
            assert taken <= share and missed == pytest.approx(min(a for a, b in rates if b <= share))


def test_the_rates_are_those_of_the_validation_clips_with_a_score_and_what_has_none_is_counted() -> None:
    file = made([*VALIDATION, Clip("gone", True, [None], split="validation"), *random_clips(40)])
    found, items = operating(file), Items.of(file.level("clip", "validation")).under("scored")
    assert found.clips == {"real": 150, "fake": 150} and found.missing == {"real": 0, "fake": 1}
    assert found.true_positive_rate.value == (items.score[items.fake] >= found.threshold).mean()
    assert found.false_positive_rate.value == (items.score[~items.fake] >= found.threshold).mean()
    assert found.temperature == temperature(items.score, items.fake)
    assert found.fake(found.threshold) and not found.fake(found.threshold - 1e-9)
    assert found.false_positive_rate.interval and "takes" in str(found) and "validation clips of 40 groups" in str(found)
    assert json.loads(json.dumps(found.document()))["threshold"] == found.threshold


def test_clips_that_a_run_held_out_of_train_may_choose_and_those_of_test_or_of_training_never() -> None:
    held_out = {"digest": "d", "restricted": "to rows that the run validated on"}
    assert operating(made(random_clips(40, split="train"), corpus=held_out)).split == "train"
    for split in ("test", "train"):
        with pytest.raises(ScoreError, match="never chosen on test, nor on what was trained on"):
            operating(made(random_clips(40, split=split)))


def test_a_rate_of_none_or_all_has_an_interval_that_is_no_point() -> None:
    clips = [Clip(f"{n}", n % 2 == 1, [0.9 if n % 2 else 0.1], split="validation") for n in range(40)]
    found = operating(made(clips))
    assert (found.false_positive_rate.value, found.true_positive_rate.value) == (0.0, 1.0)
    assert (found.false_positive_rate.high or 0) > 0.1 and (found.true_positive_rate.low or 1) < 0.9
    assert found.auroc.value == 1 and not found.auroc.interval and "every resample" in found.auroc.why


@pytest.mark.parametrize(
    ("clips", "what"),
    [
        ([Clip(str(n), True, [0.5], split="validation") for n in range(9)], "no real one"),
        ([Clip(str(n), n > 4, [None], split="validation") for n in range(9)], "no real or fake one"),
    ],
)
def test_no_threshold_is_chosen_of_one_class(clips: list[Clip], what: str) -> None:
    with pytest.raises(ScoreError, match=what):
        operating(made(clips))


@pytest.mark.parametrize("rule", ["err", "fpr", "fpr=x", "fpr=1", "fpr=-0.1", "eer=0.5", "fpr=nan"])
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="--rule"):
        operating(made(VALIDATION), rule)
