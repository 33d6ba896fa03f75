"""What a run refuses before it begins, with what to do; which rows it sees; and that it says itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Said
from corpus import made

import mmidd as api
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, MmiddError, PluginError, RunError, UsageError
from mmidd.runs.asked import options_of
from mmidd.runs.data import Selection, seen
from mmidd.runs.detector import Loss, Preset, Scores
from mmidd.runs.settings import Settings
from mmidd.runs.train import Trained, train
from runs import corpora, toy

Run = Callable[..., Said]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.corpus(tmp_path_factory.mktemp("train") / "corpus")


def _train(corpus: Path, out: Path, *settings: str, **more: Any) -> Trained:
    usual: dict[str, Any] = {"preset": "tiny", "workers": 0, "device": "cpu", "tell": lambda line: None}
    return train(toy.TOY, "toy", corpus, out, settings=["steps=2", *settings], **{**usual, **more})


REFUSED: list[tuple[dict[str, Any], type[MmiddError], str]] = [
    ({"settings": ["lrr=1", "droput=1", "batch=x"]}, UsageError,
     r"unknown key 'lrr'; did you mean 'lr'\?; unknown key 'droput'; did you mean 'dropout'\?; batch='x': input should be"),
    ({"settings": ["dropout=much"]}, UsageError, "dropout='much': input should be a valid number"),
    ({"settings": ["lr=inf", "betas=[2,0.9]", "warmup=1e308"]}, UsageError,
     "lr=inf: input should be a finite number; betas.0=2: input should be less than 1; warmup=1e.308: input should be less"),
    ({"settings": ["min_lr=1"]}, UsageError, "min_lr=1: value error, it is over lr=0.01"),
    ({"settings": ["dropout=nan"]}, UsageError, "dropout=nan: input should be a finite number"),
    ({"settings": ["augment=2026-13-45"]}, UsageError, "no preset '2026-13-45'"),
    ({"settings": ["batch=1000000000000", "micro=7"]}, UsageError, "micro=7 does not divide the 1000000000000 rows"),
    ({"settings": ["steps"]}, UsageError, "--set steps: write KEY=VALUE"),
    ({"settings": ["augment=jpeg"]}, UsageError, "no preset 'jpeg': one of 'none'"),
    ({"settings": ["batch=7", "micro=2"]}, UsageError, "micro=2 does not divide the 7 rows of a batch: one of 1, 7"),
    ({"settings": ["batch=75"]}, CorpusError, "74 rows fill no batch of 75"),
    ({"settings": ["order=pairs", "clip=2"]}, UsageError, "takes clips, which come by order=shuffle alone"),
    ({"settings": ["frames=2", "clip=2"]}, UsageError, "this detector takes clips of 2 frames, one of each an epoch"),
    ({"preset": "large"}, UsageError, "preset 'large': toy has paper, tiny"),
    ({"seeds": (0, 0)}, UsageError, "different whole numbers"),
    ({"device": "tpu"}, UsageError, "choose auto, cpu or cuda"),
    ({"selection": lambda: Selection(only=("Delta",))}, CorpusError, "Delta"),
    ({"selection": lambda: Selection(where={"split": "test"})}, UsageError, "test rows are never read in training"),
    ({"selection": lambda: Selection(fraction=0)}, UsageError, "fraction 0: a share of the rows"),
    ({"selection": lambda: Selection(where={"label": "fake"})}, RunError, "the rows of train have no real"),
    ({"selection": lambda: Selection(where={"geometry": "whole"}, holdout=0.5)}, RunError, "no row is left of them"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "error", "said"), REFUSED)
def test_what_cannot_be_trained_is_refused_with_what_to_do(
    corpus: Path, tmp_path: Path, asked: dict[str, Any], error: type[MmiddError], said: str
) -> None:
    with pytest.raises(error, match=said):
        given = {name: value() if callable(value) else value for name, value in asked.items()}
        _train(corpus, tmp_path / "run", *given.pop("settings", []), **given)
    assert not list(tmp_path.glob("run/seed-*/checkpoints/*"))


def test_settings_are_wrong_before_any_data_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key 'lrr'"):
        _train(tmp_path / "no such corpus", tmp_path / "run", "lrr=1")


def test_a_corpus_of_one_class_or_without_a_split_is_told(tmp_path: Path) -> None:
    only_fakes = toy.one_class(tmp_path / "fakes")
    with pytest.raises(RunError, match=r"the rows of train have no real \(48 fake\): a detector needs both"):
        _train(only_fakes, tmp_path / "run")
    with pytest.raises(RunError, match=r"no rows of split validation.*it has train 74.*--holdout 0\.1.*test is never used"):
        _train(toy.without(tmp_path / "without", "validation"), tmp_path / "run")
    with pytest.raises(RunError, match="no rows of split train"):
        _train(toy.without(tmp_path / "no train", "train"), tmp_path / "run")


def test_needed_columns_that_are_empty_stop_and_some_empty_rows_are_told(corpus: Path, tmp_path: Path) -> None:

    told: list[str] = []
    wanting = replace(toy.TOY, needs=("label", "environment_caption"))
    with pytest.raises(
        RunError, match=r"toy cannot be trained without 'environment_caption', which is empty in all 74 rows"
    ):
        train(wanting, "toy", corpus, tmp_path / "run", preset="tiny", workers=0, device="cpu", tell=told.append)
    with pytest.raises(PluginError, match="toy needs 'face_captions', which no corpus has"):
        train(replace(toy.TOY, needs=("face_captions",)), "toy", corpus, tmp_path / "run", preset="tiny", device="cpu")
    partly = replace(toy.TOY, needs=("label", "forgery_type"))
    train(partly, "toy", corpus, tmp_path / "run", preset="tiny", settings=["steps=1"], workers=0, device="cpu",
          tell=told.append)  # fmt: skip
    assert any("of 74 rows of train have no forgery_type" in line for line in told)


def test_presentation_attacks_are_counted_by_family_and_are_nothing_to_learn_types_from(tmp_path: Path) -> None:
    place = corpora.attacked(tmp_path / "corpus")
    rows = seen(Corpus(place), Selection(), Settings()).document()["train"]
    half = rows["rows"] // 2
    assert (rows["label"], rows["forgery_type"], rows["attack"]) == (
        {"real": half, "fake": half},
        {"REAL": half},
        {"print": half},
    )
    typed = replace(toy.TOY, needs=("label", "forgery_type"))
    with pytest.raises(RunError, match=r"without 'forgery_type', which no fake has: .* or they are presentation attacks"):
        train(typed, "toy", place, tmp_path / "run", preset="tiny", workers=0, device="cpu", tell=lambda line: None)


def test_a_run_of_other_settings_detector_or_rows_is_refused_by_what_differs(corpus: Path, tmp_path: Path) -> None:
    _train(corpus, tmp_path / "run")
    for words, more, said in (
        (["lr=0.5"], {}, "settings.lr was 0.01, is 0.5"),
        (["dropout=0.1"], {}, "detector.options.dropout was 0.3, is 0.1"),
        ([], {"selection": Selection(only=("Alpha",), holdout=0.4)}, "selection"),
    ):
        with pytest.raises(RunError, match=said):
            _train(corpus, tmp_path / "run", *words, **more)
    with pytest.raises(RunError, match=r"detector\.name was"):
        train(toy.TOY, "other", corpus, tmp_path / "run", preset="tiny", settings=["steps=2"], workers=0, device="cpu",
              tell=lambda line: None)  # fmt: skip


def test_not_a_number_ends_a_run_whose_last_checkpoint_stays(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"step 4: the loss terms label, type became no finite number.*rows [0-9a-f]{24}, "):
        _train(corpus, tmp_path / "run", "nan=3", "save_every=1", "steps=9", "validate_every=9")
    assert [path.name for path in sorted(tmp_path.glob("run/seed-0/checkpoints/step-*"))] == [
        "step-00000002",
        "step-00000003",
    ]


def test_no_best_is_chosen_by_a_loss_that_is_no_number(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"select=loss: .*no finite number.*label nan, type .*Choose select=video_auroc"):
        _train(corpus, tmp_path / "run", "lost=true", "select=loss")
    found = _train(corpus, tmp_path / "other", "lost=true")
    assert found.seeds[0]["best"]["validation"]["loss"] is None and found.seeds[0]["best"]["value"] > 0


def test_a_detector_of_clips_is_trained_on_clips(corpus: Path, tmp_path: Path) -> None:
    found = _train(corpus, tmp_path / "run", "clip=2", "batch=4", "augment=gend")
    assert found.seeds[0]["steps"] == 2


def _rows(corpus: Path, asked: Selection, **settings: Any) -> Any:
    found = seen(Corpus(corpus), asked, Settings(**settings))
    table = Corpus(corpus).take(found.train.numbers, ["id", "label", "pair", "group", "dataset"]).to_pylist()
    return found, table


def test_paired_rows_are_fakes_with_their_reals_and_unpaired_ones_never_meet(corpus: Path) -> None:
    every, _ = _rows(corpus, Selection())
    found, table = _rows(corpus, Selection(paired=True))
    ids = {row["id"] for row in table}
    assert all(row["pair"] in ids for row in table if row["label"]) and found.left_out == {"of no pair": 2}
    assert {row["pair"] for row in table if row["label"]} == {row["id"] for row in table if not row["label"]}
    apart, table = _rows(corpus, Selection(paired=False))
    ids = {row["id"] for row in table}
    assert not any(row["pair"] in ids for row in table if row["label"])
    reals, fakes = ({row["group"] for row in table if row["label"] == label} for label in (0, 1))
    assert reals and fakes and not reals & fakes
    assert len(apart.train) + sum(apart.left_out.values()) == len(every.train)


def test_held_out_groups_are_whole_and_the_same_for_every_fraction(corpus: Path) -> None:
    found, table = _rows(corpus, Selection(holdout=0.3))
    held = Corpus(corpus).take(found.validation.numbers, ["group", "split_basis"]).to_pylist()
    groups = {row["group"] for row in held} - {None}
    assert groups and not groups & {row["group"] for row in table}
    less, _ = _rows(corpus, Selection(holdout=0.3, fraction=0.5))
    assert np.array_equal(less.validation.numbers, found.validation.numbers) and len(less.train) < len(found.train)
    assert set(less.train.numbers) < set(found.train.numbers)
    assert found.left_out == {"validation split, since rows of train are held out": 37}


def test_frames_of_clips_are_spread_and_what_is_left_out_is_counted(corpus: Path) -> None:
    found, _ = _rows(corpus, Selection(), order="balanced", frames=2)
    assert found.left_out == {"more than 2 frames of a clip": 36} and len(found.train) == 38


def test_what_the_order_leaves_out_and_what_cannot_be_read_is_told(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []
    found = _train(corpus, tmp_path / "pairs", "order=pairs", tell=told.append)
    why = "reals that no selected fake was made from"
    assert f"note: 2 of 74 rows of train are in no batch: {why}" in told
    assert found.seeds[0]["left out by the order"] == {why: 2} and why in (tmp_path / "pairs/index.html").read_text()
    broken = _train(toy.broken(tmp_path / "broken"), tmp_path / "run", "steps=18", "batch=37", "save_every=1")
    assert broken.seeds[0]["rows skipped"] == 18


def test_epochs_take_the_place_of_a_presets_steps() -> None:

    stepped = replace(toy.TOY, presets={"tiny": Preset({}, {"steps": 7})})
    for words, steps in (((), 7), (["epochs=3"], None), (["epochs=3", "steps=5"], 5), (["steps=5"], 5)):
        assert options_of(stepped, "toy", "tiny", words)[1].steps == steps


def test_a_presets_word_is_laid_over_it() -> None:
    options, settings = options_of(toy.TOY, "toy", "tiny", ["lr=1e-3", "norm=true", "micro=null", "schedule=cosine"])
    assert (settings.lr, settings.batch, settings.micro, settings.schedule) == (1e-3, 8, None, "cosine")
    assert options == toy.ToyOptions(norm=True)
    assert options_of(toy.TOY, "toy", "tiny", {"lr": 1e-3})[1] == options_of(toy.TOY, "toy", "tiny", "lr=0.001")[1]


def test_frames_of_pairs_are_the_same_ones_of_both(tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        toy._change(shard, rows)
        rows[:] = [row for row in rows if not row["label"] or row["frame"]]  # the first frame of each fake is lost

    corpus = made.corpus(tmp_path / "corpus", change)
    found, _ = _rows(corpus, Selection(), order="pairs", frames=1)
    pair, fake = found.train.pair, found.train.codes("label").codes == 1
    assert fake.sum() == 12 and (pair[fake] >= 0).all()
    assert sum(found.left_out.values()) + len(found.train) == 62 and len(set(pair[fake])) == 6


def test_the_verb_trains_says_what_came_of_it_and_what_is_next(corpus: Path, tmp_path: Path, mmidd: Run) -> None:
    words = ["train", "gend", str(corpus), "--out", str(tmp_path / "run"), "--preset", "tiny", "--set", "steps=2",
             "--seeds", "0,3", "--workers", "0", "--device", "cpu"]  # fmt: skip
    said = mmidd(*words)
    assert said.code == 0 and "seed 0: 2 steps" in said.out and "seed 3: 2 steps" in said.out and "next: " in said.out
    again = mmidd(*words, "--json")
    assert again.code == 0 and json.loads(again.out)["changed"] is False
    assert [each["seed"] for each in json.loads(again.out)["seeds"]] == [0, 3]
    other = mmidd(*words, "--self-blended")
    assert other.code == 1 and 'settings.order was "shuffle", is "self-blended"' in other.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gned"], "no reference detector 'gned'; did you mean 'gend'?"),
        (["gend", "--seeds", "0-2"], "--seeds 0-2: whole numbers with commas"),
        (["gend", "--set", "bacth=4"], "unknown key 'bacth'; did you mean 'batch'?"),
        (["gend", "--fraction", "2"], "fraction 2.0: a share of the rows"),
    ],
)
def test_the_verb_refuses_with_words(corpus: Path, tmp_path: Path, mmidd: Run, words: list[str], said: str) -> None:
    got = mmidd("train", words[0], str(corpus), "--out", str(tmp_path / "run"), *words[1:])
    assert got.code == 2 and said in got.err and not (tmp_path / "run").exists()


def test_python_trains_as_the_verb_does(corpus: Path, tmp_path: Path) -> None:
    found = api.train("gend", corpus, tmp_path / "run", preset="tiny", settings={"steps": 1}, workers=0, device="cpu",
                      only=["Beta"], tell=lambda line: None)  # fmt: skip
    assert found.document()["rows"]["train"]["rows"] == 37 and found.changed


def _evil(**methods: Any) -> Any:

    return replace(toy.TOY, build=type("Evil", (toy.Toy,), methods))


SCORES, LOSSES = toy.Toy.scores, toy.Toy.losses
MISBEHAVING: dict[str, tuple[dict[str, Any], str]] = {
    "too many scores": ({"scores": lambda s, f: Scores(SCORES(s, f).fake.repeat(2))}, r"fake of shape \(64,\), not \(32,\)"),
    "scores over one": ({"scores": lambda s, f: Scores(SCORES(s, f).fake + 3)}, "fake from 3.* to 3.*, not shares of one"),
    "three types": (
        {"scores": lambda s, f: Scores(SCORES(s, f).fake, SCORES(s, f).fake[:, None].repeat(1, 3))},
        r"types of shape \(32, 3\)",
    ),
    "no scores": ({"scores": lambda s, f: None}, "scores.. gives a NoneType"),
    "no terms": ({"losses": lambda s, f, b, o: Loss({})}, "losses.. gives no term"),
    "no scalars": (
        {"losses": lambda s, f, b, o: Loss({"a": LOSSES(s, f, b, o).terms["label"].repeat(2)})}, r"the term 'a' as \(2,\)",
    ),
    "counts that are none": (
        {"losses": lambda s, f, b, o: Loss(LOSSES(s, f, b, o).terms, dict[str, Any](a="b"))}, "'b' rows for 'a'",
    ),
    "an infinite loss": (
        {"losses": lambda s, f, b, o: LOSSES(s, f, b, o) if s.training else Loss({"a": torch.tensor(torch.inf)})},
        "select=loss: on the validation rows that is no finite number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", MISBEHAVING)
def test_a_detector_that_owes_losses_or_scores_is_told_which(corpus: Path, tmp_path: Path, fault: str) -> None:
    methods, said = MISBEHAVING[fault]
    with pytest.raises(RunError, match=said):
        train(_evil(**methods), "toy", corpus, tmp_path / "run", preset="tiny", workers=0, device="cpu",
              settings=["steps=1", "batch=32", "select=loss"], tell=lambda line: None)  # fmt: skip


def test_what_is_no_network_is_told(corpus: Path, tmp_path: Path) -> None:

    with pytest.raises(RunError, match="gives a Linear, no Network"):
        train(replace(toy.TOY, build=lambda options: torch.nn.Linear(2, 2)), "toy", corpus, tmp_path / "run", preset="tiny",
              workers=0, device="cpu", tell=lambda line: None)  # fmt: skip


def test_a_checkpoint_of_another_run_or_seed_and_a_result_that_is_none_are_told(corpus: Path, tmp_path: Path) -> None:
    for name, lr in (("one", "lr=0.1"), ("two", "lr=0.2")):
        _train(corpus, tmp_path / name, lr)
        (tmp_path / name / "seed-0/result.json").unlink()
    shutil.rmtree(tmp_path / "one/seed-0/checkpoints")
    shutil.copytree(tmp_path / "two/seed-0/checkpoints", tmp_path / "one/seed-0/checkpoints")
    with pytest.raises(RunError, match="is of another run or seed"):
        _train(corpus, tmp_path / "one", "lr=0.1")
    _train(corpus, tmp_path / "two", "lr=0.2")
    result = tmp_path / "two/seed-0/result.json"
    told = result.read_text()
    for damage in ("{}", told.replace('"best": {', '"best": 3, "b": {'), told.replace('"seed": 0', '"seed": 1')):
        result.write_text(damage)
        with pytest.raises(RunError, match="damaged, or of another seed"):
            _train(corpus, tmp_path / "two", "lr=0.2")


def test_a_folder_whose_name_is_no_text_holds_a_run(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "odd \udcff"
    monkeypatch.setattr("sys.argv", ["mmidd", "train", "toy", "--out", name])
    _train(corpus, tmp_path / name)
    assert name in json.loads((tmp_path / name / "run.json").read_text())["surroundings"]["command"]
    assert not _train(corpus, tmp_path / name).changed
