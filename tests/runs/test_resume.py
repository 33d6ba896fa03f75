"""A run that is stopped after any step goes on to the same weights, bit by bit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmidd.errors import RunError
from mmidd.runs import checkpoint
from mmidd.runs.detector import Loss
from mmidd.runs.train import Trained, train
from runs import toy

STEPS = 11
"""Of 9 an epoch, 6 of pairs and of blends: it ends in the midst of the second."""


class Killed(Exception):
    """As a kill right after a step, before anything is written."""


class Killer:
    """Watches, and kills after so many steps of this start."""

    def __init__(self, after: int | None) -> None:
        self.left = after

    def begin(self, what: str, total: int, done: int, of: str = "steps") -> None: ...

    def at(self, step: int, told: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def end(self) -> None: ...


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.corpus(tmp_path_factory.mktemp("resume") / "corpus")


def _run(corpus: Path, out: Path, kill: int | None, workers: int, **settings: Any) -> Trained:
    asked = {"steps": STEPS, "save_every": 1, "augment": "gend", "norm": True, "spread": 0.1, "micro": 4, **settings}
    return train(
        toy.TOY, "toy", corpus, out, preset="tiny", settings=asked, workers=workers, device="cpu", watch=Killer(kill),
        tell=lambda line: None,
    )  # fmt: skip


def _weights(out: Path) -> dict[str, bytes]:
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.safetensors")}
    assert files
    return files


CASES = [
    ({}, 0), ({}, 2), ({"order": "pairs"}, 0), ({"order": "pairs"}, 2), ({"order": "self-blended", "augment": "sbi"}, 0),
    ({"order": "self-blended", "augment": "sbi"}, 2), ({"order": "balanced", "optimiser": "sgd"}, 0), ({"frames": 2}, 0),
    ({"contrast": "whole", "optimiser": "adam", "schedule": "cycles", "warmup": 0.5, "cycle": 1.0}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "workers"), CASES)
def test_killed_after_every_step_it_ends_with_the_same_weights(
    corpus: Path, tmp_path: Path, settings: dict[str, Any], workers: int
) -> None:
    whole = _run(corpus, tmp_path / "whole", None, 0, **settings)
    for _ in range(STEPS - 1):
        with pytest.raises(Killed):  # one step further is saved at each start, the next is lost
            _run(corpus, tmp_path / "cut", 1, workers, **settings)
    cut = _run(corpus, tmp_path / "cut", None, workers, **settings)
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")
    assert [_same(each) for each in cut.seeds] == [_same(each) for each in whole.seeds]
    lines = [(tmp_path / name / "seed-0/metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert len(lines[0]) == len(lines[1])


def _same(result: Any) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in ("minutes", "waiting for data")}


def test_a_checkpoint_some_steps_back_is_as_good(corpus: Path, tmp_path: Path) -> None:
    _run(corpus, tmp_path / "whole", None, 0, save_every=5)
    for kill in (7, 3, 2):
        with pytest.raises(Killed):
            _run(corpus, tmp_path / "cut", kill, 0, save_every=5)
    _run(corpus, tmp_path / "cut", None, 0, save_every=5)
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


def test_a_finished_run_says_so_and_changes_nothing(corpus: Path, tmp_path: Path) -> None:
    first = _run(corpus, tmp_path / "run", None, 0)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    again = _run(corpus, tmp_path / "run", None, 0)
    assert first.changed and not again.changed and "was finished already" in str(again)
    assert again.seeds == first.seeds
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == files


def test_other_seeds_are_other_runs_of_the_same_rows(corpus: Path, tmp_path: Path) -> None:
    found = train(toy.TOY, "toy", corpus, tmp_path / "run", preset="tiny", settings=["steps=2"], seeds=(0, 1), workers=0,
                  device="cpu", tell=lambda line: None)  # fmt: skip
    one, two = (checkpoint.latest(tmp_path / f"run/seed-{seed}/checkpoints", print) for seed in (0, 1))
    assert one is not None and two is not None and [each["seed"] for each in found.seeds] == [0, 1]
    assert not torch.equal(one.network["body.0.weight"], two.network["body.0.weight"])


def test_early_stopping_keeps_the_best_and_holds_over_a_kill(corpus: Path, tmp_path: Path) -> None:
    asked = {"patience": 2, "steps": 60, "validate_every": 0.25, "lr": 1e-9, "select": "video_auroc"}
    whole = _run(corpus, tmp_path / "whole", None, 0, **asked)
    (result,) = whole.seeds
    assert result["stopped early"] and result["steps"] < 60 and result["best"]["step"] < result["steps"]
    for kill in itertools.repeat(2, 12):
        try:
            cut = _run(corpus, tmp_path / "cut", kill, 0, **asked)
            break
        except Killed:
            continue
    assert _same(cut.seeds[0]) == _same(result) and _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


class Learning(toy.Toy):
    """Says after three steps that it has learnt all."""

    looks_back = 3

    def losses(self, *given: Any) -> Loss:
        found = super().losses(*given)
        return replace(found, told={"figure": found.terms["label"].detach()})

    def learnt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        return "nothing more" if len(recent) == 3 and all("figure" in each for each in recent) else None


class Collapsing(Learning):
    """Says so after three steps."""

    def learnt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        return None

    def halt(self, recent: Sequence[Mapping[str, float]]) -> str | None:
        return "it has collapsed" if len(recent) == 3 else None


@pytest.mark.parametrize("steps", [3, STEPS])
def test_what_collapsed_where_a_checkpoint_was_due_is_no_success_when_it_is_asked_again(
    steps: int, corpus: Path, tmp_path: Path
) -> None:
    for _ in range(3):
        with pytest.raises(RunError, match="stopped after step 3: it has collapsed"):
            train(
                replace(toy.TOY, build=Collapsing), "toy", corpus, tmp_path / "run", preset="tiny", workers=0, device="cpu",
                settings={"steps": steps, "save_every": 1, "validate_every": 9}, tell=lambda line: None,
            )  # fmt: skip
    assert not (tmp_path / "run/seed-0/result.json").exists()


def test_a_network_that_has_learnt_all_ends_early_and_well_also_over_a_kill(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []

    def run(kill: int | None) -> Trained:
        return train(
            replace(toy.TOY, build=Learning), "toy", corpus, tmp_path / "run", preset="tiny", workers=0, device="cpu",
            settings={"steps": STEPS, "save_every": 1, "validate_every": 9}, watch=Killer(kill), tell=told.append,
        )  # fmt: skip

    for _ in range(2):
        with pytest.raises(Killed):
            run(1)
    (result,) = run(None).seeds
    assert result["stopped early"] and result["steps"] == result["best"]["step"] == 3
    assert told[-1] == "note: seed 0 ends after step 3: nothing more"
    assert not run(None).changed
