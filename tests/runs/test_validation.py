"""What a validation says: every row once, media by the mean of their frames, nothing of it by chance."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from once import Once

from mmidd.corpus.alone import COLUMNS
from mmidd.corpus.read import Corpus
from mmidd.errors import RunError
from mmidd.runs.columns_alone import alone
from mmidd.runs.data import dataset
from mmidd.runs.detector import Batch, Features, Network, Scores
from mmidd.runs.kept_scores import score_file
from mmidd.runs.measures import Scored, Validation, groups_of, media_of
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.runs.validation import validate
from mmidd.scores.file import ScoreFile
from mmidd.statistics import auroc, auroc_interval
from mmidd.training.select import select
from runs import corpora
from runs.corpora import FRAMES, PERSONS, ROWS
from runs.networks import Toy

HERE = Here(torch.device("cpu"))
SETTINGS = Settings(batch=10, precision="float32", validation_frames=None)


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("learnable", corpora.corpus))


@pytest.fixture(scope="module")
def broken(once: Once) -> Corpus:
    return Corpus(once("learnable-broken", corpora.broken))


def network(**options: Any) -> Toy:
    torch.manual_seed(1)
    return Toy(**options)


def found(corpus: Corpus, net: Network, settings: Settings = SETTINGS, at: Here = HERE, **where: Any) -> Validation:
    return validate(net, dataset(select(corpus, split="validation", **where), net.input), settings, at)


def test_every_row_is_scored_once_and_figures_are_those_of_the_scores(corpus: Corpus) -> None:
    net, rows = network(), select(corpus, split="validation")
    seen = found(corpus, net)
    assert seen.rows == ROWS and seen.media == 2 * PERSONS and seen.groups == PERSONS and seen.left_out == {}
    assert seen.scored.rows.tolist() == rows.numbers.tolist()
    told = corpus.take(rows.numbers, ["label", "media", "group", "forgery_type"]).to_pydict()
    assert seen.scored.label.tolist() == told["label"]
    assert seen.scored.forgery_type.tolist() == [-1 if kind is None else kind for kind in told["forgery_type"]]
    fake = seen.scored.fake
    assert seen.frame.auroc == auroc(fake, told["label"])
    assert seen.frame.interval == auroc_interval(fake, told["label"], told["group"])
    media = sorted(set(told["media"]))
    means = [np.mean([s for s, m in zip(fake, told["media"], strict=True) if m == name]) for name in media]
    assert seen.video.auroc == pytest.approx(auroc(means, ["fake" in name for name in media]))
    data = dataset(rows, net.input)
    picture = data[3]["image"].float().div(255).sub(0.5).div(0.5)[None]
    assert fake[3] == pytest.approx(float(net.eval().scores(net.features({"image": picture})).fake.detach()), abs=1e-6)


def test_the_loss_is_that_of_all_rows(corpus: Corpus) -> None:
    seen = found(corpus, network())
    label, fake = seen.scored.label, seen.scored.fake
    expected = -np.log(np.where(label == 1, fake, 1 - fake)).mean()
    assert seen.loss == pytest.approx(expected, rel=1e-5) and seen.terms == {
        "cross_entropy": pytest.approx(expected, rel=1e-5)
    }


def test_types_count_where_they_are_known(corpus: Corpus) -> None:
    seen = found(corpus, network(types=True))
    assert seen.scored.types is not None and seen.left_out_by_terms == {"unknown type": FRAMES}
    known = seen.scored.forgery_type >= 0
    right = seen.scored.types.argmax(1)[known] == seen.scored.forgery_type[known]
    assert seen.type_accuracy == right.mean() and found(corpus, network()).type_accuracy is None


def test_of_each_clip_the_frames_that_are_asked_for(corpus: Corpus) -> None:
    seen = found(corpus, network(), SETTINGS.model_copy(update={"validation_frames": 3}))
    assert seen.rows == 2 * PERSONS * 3 and seen.left_out == {"further frames of their clips": 2 * PERSONS}
    again = found(corpus, network(), SETTINGS.model_copy(update={"validation_frames": 3}))
    assert seen.scored.rows.tolist() == again.scored.rows.tolist() and seen.document() == again.document()


def test_clips_are_scored_whole(corpus: Corpus) -> None:
    seen = found(corpus, network(frames=3))
    assert seen.rows == seen.media == 2 * PERSONS and seen.video.auroc == seen.frame.auroc
    assert seen.left_out == {"further frames of their clips": 2 * PERSONS}


def test_neither_the_mode_nor_the_chance_of_who_trains_is_touched(corpus: Corpus) -> None:
    net = network().train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    found(corpus, net)
    assert torch.equal(torch.rand(3), expected) and net.training and not net.tower.linear.training
    found(corpus, net.eval())
    assert not net.training


@pytest.mark.parametrize("frames", [1, 3])
def test_a_row_that_cannot_be_read_is_counted(broken: Corpus, frames: int) -> None:
    seen = found(broken, network(frames=frames))
    assert seen.left_out["cannot be read"] == 1
    assert seen.rows == (ROWS - 1 if frames == 1 else 2 * PERSONS - 1)


class Together:
    """What the processes of a run say to each other, between threads."""

    def __init__(self, ranks: int) -> None:
        self.held: list[Any] = [None] * ranks
        self.wait = Barrier(ranks)


class Rank(Here):
    def __init__(self, rank: int, all_of_them: Together) -> None:
        super().__init__(torch.device("cpu"), rank, len(all_of_them.held))
        object.__setattr__(self, "others", all_of_them)

    def gathered(self, value: Any) -> list[Any]:
        self.others.held[self.rank] = value  # type: ignore[attr-defined]
        self.others.wait.wait(60)  # type: ignore[attr-defined]
        held = list(self.others.held)  # type: ignore[attr-defined]
        self.others.wait.wait(60)  # type: ignore[attr-defined]
        return held


@pytest.mark.parametrize(("ranks", "frames"), [(2, 1), (3, 1), (2, 3)])
def test_processes_share_the_work_and_say_the_same(corpus: Corpus, ranks: int, frames: int) -> None:
    alone_, others = found(corpus, network(frames=frames)), Together(ranks)
    nets = [network(frames=frames) for _ in range(ranks)]
    with ThreadPoolExecutor(ranks) as pool:
        each = list(pool.map(lambda rank: found(corpus, nets[rank], at=Rank(rank, others)), range(ranks)))
    for one in each:
        assert one.scored.rows.tolist() == alone_.scored.rows.tolist()
        assert one.scored.fake == pytest.approx(alone_.scored.fake, abs=1e-6)
        assert one.video.auroc == alone_.video.auroc and one.loss == pytest.approx(alone_.loss, rel=1e-5)


class Diverged(Toy):
    def scores(self, features: Features) -> Scores:
        return Scores(torch.full((len(features["seen"]),), float("nan")))


class Unmoved(Toy):
    def scores(self, features: Features) -> Scores:
        return Scores(torch.full((len(features["seen"]),), 0.5))


class Lost(Toy):
    def losses(self, features: Features, batch: Batch, over: Any) -> Any:
        found = super().losses(features, batch, over)
        return type(found)({name: term * float("nan") for name, term in found.terms.items()})


def test_scores_that_are_no_numbers_stop_it(corpus: Corpus) -> None:
    with pytest.raises(RunError, match=f"{ROWS} of {ROWS} validation scores are no finite number"):
        found(corpus, Diverged())


def test_a_network_that_says_the_same_of_all_is_worth_a_half(corpus: Corpus) -> None:
    seen = found(corpus, Unmoved())
    assert seen.video.auroc == seen.frame.auroc == 0.5 and seen.video.interval == (0.5, 0.5)


def test_one_class_is_told(corpus: Corpus) -> None:
    with pytest.raises(RunError, match="all validation rows that can be scored are real"):
        found(corpus, network(), where={"label": "real"})


def test_its_document_is_json_without_nan(corpus: Corpus) -> None:
    seen = found(corpus, Lost())
    told = json.loads(json.dumps(seen.document(), allow_nan=False))
    assert told["loss"] is None and told["terms"] == {"cross_entropy": None} and told["video"]["interval"] is not None


def test_few_groups_have_no_interval(corpus: Corpus) -> None:
    few = [f"validation-beta/{person}{kind}.mp4" for person in range(3) for kind in ("", "-fake")]
    seen = found(corpus, network(), where={"media": few})
    assert seen.groups == 3 and seen.video.interval is None and seen.document()["video"]["interval"] is None


ASKED = {"settings": {"validation_frames": 3}, "selection": {"only": []}}


def kept(seen: Validation, corpus: Corpus) -> ScoreFile:
    return score_file(seen, select(corpus, split="validation"), {"kind": "run"}, ASKED, {})


@pytest.mark.parametrize("types", [False, True])
def test_scores_of_the_rows_become_a_score_file(corpus: Corpus, types: bool) -> None:
    seen = found(corpus, network(types=types))
    scores = kept(seen, corpus)
    by_id = {row["id"]: row for row in scores.level("frame").to_pylist()}
    stored = corpus.take(seen.scored.rows, ["id", "dataset", "media", "group", "frame", "method"]).to_pylist()
    for place, row in enumerate(stored):
        told = by_id.pop(row["id"])
        assert {name: told[name] for name in row} == row and told["score"] == seen.scored.fake[place]
        assert told["types"] == (None if seen.scored.types is None else seen.scored.types[place].tolist())
        assert told["label"] == ("real", "fake")[seen.scored.label[place]] and told["status"] == "ok"
    assert not by_id and "not named" in scores.about.corpus["restricted"] and scores.about.splits == ("validation",)
    clips = scores.level("clip")
    assert len(clips) == 2 * PERSONS and set(clips["frames"].to_pylist()) == {FRAMES}
    assert auroc(clips["score"].to_numpy(), [each == "fake" for each in clips["label"].to_pylist()]) == seen.video.auroc


def test_what_was_not_asked_for_is_not_named_and_what_cannot_be_read_is_an_error(broken: Corpus) -> None:
    seen = found(broken, network(), SETTINGS.model_copy(update={"validation_frames": 3}))
    frames = kept(seen, broken).level("frame")
    assert len(frames) == 2 * PERSONS * 3 and set(frames["frames_named"].to_pylist()) == {1}
    wrong = [row for row in frames.to_pylist() if row["status"] != "ok"]
    assert len(wrong) <= 1 and all(row["status"] == "error" and "cannot be read" in row["reason"] for row in wrong)
    whole = kept(found(broken, network()), broken).level("frame")
    assert whole["status"].to_pylist().count("error") == 1 and len(whole) == ROWS


def test_each_frame_of_a_window_has_its_score(corpus: Corpus) -> None:
    seen = found(corpus, network(frames=3))
    scores = kept(seen, corpus)
    assert len(scores.level("frame")) == 3 * len(seen.scored.rows) == 3 * 2 * PERSONS
    assert sorted(scores.level("clip")["score"].to_pylist()) == pytest.approx(sorted(seen.scored.fake.tolist()))


def test_a_medium_without_a_group_is_its_own(corpus: Corpus) -> None:
    rows = select(corpus, split="validation")
    rows.load("group")
    held = rows._held["group"]
    rows._held["group"] = type(held)((None,), np.zeros(len(rows), np.int32))
    assert len(np.unique(groups_of(rows, rows.numbers))) == 2 * PERSONS
    assert len(np.unique(media_of(rows, rows.numbers))) == 2 * PERSONS


def test_columns_alone_are_fitted_on_train_and_asked_of_the_same_rows(corpus: Corpus) -> None:
    train, validation = select(corpus, split="train"), select(corpus, split="validation")
    seen = alone(train, validation, SETTINGS, 1)
    assert seen is not None and seen.columns == ("sharpness",) and seen.trained_on == 2 * ROWS
    told = corpus.take(validation.numbers, ["sharpness", "label"]).to_pydict()
    assert seen.frame.auroc == pytest.approx(auroc(told["sharpness"], told["label"]))
    assert 0.6 < seen.frame.auroc < seen.video.auroc
    json.dumps(seen.document(), allow_nan=False)
    clips = alone(train, validation, SETTINGS, 3)
    assert clips is not None and clips.video.auroc == clips.frame.auroc


def test_columns_alone_of_one_class_are_none(corpus: Corpus) -> None:
    train, validation = select(corpus, split="train", where={"label": "real"}), select(corpus, split="validation")
    assert alone(train, validation, SETTINGS, 1) is None


def test_columns_alone_hold_no_label_and_all_that_is_measured() -> None:
    from mmidd.schema import COLUMNS as SCHEMA

    numbers = {c.name for c in SCHEMA if c.origin == "pixels" and str(c.type) in ("int32", "float", "double")}
    assert numbers - set(COLUMNS) == {"frame", "timestamp", "face", "track"} and set(COLUMNS) < numbers


def test_parts_of_several_processes_come_in_the_order_of_the_corpus() -> None:
    one = Scored(np.array([3, 1]), np.array([1, 0]), np.array([1, 0]), np.array([0.3, 0.1]), None).sorted()
    assert one.rows.tolist() == [1, 3] and one.fake.tolist() == [0.1, 0.3]
