"""Both stages by `mmidd train`: how a run of stage 2 begins or is refused, that it learns, goes on after a kill to the same
bits, and that the specialist counts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Said
from mmidd.detectors.explain.collapse import WINDOW
from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
from once import Once
from runs import corpora
from runs.test_resume import Killed, Killer

from mmidd.runs import checkpoint
from mmidd.runs.train import train
from mmidd.runs.trained import open_trained

from . import tiny

SEEDS = (0, 1, 2) if os.environ.get("MMIDD_SEEDS") else (0,)
"""With MMIDD_SEEDS=1 three: some minutes."""
Run = Callable[..., Said]
SHORT = ("steps=3", "batch=4", "samples=3", "reply_tokens=12", "least_format=0", "probe=4", "validation_frames=1")


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


def aligned(once: Once, corpus: Path, seed: int) -> Path:
    def make(folder: Path) -> None:
        _trained(corpus, folder / "run", "tiny", "steps=60", seed=seed)  # longer, and little is left to be rewarded for

    return once(f"explain-aligned-{seed}", make) / "run"


@pytest.fixture(scope="module")
def start(once: Once, corpus: Path) -> Path:
    """Of stage 1, as it is after few steps: what is asked of it is its shape."""

    def make(folder: Path) -> None:
        _trained(corpus, folder / "run", "tiny", "steps=2", "batch=4", "validation_frames=1")

    return once("explain-start", make) / "run"


def _trained(
    corpus: Path, out: Path, preset: str, *sets: str, seed: int = 0, kill: int | None = None
) -> list[dict[str, Any]]:
    """The lines of its steps."""
    train(
        reference_detector("explain"), "explain", corpus, out, preset=preset, settings=list(sets), seeds=(seed,), workers=0,
        device="cpu", watch=Killer(kill), tell=lambda line: None,
    )  # fmt: skip
    lines = map(json.loads, (out / f"seed-{seed}/metrics.jsonl").read_text().splitlines())
    return [each for each in lines if each["kind"] == "step"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_reward_rises_from_labels_alone(once: Once, corpus: Path, tmp_path: Path, seed: int) -> None:
    steps = _trained(corpus, tmp_path / "run", "tiny-rl", f"start={aligned(once, corpus, seed)}", seed=seed)
    told = [each["told"] for each in steps]
    last = {name: sum(each[name] for each in told[-10:]) / 10 for name in ("reward", "reward.class")}
    assert len(steps) <= 40
    assert last["reward"] >= told[0]["reward"] + 0.15 and last["reward.class"] >= 0.85, last
    page = (tmp_path / "run/index.html").read_text()
    assert all(name in page for name in ("reward.class", "reward.format", "no_signal", "answered.fake.of_reals"))


# How it begins.


def test_it_says_how_many_replies_have_the_form(corpus: Path, start: Path, tmp_path: Path, mmidd: Run) -> None:
    said = _asked(mmidd, corpus, tmp_path, start, "steps=1")
    assert said.code == 0, said.err
    assert "replies before the first step" in said.err + said.out


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["least_format=0.5"], "Train stage=align anew, in another --out, for more --set steps=N"),
        (["lora_rank=8"], "is of another network: lora_rank was 16, is 8"),
        (["words=[live,spoof]"], "words was ['real', 'fake'], is ['live', 'spoof']"),
        (["start=nowhere"], "nowhere is no folder"),
        (["rewards={clas: 1}"], "did you mean 'class'"),
    ],
)
def test_what_it_cannot_begin_from_is_named(
    corpus: Path, start: Path, tmp_path: Path, mmidd: Run, sets: list[str], words: str
) -> None:
    said = _asked(mmidd, corpus, tmp_path, start, *sets)
    assert said.code != 0 and words in " ".join(said.err.split()), said.err
    assert not list(tmp_path.glob("run/seed-0/checkpoints/step-*"))


def _asked(mmidd: Run, corpus: Path, tmp_path: Path, start: Path, *sets: str) -> Said:
    every = [f"start={start}", *SHORT, *sets]
    return mmidd(
        "train", "explain", str(corpus), "--out", str(tmp_path / "run"), "--preset", "tiny-rl", "--workers", "0",
        "--device", "cpu", *(word for each in every for word in ("--set", each)),
    )  # fmt: skip


def test_it_begins_as_the_run_that_it_starts_from(start: Path) -> None:
    network, other = tiny.network(start=str(start), least_format=0.0, beta=0.1), open_trained(start, REFERENCE_DETECTORS)
    network.begin(iter([tiny.rows()]), {"corpus": "x", "train": "y"})
    for name in other.network.stored():
        assert torch.equal(network.state_dict()[name], other.network.state_dict()[name]), name
    named = dict(network.named_parameters())
    for name in network.reference.names:
        assert torch.equal(network.reference.get_buffer(name.replace(".", "-")), named[name])


# It goes on, and it ends.


def test_killed_after_every_step_it_ends_with_the_same_bits(corpus: Path, start: Path, tmp_path: Path) -> None:
    sets = (f"start={start}", *SHORT, "beta=0.1", "save_every=1", "micro=2")
    _trained(corpus, tmp_path / "whole", "tiny-rl", *sets)
    for _ in range(2):
        with pytest.raises(Killed):
            _trained(corpus, tmp_path / "cut", "tiny-rl", *sets, kill=1)
    shutil.copytree(start, tmp_path / "moved")  # what it started from is not asked again
    _trained(corpus, tmp_path / "cut", "tiny-rl", *sets)
    whole, cut = (checkpoint.latest(tmp_path / name / "seed-0/checkpoints", print) for name in ("whole", "cut"))
    assert whole is not None and cut is not None and whole.step == cut.step == 3
    assert any(name.startswith("reference.") for name in cut.network)
    assert all(torch.equal(cut.network[name], each) for name, each in whole.network.items())
    assert whole.state["recent"] == cut.state["recent"] and len(cut.state["recent"]) == 3


def test_a_run_without_form_collapses_and_stops_with_words(corpus: Path, start: Path, tmp_path: Path, mmidd: Run) -> None:
    """Real training: replies of a network that has learnt no form have none of it after so many steps either."""
    said = _asked(mmidd, corpus, tmp_path, start, f"steps={WINDOW + 5}", "batch=2", "samples=2", "reply_tokens=4", "lr=1e-9")
    assert said.code != 0 and f"stopped after step {WINDOW}" in said.err and "ran into the limit of reply_tokens" in said.err


# The specialist.


def test_the_specialist_counts_and_comes_back_with_the_rest(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder too, though it was named by a path from the first."""
    monkeypatch.chdir(tmp_path)
    train(
        reference_detector("xception"), "xception", corpus, tmp_path / "eye", preset="tiny",
        settings=["steps=2", "batch=4", "validation_frames=1"], workers=0, device="cpu", tell=lambda line: None,
    )  # fmt: skip
    sets = ("specialist=eye", "side=56", "steps=3", "batch=4", "validation_frames=1", "lr=1e-2")
    _trained(corpus, tmp_path / "one", "tiny", *sets)
    _trained(corpus, tmp_path / "two", "tiny-rl", *sets, f"start={tmp_path / 'one'}", "beta=0.1", *SHORT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    first, again = (open_trained(tmp_path / "two", REFERENCE_DETECTORS).network for _ in range(2))
    with torch.inference_mode():
        odds, same = (each.features(tiny.rows())["odds"] for each in (first, again))
        assert torch.equal(odds, same)
        width = first.specialist.width
        first.specialist.forward = lambda image: torch.zeros(len(image), width)
        blind = first.features(tiny.rows())["odds"]
    assert bool(((odds - blind).abs() > 0.02).any())  # log-odds: the scores are near 0 and 1 by now
