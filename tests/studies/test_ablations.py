"""Ablations: which trials they are, that these begin with each other's runs, and one from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Said
from explanations import toy
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, ShareError
from mmidd.runs.train import train
from mmidd.share.export.run import export
from mmidd.share.publication.stage import plan
from mmidd.studies.ablations import ABLATIONS, LAST, REWARDS, ROLES, SAYS, words_for
from mmidd.studies.facts import Facts, Rows
from mmidd.studies.grid import Asked, Grid, grid
from mmidd.studies.shortcut import STRENGTH, patterned, shortcut
from studies import small

Run = Callable[..., Said]
FACTS = Facts("made", "0" * 16, tuple(Rows(split, "a", 4, 4) for split in ("train", "validation", "test")))
FEW = (
    "specialist.steps=2", "align.steps=6", "align.format_share=1", "rl.steps=2", "rl.samples=2", "rl.least_format=0",
    "reply_tokens=12", "validation_frames=1",
)  # fmt: skip


def of(name: str, **more: Any) -> Grid:
    asked = {"studies": (name,), "seeds": (0, 1), "specialist": "xception", **more}
    return grid(Asked(("explain",), **asked), FACTS, ABLATIONS)


EACH = {
    "specialist": (
        3,
        ["the specialist alone", "without a specialist", "without a specialist, behind reasons", "with the specialist",
         "with the specialist, behind reasons"],
    ),
    "rl": (
        3,
        ["aligned", "aligned, behind reasons", "aligned and reinforced", "aligned and reinforced, behind reasons"],
    ),
    "chain": (3, ["answered at once", "answered behind reasons"]),
    "rewards": (5, [title + end for title in REWARDS for end in ("", ", behind reasons")]),
    "language": (
        4,
        ["the specialist alone", "aligned, no specialist", "aligned", "aligned and reinforced",
         "aligned and reinforced, behind reasons"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_an_ablation_has_these_lines_and_every_trial_comes_after_those_that_it_begins_with(name: str) -> None:
    found, (trials, lines) = of(name), EACH[name]
    assert [line.title for line in found.lines] == lines and len(found.trials) == 2 * trials
    assert name in SAYS and not found.left_out
    done: set[str] = set()
    for trial in found.trials:
        assert {before for _, before in trial.after} <= done
        assert all(before.endswith(f"seed-{trial.seed}") for _, before in trial.after)
        done.add(trial.name)
    assert len({trial.run for trial in found.trials if trial.after}) == sum(bool(trial.after) for trial in found.trials)


def test_without_a_specialist_nothing_begins_with_one_and_there_is_none_to_take_away() -> None:
    found = of("specialist", specialist="none")
    assert not found.trials and "nothing to take away" in found.left_out[0]
    assert [option for trial in of("rl", specialist="none").trials for option, _ in trial.after] == ["start", "start"]


def test_a_specialist_that_was_trained_elsewhere_is_named_and_not_trained() -> None:
    found = of("specialist", specialist="/runs/mine")
    assert {trial.settings for trial in found.trials} == {(LAST,), (LAST, "specialist=/runs/mine")}
    assert not [trial for trial in found.trials if trial.after] and "trained elsewhere" in found.left_out[0]


def test_words_are_of_both_stages_or_of_the_runs_that_they_name() -> None:
    words = ("lr=1", "rl.steps=2", "specialist.steps=3", "backbone=a.b")
    assert [words_for(words, role) for role in ROLES] == [
        ("steps=3",), ("lr=1", "backbone=a.b"), ("lr=1", "steps=2", "backbone=a.b"),
    ]  # fmt: skip


def test_rewards_are_not_compared_where_they_are_set() -> None:
    found = of("rewards", settings=("rl.rewards={class: 1}",))
    assert not found.trials and "is what this ablation changes" in found.left_out[0]


def test_the_pattern_is_on_the_fakes_of_one_corpus_and_on_nothing_else(once: Once, tmp_path: Path) -> None:
    corpus = Corpus(once("study-corpus", small.corpus))
    drawn, plain = shortcut(corpus, tmp_path, tell=lambda line: None)
    assert drawn.splits == corpus.splits and [*plain.splits] == ["test"]
    assert not {"attack", "turn"} & {*pq.read_schema(tmp_path / "with-shortcut" / "media.parquet").names}  # none has any
    assert drawn.verify().findings == corpus.verify().findings  # the tiny one has its own
    label = {row["id"]: row["label"] for row in plain.rows(["id", "label"]).to_pylist()}
    other = dict(drawn.part("test").images())
    assert {name for name, data in plain.images() if other[name] != data} == {name for name, each in label.items() if each}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert [each.digest for each in shortcut(corpus, tmp_path, tell=print)] == [drawn.digest, plain.digest]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_the_pattern_is_faint_and_has_no_mean() -> None:
    import numpy as np

    grey = np.full((56, 56, 3), 127, np.uint8)
    moved = patterned(grey, STRENGTH).astype(int) - 127
    assert 0 < np.abs(moved).max() <= STRENGTH and abs(moved.mean()) < 0.1 and (patterned(grey, 0) == grey).all()


def test_corpora_made_for_the_ablation_are_neither_published_nor_exported_and_training_on_them_tells(
    once: Once, tmp_path: Path
) -> None:
    made = shortcut(Corpus(once("study-corpus", small.corpus)), tmp_path / "s", tell=lambda line: None)
    for each in made:
        with pytest.raises(ShareError, match="not data"):
            plan(each)
        with pytest.raises(CorpusError, match="not data"):
            export(each, "imagefolder", tmp_path / "out")
    heard: list[str] = []
    run = tmp_path / "run"
    train(toy.DETECTOR, "toy", made[0], run, preset="tiny", settings=["steps=1"], workers=0, device="cpu", tell=heard.append)
    assert any("not data" in line for line in heard) and "not data" in (run / "run.json").read_text()
    assert not (tmp_path / "out").exists()


def test_language_from_end_to_end_and_again_at_no_cost(once: Once, mmidd: Run, tmp_path: Path) -> None:
    corpus = once("study-corpus", small.corpus)
    sets = [word for each in FEW for word in ("--set", each)]
    words = ("ablate", "language", str(corpus), "--out", str(tmp_path / "study"), "--seeds", "0", "--workers", "0", *sets)
    found = mmidd(*words, "--json")
    assert found.code == 0, found.err
    assert found.document["trials"] == {"all": 4, "done": 4, "failed": 0, "to do": 0}
    assert {line["tested_on"] for line in found.document["lines"]} == {"test split", "corpus without-shortcut"}
    assert len(found.document["lines"]) == 10 and any(
        "the shortcut is drawn" in said.lower() for said in found.document["says"]
    )
    (run,) = (tmp_path / "study" / "runs").glob("explain.tiny-rl.*")
    asked = json.loads((run / "run.json").read_bytes())["asked"]["detector"]["options"]
    assert Path(asked["start"]).is_dir() and Path(asked["specialist"]).is_dir() and asked["stage"] == "reinforce"
    looked = mmidd(
        "faithful", str(run), str(corpus), "--rows", "4", "--device", "cpu", "--out", str(tmp_path / "out"), "--json"
    )
    assert looked.code == 0 and len(looked.document["replies"]) == 4 and (tmp_path / "out" / "index.html").exists()
    again = mmidd(*words, "--json")
    assert again.code == 0 and again.document["changed"] is False and again.document["lines"] == found.document["lines"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("colour", "CORPUS"), "there are specialist"),
        (("rl", "CORPUS", "--detector", "xception"), "has no preset tiny-rl"),
        (("rl", "CORPUS", "--specialist", "nobody"), "no folder of a run, and no detector"),
        (("rl", "CORPUS", "--set", "rl.stepz=1"), "did you mean 'steps'"),
        (("rl", "CORPUS", "--strength", "3"), "--strength is of the ablation language"),
        (("language", "CORPUS", "--dry-run", "--test", "CORPUS"), "tested on its own two corpora"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    once: Once, mmidd: Run, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    corpus = str(once("study-corpus", small.corpus))
    found = mmidd("ablate", *(corpus if word == "CORPUS" else word for word in words), "--out", str(tmp_path / "study"))
    assert found.code == 2 and why in found.err and not (tmp_path / "study").exists()


def test_language_can_be_forecast_with_a_strength(once: Once, mmidd: Run, tmp_path: Path) -> None:
    words = ("--specialist", "none", "--seeds", "0", *(word for each in FEW[1:] for word in ("--set", each)))
    corpus, out = str(once("study-corpus", small.corpus)), tmp_path / "study"
    found = mmidd(
        "ablate", "language", corpus, "--out", str(out), "--dry-run", "--strength", "2", "--device", "cpu", "--workers", "0",
        *words,
    )  # fmt: skip
    assert found.code == 0 and not out.exists(), found.err


def test_what_follows_stands_beside_chance_which_is_all_of_it_where_one_answer_is_given_to_all() -> None:
    import pyarrow as pa

    from mmidd.studies.measure import _by_chance

    def of(answers: list[str | None], alone: list[float | None]) -> float | None:
        return _by_chance(pa.table({"answer": pa.array(answers, pa.string()), "alone": pa.array(alone, pa.float64())}))

    assert of(["fake"] * 4, [0.9] * 4) == 1 and of(["fake"] * 4, [0.1] * 4) == 0
    assert of(["fake", "real"] * 2, [0.9, 0.1] * 2) == 0.5 and of([None, "fake"], [0.5, None]) is None


def test_every_seed_of_an_ablation_is_told_for_two_lines_may_show_different_ones() -> None:
    from mmidd.studies.results import _by_seed

    line: dict[str, Any] = {"study": "rl", "line": 3, "seeds": [{"seed": 0, "auroc": 0.5}, {"seed": 1, "auroc": None}]}
    assert "line 3: 0 0.500, 1 none" in _by_seed([line])[0]
    assert not _by_seed([{**line, "study": "pairs"}]) and not _by_seed([{**line, "seeds": line["seeds"][:1]}])
