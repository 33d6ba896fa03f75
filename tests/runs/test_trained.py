"""A trained network comes out of its folder as it was kept, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.errors import MissingWeights, MmiddError
from mmidd.registry import Registry, Row
from mmidd.runs.data import dataset
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.runs.train import train
from mmidd.runs.trained import Opened, open_trained
from mmidd.runs.validation import validate
from mmidd.scores.file import read
from mmidd.scoring.run_model import about
from mmidd.training.select import select
from runs import corpora, networks
from runs.networks import DETECTOR, Toy, ToyOptions

KNOWN: Registry[Any] = Registry(
    "reference detector", "mmidd.none", "DETECTOR", (Row("toy", "runs.networks", "a toy", "train"),)
)


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


@pytest.fixture(scope="module")
def kept(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kept") / "run"
    train(DETECTOR, "toy", corpus, out, preset="tiny", workers=0, device="cpu", tell=lambda line: None)
    return out


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "run"))


def test_it_scores_as_it_did_when_it_was_kept(kept: Path, corpus: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    found = open_trained(kept, KNOWN)
    assert torch.equal(torch.rand(2), expected)
    assert isinstance(found.network, Toy) and not found.network.training and found.input == found.network.input
    assert found.detector == "toy" and found.folder == kept / "seed-0" and found.about["preset"] == "tiny"
    data = dataset(select(Corpus(corpus), split="validation"), found.input)
    settings = Settings.model_validate(found.about["asked"]["settings"])
    again = validate(found.network, data, settings, Here(torch.device("cpu")))
    scores = read(kept / "seed-0" / "best" / "scores.parquet")
    names = [each.as_py() for each in Corpus(corpus).take(again.scored.rows, ["id"])["id"]]
    told = scores.level("frame").select(["id", "score"]).to_pylist()
    assert {row["id"]: row["score"] for row in told} == dict(zip(names, again.scored.fake.tolist(), strict=True))
    assert scores.about.model == about(found)
    assert again.video.auroc > 0.9


def test_it_is_opened_by_its_seed_too(kept: Path) -> None:
    assert open_trained(kept / "seed-0", KNOWN).step == open_trained(kept, KNOWN).step


def test_it_can_be_moved_to_another_device(kept: Path) -> None:
    assert next(open_trained(kept, KNOWN, device="cpu").network.parameters()).device.type == "cpu"


def change(run: Path, *keys: str, to: Any) -> None:
    about = json.loads((run / "run.json").read_text())
    at = about
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = to
    (run / "run.json").write_text(json.dumps(about))


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another detector": (
        lambda run: change(run, "asked", "detector", "name", to="sd2"),
        r"trained with the detector 'sd2', which is not installed; there are toy",
    ),
    "options of another version": (
        lambda run: change(run, "asked", "detector", "options", to={"height": 3}),
        r"another version of toy, whose options were others \(height: Extra inputs.*it began with mmidd \S+: install that",
    ),
    "another size": (
        lambda run: change(run, "asked", "detector", "options", "width", to=8),
        r"another backbone or other options.*is \(1, 4\), not \(1, 8\)",
    ),
    "another kind": (
        lambda run: change(run, "asked", "detector", "options", "types", to=True),
        r"head\.bias is \(1,\), not \(5,\)",
    ),
    "another backbone": (
        lambda run: change(run, "sources", "tower", "files", to={"model.safetensors": "ab"}),
        r"another backbone: tower\.files was .*, is absent\. Get its files back",
    ),
    "no detector named": (lambda run: change(run, "asked", "detector", to=None), r"run\.json is damaged: it names no"),
    "another format": (lambda run: change(run, "format", to="mmidd run 9"), r"another version of mmidd \('mmidd run 9'"),
    "no run.json": (lambda run: (run / "run.json").unlink(), r"is no run of mmidd train|no trained network"),
    "no best": (lambda run: shutil.rmtree(run / "seed-0" / "best"), r"holds no trained network yet"),
    "no seed": (lambda run: shutil.rmtree(run / "seed-0"), r"it has no seed yet: .* run that again"),
    "two seeds": (lambda run: (run / "seed-1").mkdir(), r"it has seed-0, seed-1: name one, such as .*seed-0"),
    "damaged": (lambda run: (run / "seed-0" / "best" / "model.safetensors").write_bytes(b"x" * 90), r"is damaged"),
    "no folder": (lambda run: shutil.rmtree(run), r"is no folder: name the RUN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_with_the_way_out(fault: str, run: Path) -> None:
    damage, said = FAULTS[fault]
    damage(run)
    with pytest.raises(MmiddError, match=said):
        open_trained(run, KNOWN)


def test_nothing_is_downloaded_unless_it_is_asked_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    offline: list[bool] = []

    def build(options: ToyOptions) -> Toy:
        offline.append(constants.HF_HUB_OFFLINE)
        if constants.HF_HUB_OFFLINE:
            raise MissingWeights("backbone 'clip:x' is not at hand")
        return Toy(options.width, options.weights)

    monkeypatch.setattr(networks, "DETECTOR", networks.DETECTOR.__class__(**{**vars(DETECTOR), "build": build}))
    with pytest.raises(MissingWeights, match=r"not at hand \(nothing is downloaded for .*, unless download=True says so\)"):
        open_trained(run, KNOWN)
    assert isinstance(open_trained(run, KNOWN, download=True), Opened) and offline == [True, False]
    assert constants.HF_HUB_OFFLINE is False


def test_the_public_door_opens_runs_of_bundled_detectors(run: Path) -> None:
    from mmidd.reference import open_trained as opened

    with pytest.raises(MmiddError, match=r"'toy', which is not installed; there are .*gend"):
        opened(run)
