"""Presentation attacks: what the verb tells of them, by hand arithmetic, and where it tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Said
from once import Once
from studies import small

from evaluation.made import Clip, made, random_clips
from mmidd.corpus.attacks import Instruments, instruments
from mmidd.corpus.read import Corpus
from mmidd.evaluation.evaluate import evaluate
from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Items
from mmidd.evaluation.measures import Setting
from mmidd.evaluation.operating import Rule, operating, threshold
from mmidd.evaluation.presented import attack_figures, presented
from mmidd.scores.file import About, ScoreFile, write
from mmidd.scores.joined import joined
from mmidd.scores.named import digest, named

Run = Callable[..., Said]
FAMILIES: Instruments = {("A", "paper"): "print", ("A", "tablet"): "replay", ("B", "paper"): "print"}
Told = dict[tuple[str, str, str], Figure]


def clips(dataset: str = "A") -> list[Clip]:
    """At 0.5 two of eight live are rejected, one of four papers is accepted, and five of ten tablets."""
    live = [0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.6, 0.7]
    paper, tablet = [0.2, 0.8, 0.9, 0.9], [0.1, 0.2, 0.3, 0.4, 0.4, 0.6, 0.7, 0.8, 0.9, 0.9]
    found = [Clip(f"live-{n}", False, [score], dataset) for n, score in enumerate(live)]
    found += [Clip(f"paper-{n}", True, [score], dataset, kind="?", method="paper") for n, score in enumerate(paper)]
    return found + [Clip(f"tab-{n}", True, [score], dataset, kind="?", method="tablet") for n, score in enumerate(tablet)]


def told(rows: list[Clip], of: Instruments = FAMILIES, resamples: int = 200) -> Told:
    """By policy, subset and metric; dev is 0.5, which these clips choose."""
    dev = [Clip("v0", False, [0.4], split="validation"), Clip("v1", True, [0.6], split="validation")]
    setting = Setting(operating(made(dev), "eer"), "", resamples=resamples)
    items = Items.of(made(rows).level("clip", "test"))
    found = [each for scope in presented(items, of) for each in attack_figures(scope, setting)]
    assert len({each[:3] for each in found}) == len(found)
    return {each[:3]: each[3] for each in found}


def test_figures_at_the_dev_threshold_are_those_of_hand_arithmetic() -> None:
    found = {name[1:]: each for name, each in told(clips()).items()}
    wanted = {
        "threshold": 0.5, "bpcer": 2 / 8, "apcer": 5 / 10, "acer": 3 / 8, "far": 6 / 14, "hter": (2 / 8 + 6 / 14) / 2,
    }  # fmt: skip
    scope = "attacks of A"
    assert {name: found[scope, f"{name}@validation"].value for name in wanted} == pytest.approx(wanted)
    assert found[f"{scope}: paper", "apcer@validation"].value == 1 / 4
    assert found[f"{scope}: tablet", "apcer@validation"].value == 5 / 10
    assert found[scope, "apcer@validation"].why.startswith("worst: tablet")
    assert found[scope, "apcer@validation"].rows == 10 and found[scope, "bpcer@validation"].rows == 8


def test_the_oracle_threshold_is_the_equal_error_one_of_the_test_scores_and_each_resample_chooses_its_own() -> None:
    rows = [replace(each, group=f"g{number % 9}", method=("paper", "tablet")[number // 2 % 2] if each.fake else None)
            for number, each in enumerate(random_clips(90, frames=1, datasets=("A",)))]  # fmt: skip
    found = {name[1:]: each for name, each in told(rows, resamples=60).items()}
    items = Items.of(made(rows).level("clip", "test"))
    at = threshold(items.score, items.fake, Rule("eer"))
    missed, taken = (items.score[items.fake] < at).mean(), (items.score[~items.fake] >= at).mean()
    oracle = found["attacks of A", "hter@oracle"]
    assert found["attacks of A", "threshold@oracle"].value == at
    assert oracle.value == pytest.approx((missed + taken) / 2)
    assert oracle.value == pytest.approx(found["attacks of A", "eer"].value, abs=0.02)
    values = []
    for times in Setting(None, "", resamples=60).draws(items).times:
        drawn = np.repeat(np.arange(len(items)), times[items.group])
        score, fake = items.score[drawn], items.fake[drawn]
        at = threshold(score, fake, Rule("eer"))
        values.append(((score[fake] < at).mean() + (score[~fake] >= at).mean()) / 2)
    assert (oracle.low, oracle.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_a_clip_without_a_score_is_wrong_at_both_thresholds_and_chooses_neither() -> None:
    rows = [*clips(), Clip("lost-live", False, [None]), Clip("lost", True, [None], kind="?", method="paper")]
    found, whole = told(rows), told(clips())
    scope = "attacks of A"
    assert {name[0] for name in found} == {"counted", "scored"}
    for at in ("validation", "oracle"):
        for metric in ("bpcer", "apcer", "hter", "threshold"):
            name = f"{metric}@{at}"
            assert found["scored", scope, name].value == whole["counted", scope, name].value
        assert found["counted", scope, f"threshold@{at}"].value == whole["counted", scope, f"threshold@{at}"].value
        rejected = 8 * (whole["counted", scope, f"bpcer@{at}"].value or 0) + 1
        assert found["counted", scope, f"bpcer@{at}"].value == pytest.approx(rejected / 9)
    assert found["counted", f"{scope}: paper", "apcer@validation"].value == 2 / 5


def test_an_instrument_without_a_score_is_told_and_so_is_one_class() -> None:
    rows = [replace(each, scores=[None]) if each.method == "paper" else each for each in clips()]
    found = told(rows)
    assert found["counted", "attacks of A: paper", "apcer@validation"].value == 1
    worst = found["scored", "attacks of A", "apcer@validation"]
    assert worst.value is None and worst.why == "no attack with paper has a score"
    assert found["scored", "attacks of A", "hter@validation"].value is not None
    alone = told([each for each in clips() if each.fake])
    for name in ("hter@oracle", "threshold@oracle", "bpcer@validation", "auroc"):
        each = alone["counted", "attacks of A", name]
        assert each.value is None and "both classes" in each.why
    assert alone["counted", "attacks of A", "apcer@validation"].value == 5 / 10


def test_instruments_of_one_family_are_told_together_as_well() -> None:
    found = told(clips(), {("A", "paper"): "print", ("A", "tablet"): "print"})
    scope = "attacks of A"
    assert found["counted", f"{scope}: family print", "apcer@validation"].value == pytest.approx(6 / 14)
    assert found["counted", scope, "apcer_by_family@validation"].value == pytest.approx(6 / 14)
    assert found["counted", scope, "acer_by_family@validation"].value == found["counted", scope, "hter@validation"].value
    assert found["counted", scope, "apcer@validation"].value == 5 / 10
    assert not any("family" in name for each in told(clips()) for name in each)


def test_few_groups_give_no_interval_and_say_of_what() -> None:
    worst = told(clips())["counted", "attacks of A", "acer@validation"]
    assert worst.value is not None and not worst.interval and worst.why == "no interval: 4 groups with paper"
    assert told(clips())["counted", "attacks of A", "hter@validation"].interval


def test_reals_and_fakes_of_other_datasets_and_forgeries_are_no_part_of_it() -> None:
    more = [Clip("x", False, [0.9], "C"), Clip("y", True, [0.1], "C"), Clip("z", True, [0.1], "A", method="Swap")]
    assert told([*clips(), *more]) == told(clips())
    assert told(more[:2]) == {}
    both = told([*clips(), *[each for each in clips("B") if each.method != "tablet"]])
    assert {name[1] for name in both} == {
        "attacks of A", "attacks of A: paper", "attacks of A: tablet", "attacks of B", "attacks of B: paper",
        "attacks", "attacks: A: paper", "attacks: tablet", "attacks: B: paper",
        "attacks: family print", "attacks: family replay",
    }  # fmt: skip


def test_direction_live_accepted_needs_a_hundred_attacks_and_takes_live_for_the_positive() -> None:
    few = told(clips())["counted", "attacks of A", "live_accepted_at_far_0.01"]
    assert few.value is None and few.why == "14 attacks: a share of 0.01 of them needs 100"
    rows = [replace(each, method="paper") if each.fake else each for each in random_clips(400, frames=1, datasets=("A",))]
    found = told(rows, resamples=20)["counted", "attacks of A", "live_accepted_at_far_0.01"]
    items = Items.of(made(rows).level("clip", "test"))
    second = np.sort(items.score[items.fake])[2]  # two of 200 attacks may be accepted
    assert found.value == pytest.approx((items.score[~items.fake] < second).mean())


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("study-attacks", small.attacks))


def scored(corpus: Corpus, splits: tuple[str, ...] = ("validation", "test")) -> ScoreFile:
    table = named(corpus, splits)
    rows = np.sort(table["row"].drop_null().to_numpy())
    label = corpus.take(rows, ["label"])["label"].to_numpy()
    score = np.clip(0.35 + 0.3 * label + np.random.default_rng(1).normal(0, 0.25, len(rows)), 0, 1)
    about = About({"kind": "python", "name": "f"}, {"name": "c", "digest": corpus.digest}, splits, (), digest(table))
    return ScoreFile(joined(table, rows, score, None, {}), about)


def test_the_families_are_those_of_the_media_table(corpus: Corpus) -> None:
    found = instruments(corpus)
    assert len(found) == 9 and found["Alpha", "Alpha phone"] == "replay"


def test_the_verb_tells_both_thresholds_labelled_in_all_forms(corpus: Corpus, mmidd: Run, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", scored(corpus))
    words = ("evaluate", str(tmp_path / "x.parquet"), "--corpus", str(corpus.place.path("")), "--resamples", "50")
    said = mmidd(*words, "--out", str(tmp_path / "out"))
    assert said.code == 0, said.err
    for text in (said.out, *((tmp_path / "out" / f"{name}").read_text() for name in ("evaluation.md", "index.html"))):
        for word in ("ACER", "BPCER", "HTER", "looks at the answers", "Alpha mask (mask3d)", "dev threshold"):
            assert word in text
    rows = (tmp_path / "out" / "evaluation.csv").read_text()
    assert "attacks of Alpha,hter@oracle" in rows and "attacks of Alpha: Alpha phone,apcer@validation" in rows
    assert "ACER" in (tmp_path / "out" / "evaluation.tex").read_text()
    document = mmidd(*words, "--json").document["files"][0]
    assert document["instruments"]["attacks of Beta: Beta printer"] == "print"
    bare = mmidd("evaluate", str(tmp_path / "x.parquet"), "--resamples", "20")
    assert bare.code == 0 and "ACER" not in bare.out


def test_clips_of_train_beside_test_are_not_told_of_and_that_is_said() -> None:
    found = evaluate(made([*clips(), Clip("t", False, [0.1], split="train")]), resamples=20)
    assert "made has 1 clip of train as well, not told of" in found.notes
