"""The run folder: of one run alone, written by one, and every line of its curves once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from once import Once

from mmidd.errors import MmiddError, RunError, WorkError
from mmidd.runs import checkpoint
from mmidd.runs.curves import lines, number, read_json
from mmidd.runs.folder import FORMAT, RunFolder, SeedFolder, differences, opened
from mmidd.runs.processes import Here
from mmidd.runs.train import Trained, train
from mmidd.scores.file import read
from runs import corpora
from runs.networks import DETECTOR, Toy

HERE = Here(torch.device("cpu"))
ASKED = {"detector": {"name": "toy", "options": {"width": 4}}, "settings": {"lr": 0.1, "steps": None}}


def run(corpus: Path, out: Path, **more: Any) -> Trained:
    return train(DETECTOR, "toy", corpus, out, preset="tiny", workers=0, device="cpu", tell=lambda line: None, **more)


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    run(corpus, out, seeds=(0, 1))
    return out


def test_a_run_folder_explains_itself(trained: Path) -> None:
    about = RunFolder(trained).about()
    assert about["asked"]["detector"] == {
        "name": "toy",
        "options": {"width": 4, "weights": "random", "types": False, "clip": 1},
    }
    assert about["asked"]["settings"]["lr"] == 0.05 and about["preset"] == "tiny"
    assert about["rows"]["train"]["label"] == {"real": corpora.ROWS, "fake": corpora.ROWS}
    assert about["rows"]["validation"]["rows"] == corpora.ROWS and len(about["asked"]["data"]["corpus"]) == 16
    assert about["surroundings"]["versions"]["torch"] and about["surroundings"]["processes"] == 1
    assert about["network"] == {"parameters": 29, "trained": 13, "input": about["network"]["input"]}
    assert about["sources"] == {"tower": {"name": "toy", "weights": "random"}}
    assert about["columns_alone"]["columns"] == ["sharpness"] and 0.5 < about["columns_alone"]["video_auroc"] <= 1
    assert sorted(path.name for path in trained.iterdir()) == ["index.html", "run.json", "seed-0", "seed-1"]
    seed = trained / "seed-0"
    assert sorted(path.name for path in seed.iterdir()) == [
        "best", "checkpoints", "metrics.jsonl", "result.json", "tensorboard",
    ]  # fmt: skip
    result = read_json(seed / "result.json")
    assert result is not None and result["best"]["value"] == result["best"]["validation"]["video_auroc"]
    scores = read(seed / "best" / "scores.parquet")
    assert len(scores.level("frame")) == corpora.ROWS and set(scores.table["status"].to_pylist()) == {"ok"}
    assert scores.about.model["run"] == "run" and scores.about.model["seed"] == 0 and scores.about.splits == ("validation",)


def test_its_curves_are_there_for_tensorboard_too(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged = lines(trained / "seed-0" / "metrics.jsonl")
    assert {line["kind"] for line in logged} == {"step", "validation"}
    events = EventAccumulator(str(trained / "seed-0" / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    assert {"step/loss", "step/rate", "step/term cross_entropy", "validation/video_auroc"} <= set(tags)
    steps = [(each.step, pytest.approx(each.value, rel=1e-5)) for each in events.Scalars("step/loss")]
    assert steps == [(line["step"], line["loss"]) for line in logged if line["kind"] == "step"]


def test_the_same_command_again_does_nothing_and_more_seeds_join(trained: Path, corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file() and path.name != "index.html"}
    assert not run(corpus, trained, seeds=(0, 1)).changed
    after = {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file() and path.name != "index.html"}
    assert before == after


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"settings": {"lr": 0.2, "batch": 16}}, ["settings.batch was 32, is 16", "settings.lr was 0.05, is 0.2"]),
        ({"settings": {"width": 8}}, ["detector.options.width was 4, is 8"]),
    ],
)
def test_other_settings_are_refused_by_name(trained: Path, corpus: Path, more: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(RunError, match="holds a run of other settings") as caught:
        run(corpus, trained, seeds=(0, 1), **more)
    for each in said:
        assert each in str(caught.value)


def test_another_corpus_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"data\.corpus was .*; data\.validation was|data\.corpus was"):
        run(corpora.broken(tmp_path / "corpus"), trained)


def test_another_backbone_than_it_began_with_is_refused(trained: Path, corpus: Path) -> None:
    about = read_json(trained / "run.json")
    assert about is not None
    network = Toy(weights="pretrained")
    with pytest.raises(RunError, match=r'tower.weights was "random", is "pretrained"'):
        SeedFolder(trained / "seed-0").begin(network, None, None)  # type: ignore[arg-type]
    network = Toy(weights="random")
    network.tower.source |= {"name": "elsewhere"}
    SeedFolder(trained / "seed-0").begin(network, None, None)  # type: ignore[arg-type]


def held(path: Path, asked: dict[str, Any] = ASKED, **more: Any) -> RunFolder:
    with opened(path, asked, {}, HERE, **more) as found:
        return found


@pytest.mark.parametrize("name", ["data.txt", "mmidd.json", "seed-0"])
def test_a_folder_of_something_else_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(RunError, match=f"holds something else \\('{name}', no run.json\\)"):
        held(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_a_run_left_that_was_killed_at_once_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / "0123456789ab-7-0123456789abcdef0123456789abcdef.tmp").write_text("{")
    assert held(tmp_path).about()["asked"] == ASKED


def test_a_run_that_ended_before_it_trained_holds_nobody_to_its_settings(tmp_path: Path) -> None:
    other = {**ASKED, "settings": {"lr": 0.2, "steps": 3}}
    held(tmp_path)
    assert held(tmp_path, other).about()["asked"] == other
    held(tmp_path).seed(0).log(line("step", 1))
    with pytest.raises(RunError, match=r"settings\.lr was 0\.1, is 0\.2"):
        held(tmp_path, other)


def test_a_run_is_written_by_one(tmp_path: Path) -> None:
    with (
        opened(tmp_path, ASKED, {}, HERE),
        pytest.raises(RunError, match=r"another training writes .* \(process \d+"),
        opened(tmp_path, ASKED, {}, HERE),
    ):
        pass
    with opened(tmp_path, ASKED, {}, HERE), opened(tmp_path, ASKED, {}, replace(HERE, rank=1, ranks=2)):
        pass


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": "mmidd run 2"}', '{"format": "mmidd run 1"}', "[" * 99_999]
)
def test_a_damaged_run_json_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        held(tmp_path)


def test_other_versions_are_told_and_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    for version in ("1", "2"):
        with opened(tmp_path, ASKED, {"surroundings": {"versions": {"torch": version}}}, HERE, told.append) as found:
            found.seed(0).log(line("step", 1))
    assert len(told) == 1 and 'torch was "1", is "2"' in told[0]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkError, match=r"cannot write .*a part of the path is a file"):
        held(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 2, "c": 2}}, ["a.b was 1, is 2"]),
        ({"a": None}, {"b": "x"}, ["a was null, is absent", 'b was absent, is "x"']),
        ({"a": True}, {"a": 1}, ["a was true, is 1"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a was [1, 2], is [2, 1]"]),
    ],
)
def test_differences_are_named(then: Any, now: Any, said: list[str]) -> None:
    assert differences(then, now) == said


def line(kind: str, step: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "step": step, **more}


def test_what_is_logged_after_the_checkpoint_is_cut_back(tmp_path: Path) -> None:
    seed = SeedFolder(tmp_path / "seed-0")
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT, "asked": {}}))
    for step in range(1, 8):
        seed.log(line("step", step, loss=1 / step))
    with (seed.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')  # torn by a kill
    seed.cut_back(4)
    for step in range(5, 7):
        seed.log(line("step", step, loss=9.0))
    assert [each["step"] for each in lines(seed.path / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    seed.save(checkpoint.Checkpoint(6, {}))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(seed.path / "tensorboard")).Reload().Scalars("step/loss")
    assert [each.step for each in events] == [1, 2, 3, 4, 5, 6] and events[-1].value == 9.0


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    seed = SeedFolder(tmp_path)
    seed.log(line("step", 1, loss=float("nan"), terms={"a": float("inf"), "b": 1.0}))
    (found,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    told = json.loads(found, parse_constant=lambda name: pytest.fail(name))
    assert told == {"kind": "step", "step": 1, "loss": None, "terms": {"a": None, "b": 1.0}}
    assert number({1: (float("-inf"), [2])}) == {"1": [None, [2]]}


@pytest.fixture
def small_files() -> Iterator[None]:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_told_by_whatever_is_written(tmp_path: Path) -> None:
    seed = SeedFolder(tmp_path / "seed-0")
    with pytest.raises(WorkError, match="cannot write"):
        for step in range(100):
            seed.log(line("step", step, loss=0.5))
    with pytest.raises(WorkError, match="cannot write"):
        seed.finish({"a": "x" * 3000})
    assert seed.result() is None and not (seed.path / "result.json").exists()


def test_killed_while_it_logs_the_lines_are_whole_but_the_last(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        try:
            seed = SeedFolder(tmp_path)
            for step in range(1_000_000):
                seed.log(line("step", step, loss=0.5))
        finally:
            os._exit(1)
    while not (tmp_path / "metrics.jsonl").exists() or len(lines(tmp_path / "metrics.jsonl")) < 50:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = lines(tmp_path / "metrics.jsonl")
    assert [each["step"] for each in found] == list(range(len(found)))


@pytest.mark.parametrize("name", ["result.json", "run.json"])
def test_what_cannot_be_read_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(MmiddError, match=r"cannot read .*: there is a folder of that name"):
        read_json(tmp_path / name)
