"""`rft-fas` on a toy whose fakes are brighter: stage 1 by the loop, stage 2 by TRL's GRPOTrainer."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from corpus import made
from llm.stub import Reply, Request, Stub, chat
from llm.test_client import QUICK
from runs import corpora

pytest.importorskip("trl")

from mmidd.detectors.explain import trl_loop
from mmidd.detectors.explain.rewards import judge
from mmidd.detectors.registry import REFERENCE_DETECTORS

from mmidd.corpus.read import Corpus
from mmidd.errors import RunError, UsageError
from mmidd.reference import open_trained, train
from mmidd.runs import checkpoint
from mmidd.runs.data import Selection, dataset, seen
from mmidd.runs.loop import Made, Progress, Task, checked
from mmidd.runs.processes import here
from mmidd.runs.settings import Settings
from mmidd.runs.stopping import Asked
from mmidd.runs.validation import validate

SHORT = {"samples": 4, "batch": 4, "steps": 4, "reply_tokens": 24, "save_every": 1, "probe": 4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpora.corpus(tmp_path_factory.mktemp("toy") / "corpus")


@pytest.fixture(scope="module")
def aligned(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "run"
    torch.set_num_threads(1)
    train("rft-fas", corpus, out, preset="tiny", device="cpu", workers=0, tell=lambda line: None)
    return out


def reinforced(corpus: Path, start: Path, out: Path, **more: Any) -> list[dict[str, Any]]:
    """The lines of its metrics."""
    settings = {"start": str(start), "least_format": 0.0, **more}
    train("rft-fas", corpus, out, preset="tiny-rl", settings=settings, device="cpu", workers=0, tell=lambda line: None)
    return [json.loads(line) for line in (out / "seed-0" / "metrics.jsonl").read_text().splitlines()]


def mean(lines: list[dict[str, Any]], name: str) -> float:
    return float(sum(line["told"][name] for line in lines)) / len(lines)


@pytest.fixture(scope="module")
def run(corpus: Path, aligned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("reinforced") / "run"
    torch.set_num_threads(1)
    return out, reinforced(corpus, aligned, out)


def test_the_reward_rises_and_answers_become_right(run: tuple[Path, list[dict[str, Any]]]) -> None:
    steps = [line for line in run[1] if line["kind"] == "step"]
    first, last = steps[:5], steps[-5:]
    assert len(steps) == 40
    assert mean(last, "reward") - mean(first, "reward") >= 0.15
    assert mean(last, "reward.class") >= 0.85
    assert {"reward.format", "reward.consistent-lexicon", "length", "cut", "no_signal", "entropy"} <= steps[0]["told"].keys()
    assert {"answered.real.of_reals", "answered.fake.of_fakes", "answered.none"} <= steps[0]["told"].keys()


def test_its_folder_is_that_of_any_run_and_holds_no_pickle(run: tuple[Path, list[dict[str, Any]]]) -> None:
    files = {path.name for path in run[0].rglob("*") if path.is_file()}
    assert {"run.json", "index.html", "result.json", "metrics.jsonl"} <= files
    assert not any(name.endswith((".pt", ".bin", ".pkl", ".pth")) for name in files)


def test_what_it_kept_scores_the_same_when_it_is_opened(run: tuple[Path, list[dict[str, Any]]], corpus: Path) -> None:
    opened = open_trained(run[0])
    settings = Settings(batch=8, precision="float32")
    rows = seen(Corpus(corpus), Selection(), settings).validation
    found = validate(opened.network, dataset(rows, opened.input), settings, here("cpu"))
    best = json.loads((run[0] / "seed-0" / "result.json").read_text())["best"]
    assert found.document()["video_auroc"] == best["validation"]["video_auroc"]
    assert found.document()["loss"] == pytest.approx(best["validation"]["loss"], abs=1e-6)


@contextmanager
def after(steps: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Act once so many steps were taken."""

    def acting(task: Task, made: Made, progress: Progress, asked: Asked, skipped: int) -> tuple[Progress, int]:
        if progress.step == steps:
            act()
        return checked(task, made, progress, asked, skipped)

    with monkeypatch.context() as patch:
        patch.setattr(trl_loop, "checked", acting)
        yield


class Killed(BaseException):
    pass


def killed() -> None:
    raise Killed


@pytest.mark.parametrize("more", [{}, {"beta": 0.1, "micro": 2, "normalise": "constant"}], ids=["plain", "beta"])
def test_killed_and_interrupted_it_goes_on_to_the_same_bits(
    more: dict[str, Any], corpus: Path, aligned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reinforced(corpus, aligned, tmp_path / "whole", **SHORT, **more)
    with pytest.raises(Killed), after(2, killed, monkeypatch):
        reinforced(corpus, aligned, tmp_path / "cut", **SHORT, **more)
    with pytest.raises(KeyboardInterrupt), after(3, lambda: os.kill(os.getpid(), signal.SIGINT), monkeypatch):
        reinforced(corpus, aligned, tmp_path / "cut", **SHORT, **more)
    cut = reinforced(corpus, aligned, tmp_path / "cut", **SHORT, **more)
    figures = [
        [(line["step"], line["norm"], line["told"]) for line in lines if line["kind"] == "step"] for lines in (whole, cut)
    ]
    assert figures[0] == figures[1] and len(figures[0]) == 4
    if "beta" in more:
        assert all("policy + beta x kl" in line["terms"] for line in whole if line["kind"] == "step")
        assert figures[0][0][2]["kl"] == pytest.approx(0, abs=1e-6) and figures[0][3][2]["kl"] > 0
    kept = [checkpoint.read_best(tmp_path / name / "seed-0").network for name in ("whole", "cut")]
    assert kept[0].keys() == kept[1].keys() and not any(".ref." in name for name in kept[0])
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_a_judge_that_goes_away_stops_it_in_words_with_its_last_checkpoint(
    corpus: Path, aligned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "LIMITS", QUICK)
    with Stub(lambda request, number: chat('{"supports": true}')) as stub:
        asks = {**SHORT, "rewards": {"class": 1, "judge": 0.5}, "judge_url": stub.url, "judge_model": "m"}

        def gone(request: Request, number: int) -> Reply:
            return Reply(cut=0)

        with (
            pytest.raises(RunError, match=r"reward judge.*last checkpoint"),
            after(2, lambda: setattr(stub, "answering", gone), monkeypatch),
        ):
            reinforced(corpus, aligned, tmp_path / "run", **asks)
        assert checkpoint.latest(tmp_path / "run" / "seed-0" / "checkpoints", print).step == 2  # type: ignore[union-attr]
        stub.answering = lambda request, number: chat('{"supports": false}')
        lines = reinforced(corpus, aligned, tmp_path / "run", **asks)
    told = [line["told"]["reward.judge"] for line in lines if line["kind"] == "step"]
    assert len(told) == 4 and told[2:] == [0, 0]


def test_a_row_that_cannot_be_read_is_replaced_and_counted(aligned: Path, tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        corpora._change(shard, rows)
        for row in rows[::3] if shard.startswith("train") else ():
            row["image"] = b"no image at all"

    lines = reinforced(made.corpus(tmp_path / "corpus", change), aligned, tmp_path / "run", **SHORT | {"steps": 3})
    found = json.loads((tmp_path / "run" / "seed-0" / "result.json").read_text())
    assert found["rows skipped"] > 0
    assert sum(line["rows"] for line in lines if line["kind"] == "step") == 12
    assert sum(count for why, count in found["left out by terms"].items() if "a row again" in why) == found["rows skipped"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"contrast": "whole"}, "contrast=whole"),
        ({"vllm": True}, "vLLM is not installed"),
        ({"specialist": "somewhere"}, "specialist"),
        ({"rewards": {"clas": 1}}, "did you mean 'class'"),
    ],
)
def test_what_trl_cannot_do_is_refused(more: dict[str, Any], told: str, corpus: Path, aligned: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        reinforced(corpus, aligned, tmp_path / "run", **SHORT, **more)


def test_it_is_a_row() -> None:
    assert "rft-fas" in REFERENCE_DETECTORS
