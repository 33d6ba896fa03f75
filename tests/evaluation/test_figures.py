"""The figures that the verb prints are scikit-learn's and scipy's, and intervals those of whole groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Said
from sklearn import metrics

from evaluation.made import Clip, made, random_clips
from mmidd.evaluation.evaluate import evaluate
from mmidd.evaluation.items import Items
from mmidd.evaluation.measures import RANKING
from mmidd.scores.file import ScoreFile, write
from mmidd.statistics import EXACT, Draws, auroc, interval, resampling

Run = Callable[..., Said]


@pytest.fixture(scope="module")
def file() -> ScoreFile:
    return made(
        [*random_clips(240, types=True, seed=1, shift=0.6), *random_clips(120, types=True, split="validation", seed=2)]
    )


@pytest.fixture
def told(file: ScoreFile, mmidd: Run, tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "x.parquet", file)
    said = mmidd("evaluate", str(tmp_path / "x.parquet"), "--json", "--resamples", "50")
    assert said.code == 0, said.err
    found: dict[str, Any] = said.document["files"][0]
    return found


def _by_name(told: dict[str, Any], level: str, subset: str = "all", policy: str = "counted") -> dict[str, Any]:
    wanted = (level, subset, policy)
    return {f["metric"]: f for f in told["figures"] if (f["level"], f["subset"], f["policy"]) == wanted}


@pytest.mark.parametrize("level", ["clip", "frame"])
def test_every_figure_of_the_verb_is_scikit_learns(file: ScoreFile, told: dict[str, Any], level: str) -> None:
    items = Items.of(file.level(level, "test"))
    y, s, at = items.fake, items.score, told["operating"]["threshold"]
    assert items.types is not None
    false, true, _ = metrics.roc_curve(y, s, drop_intermediate=False)
    wanted = {
        "auroc": metrics.roc_auc_score(y, s),
        "average_precision": metrics.average_precision_score(y, s),
        "tpr_at_fpr_0.01": true[false <= 0.01].max(),
        "tpr_at_fpr_0.05": true[false <= 0.05].max(),
        "partial_auroc_0.1": metrics.roc_auc_score(y, s, max_fpr=0.1),
        "accuracy@validation": metrics.accuracy_score(y, s >= at),
        "balanced_accuracy@validation": metrics.balanced_accuracy_score(y, s >= at),
        "accuracy@0.5": metrics.accuracy_score(y, s >= 0.5),
        "balanced_accuracy@0.5": metrics.balanced_accuracy_score(y, s >= 0.5),
        "true_positive_rate@0.5": metrics.recall_score(y, s >= 0.5),
        "type_accuracy": metrics.accuracy_score(items.kind, items.types.argmax(1)),
        "type_macro_f1": metrics.f1_score(items.kind, items.types.argmax(1), average="macro"),
        "brier": metrics.brier_score_loss(y, s),
        "nll": metrics.log_loss(y, s),
    }
    found = _by_name(told, level)
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted, abs=1e-12)
    assert told["confusion"][level] == [
        [*row, 0] for row in metrics.confusion_matrix(items.kind, items.types.argmax(1)).tolist()
    ]
    assert found["auroc"]["rows"] == len(items) and found["auroc"]["groups"] == len(np.unique(items.group))
    from scipy.optimize import brentq

    eer = brentq(lambda x: 1 - x - np.interp(x, false, true), 0, 1)
    assert found["eer"]["value"] == pytest.approx(eer, abs=1e-9)


def test_tempering_makes_the_log_loss_of_validation_least_and_changes_no_order(
    file: ScoreFile, told: dict[str, Any]
) -> None:
    from scipy.optimize import minimize_scalar

    items = Items.of(file.level("clip", "validation"))
    logit = np.log(items.score / (1 - items.score))
    loss = lambda t: metrics.log_loss(items.fake, 1 / (1 + np.exp(-logit / t)))  # noqa: E731
    least = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6}).x
    assert told["operating"]["temperature"] == pytest.approx(least, abs=1e-3)


def test_subsets_are_measured_against_the_reals_of_their_own_datasets(file: ScoreFile, told: dict[str, Any]) -> None:
    rows = [row for row in file.level("clip", "test").to_pylist()]
    of: dict[str, Callable[[dict[str, Any]], bool]] = {
        "dataset A": lambda r: r["dataset"] == "A",
        "method B: M1": lambda r: r["dataset"] == "B" and r["method"] in (None, "M1"),
        "type FR": lambda r: r["dataset"] == "B" and r["forgery_type"] in ("REAL", "FR"),
        "compression c40": lambda r: r["compression"] == "c40",
    }
    for subset, which in of.items():
        mine = [row for row in rows if which(row)]
        area = metrics.roc_auc_score([row["label"] == "fake" for row in mine], [row["score"] for row in mine])
        found = _by_name(told, "clip", subset)["auroc"]
        assert (found["value"], found["rows"]) == (pytest.approx(area), len(mine))


def test_means_and_the_matrix_are_over_datasets(file: ScoreFile, told: dict[str, Any]) -> None:
    items = Items.of(file.level("clip", "test"))
    dataset = items.columns["dataset"]
    areas = {}
    for i in "AB":
        for j in "AB":
            mine = (dataset.of(i) & ~items.fake) | (dataset.of(j) & items.fake)
            areas[i, j] = metrics.roc_auc_score(items.fake[mine], items.score[mine])
    matrix = told["matrices"]["clip"][0]
    assert [[cell["value"] for cell in row] for row in matrix["cells"]] == pytest.approx(
        np.array([[areas[i, j] for j in "AB"] for i in "AB"])
    )
    assert matrix["off"]["value"] == pytest.approx((areas["A", "B"] + areas["B", "A"]) / 2)
    mean = _by_name(told, "clip", "mean over datasets")["auroc"]
    assert mean["value"] == pytest.approx((areas["A", "A"] + areas["B", "B"]) / 2) and "over 2: A, B" in mean["why"]


@pytest.mark.parametrize("ties", [False, True])
def test_resamples_are_ranked_as_one_by_one(ties: bool) -> None:
    """Bins are exact up to a count of distinct scores, and no figure moves by more than a hair beyond it."""
    items = Items.of(made(random_clips(300, frames=1)).level("clip"))
    score = items.score.round(1) if ties else items.score
    draws = Draws.of(items.group, seed=1, resamples=40)
    found = draws.ranked(score, items.fake, {name: measure for name, (measure, _) in RANKING.items()})
    for at, times in enumerate(draws.times):
        rows = np.repeat(np.arange(len(score)), times[draws.group])
        y, s = items.fake[rows], score[rows]
        assert found["auroc"][at] == pytest.approx(metrics.roc_auc_score(y, s))
        assert found["average_precision"][at] == pytest.approx(metrics.average_precision_score(y, s))
        assert found["partial_auroc_0.1"][at] == pytest.approx(metrics.roc_auc_score(y, s, max_fpr=0.1))


def test_bins_of_many_scores_hardly_move_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    items = Items.of(made(random_clips(4000, frames=1, groups=300)).level("clip"))
    assert len(np.unique(items.score)) > EXACT
    draws, measures = Draws.of(items.group, resamples=200), {name: measure for name, (measure, _) in RANKING.items()}
    found = draws.ranked(items.score, items.fake, measures)
    monkeypatch.setattr(resampling, "EXACT", 10**6)
    exact = draws.ranked(items.score, items.fake, measures)
    rows = np.repeat(np.arange(len(items)), draws.times[0][draws.group])
    assert exact["auroc"][0] == pytest.approx(auroc(items.score[rows], items.fake[rows]), abs=1e-12)
    for name in RANKING:
        assert interval(found[name]) == pytest.approx(interval(exact[name]), abs=0.005), name


def test_frames_of_a_clip_are_not_taken_for_independent() -> None:
    """Each clip a hundred times over: the interval stays as wide."""
    once = random_clips(120, frames=1, groups=30, seed=3)
    often = [Clip(c.media, c.fake, list(c.scores) * 30, c.dataset, c.group) for c in once]
    one, many = (evaluate(made(clips)).files[0].figures("frame", "counted")["auroc"] for clips in (once, often))
    assert one.value == pytest.approx(many.value) and (one.low, one.high) == pytest.approx((many.low, many.high))
