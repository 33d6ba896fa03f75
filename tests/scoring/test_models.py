"""What can be scored with, what is refused, and in which words."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from once import Once
from onnx import TensorProto
from runs import corpora
from runs.networks import DETECTOR

from mmidd.errors import MmiddError, ScoreError, UsageError
from mmidd.registry import Registry, Row
from mmidd.runs.train import train
from mmidd.scoring.model import Model, checked
from mmidd.scoring.models import open_model
from scoring import tiny

KNOWN: Registry[Any] = Registry(
    "reference detector", "mmidd.none", "DETECTOR", (Row("toy", "runs.networks", "a toy", "train"),)
)


def opened(spec: Any, *settings: str) -> Model:
    return open_model(spec, KNOWN, device="cpu", settings=settings)


def batch(rows: int = 5, side: int = 16) -> dict[str, Any]:
    pixels = np.random.default_rng(1).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)
    return {"image": torch.from_numpy(pixels).permute(0, 3, 1, 2)}


def seen(given: dict[str, Any]) -> Any:
    return given["image"].permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("size", ["n", 1, 4])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8])
def test_an_onnx_file_gets_what_it_takes(order: str, size: Any, kind: int, tmp_path: Path) -> None:
    output = "probability" if kind != TensorProto.UINT8 else "logit"
    model, given = opened(tiny.model(tmp_path, order=order, batch=size, kind=kind), f"output={output}"), batch()
    expected = tiny.means(seen(given))
    if kind == TensorProto.UINT8:
        expected = 1 / (1 + np.exp(-expected * 255))
    found = model.scores(given)
    assert model.look.side == 16 and found.types is None
    assert found.fake == pytest.approx(expected, abs=2e-3 if kind == TensorProto.FLOAT16 else 1e-6)


@pytest.mark.parametrize(
    ("width", "flat", "output", "more", "expected"),
    [
        (1, False, "probability", (), lambda x: x),
        (1, True, "probability", (), lambda x: x),
        (1, True, "logit", (), lambda x: 1 / (1 + np.exp(-x))),
        (1, True, "probability", ("mean=0.5", "std=[0.5, 0.5, 2]", "colours=bgr"), None),
        (2, False, "logits", (), lambda x: 1 / (1 + np.exp(2 * x))),
        (2, False, "logits", ("fake=0",), lambda x: 1 / (1 + np.exp(-2 * x))),
        (5, False, "type_logits", (), "types"),
    ],
)
def test_an_output_is_read_as_it_is_told(
    width: int, flat: bool, output: str, more: tuple[str, ...], expected: Any, tmp_path: Path
) -> None:
    given = batch()
    model = opened(tiny.model(tmp_path, width=width, flat=flat), f"output={output}", *more)
    if expected is None:
        with pytest.raises(ScoreError, match=r"shares of 0\.\.1 .*it gave -?0"):
            model.scores(given)
        return
    found, mean = model.scores(given), tiny.means(seen(given))
    if expected == "types":
        assert (
            found.types is not None
            and found.types.sum(1) == pytest.approx(1)
            and found.fake == pytest.approx(1 - found.types[:, 0])
        )
    else:
        assert found.fake == pytest.approx(expected(mean), abs=1e-6)


def test_what_is_told_beside_the_file_is_read_and_words_lie_over_it(tmp_path: Path) -> None:
    path = tiny.model(tmp_path, side="side")
    (tmp_path / "tiny.json").write_text('{"side": 24, "output": "logit", "fit": "pad"}')
    model = opened(path, "output=probability")
    assert (model.look.side, model.look.fit) == (24, "pad") and model.about["fed"]["output"] == "probability"
    assert model.scores(batch(side=24)).fake.shape == (5,)
    assert model.about["sha256"].keys() == {"tiny.onnx"} and model.about["kind"] == "onnx"


def test_weights_beside_the_file_are_read_and_in_its_digest(tmp_path: Path) -> None:
    path = tiny.model(tmp_path, external="weights.bin")
    first = opened(path, "output=probability")
    given = batch()
    assert first.scores(given).fake == pytest.approx(tiny.means(seen(given)), abs=1e-6)
    (tmp_path / "weights.bin").write_bytes(np.full(3, 0.1, np.float32).tobytes())
    assert opened(path, "output=probability").about["digest"] != first.about["digest"]


def _linked(folder: Path) -> Path:
    path = tiny.model(folder, external="weights.bin")
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to("/etc/passwd")
    return path


def _written(folder: Path, data: bytes, name: str = "tiny.onnx") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


ONNX_FAULTS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "no words": (tiny.model, (), r"does not tell what its output out .* means: say --set output="),
    "no model": (lambda f: _written(f, b"MZ no model"), ("output=logit",), "is no ONNX model"),
    "empty": (lambda f: _written(f, b""), ("output=logit",), "is no ONNX model"),
    "cut off": (lambda f: _written(f, tiny.model(f).read_bytes()[:90]), ("output=logit",), "is no ONNX model|cannot be run"),
    "newer opset": (lambda f: tiny.model(f, opset=99), ("output=logit",), "newer onnxruntime, or export the model again"),
    "open side": (lambda f: tiny.model(f, side="s"), ("output=logit",), r"open: say --set side=224"),
    "another side": (tiny.model, ("output=logit", "side=32"), "takes images of 16 pixels"),
    "several outputs": (lambda f: tiny.model(f, outputs=2), ("output=logit",), "output_name=, one of out, colours"),
    "no such output": (tiny.model, ("output=logit", "output_name=x"), "output_name=x: .*has out"),
    "unknown key": (tiny.model, ("sied=3", "output=logit"), "unknown key 'sied'; known: fit, side, mean"),
    "std of nothing": (tiny.model, ("std=0", "output=logit"), "std=.*over 0"),
    "bytes with a mean": (
        lambda f: tiny.model(f, kind=TensorProto.UINT8), ("mean=0.5", "output=logit"), "takes bytes .*neither mean nor std",
    ),
    "no image": (lambda f: tiny.model(f, kind=TensorProto.INT64), ("output=logit",), "does not take a batch of images"),
    "weights elsewhere": (lambda f: tiny.model(f, external="../w.bin"), ("output=logit",), "weights outside its folder"),
    "weights of the system": (lambda f: tiny.model(f, external="/etc/passwd"), ("output=logit",), "outside its folder"),
    "weights behind a link": (_linked, ("output=logit",), "behind a link"),
    "another kind of file": (lambda f: _written(f, b"x", "tiny.pth"), (), "is none of what can be scored with: a RUN"),
    "nothing there": (lambda f: f / "absent.onnx", (), "there is no .*absent.onnx: name a RUN"),
    "no JSON": (lambda f: _written(f, b"{", "tiny.json").with_name(tiny.model(f).name), (), "tiny.json is no JSON"),
    "an address": (lambda f: "https://example.org/tiny.onnx", (), "is an address: models are not fetched"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ONNX_FAULTS)
def test_a_file_that_does_not_fit_is_told_with_what_to_do(fault: str, tmp_path: Path) -> None:
    make, settings, said = ONNX_FAULTS[fault]
    with pytest.raises(MmiddError, match=said):
        opened(make(tmp_path), *settings)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    path = tiny.model(tmp_path, external="weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ScoreError, match=r"weights in 'weights.bin', which is not there: put it beside the model"):
        opened(path, "output=logit")


def test_an_output_of_another_width_is_told(tmp_path: Path) -> None:
    model = opened(tiny.model(tmp_path, width=2), "output=probability")
    with pytest.raises(ScoreError, match=r"has 1 values an image, it gives 2; of 2 values there are probabilities, logits"):
        model.scores(batch())


@pytest.mark.parametrize(("name", "typed"), [("bright", False), ("types", True)])
def test_a_function_gets_bytes_and_gives_scores(name: str, typed: bool, tmp_path: Path) -> None:
    model, given = opened(f"python:{tiny.functions(tmp_path)}:{name}", "side=16", "fit=stretch"), batch()
    found = model.scores(given)
    assert found.fake == pytest.approx(tiny.means(seen(given))) and (found.types is not None) is typed
    assert model.about["name"] == name and model.about["source"] == "mine.py" and len(model.about["sha256"]) == 64
    assert model.look.fit == "stretch"


def test_what_a_function_prints_is_not_in_our_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "says.py").write_text(
        "print('imported')\ndef f(images):\n    print('called')\n    return [0.5] * len(images)\n"
    )
    opened(f"python:{tmp_path / 'says.py'}:f", "side=16").scores(batch())
    assert capsys.readouterr() == ("", "imported\ncalled\n")


def test_a_module_is_named_too() -> None:
    model = opened("python:scoring.tiny:means", "side=16")
    assert model.scores(batch()).fake == pytest.approx(tiny.means(seen(batch())))


FUNCTION_FAULTS = {
    "broken": r"your function broken \(python:.*\) raised ZeroDivisionError: .*\(mine.py, line \d+\); mend its code",
    "wide": r"your function wide .* gave an array of shape \(5, 3\) for 5 images: it takes uint8 RGB",
    "loud": r"your function loud .*shares of 0\.\.1 .*it gave 1\.5 to 1\.5",
    "words": r"your function words .* gave str",
    "leaving": r"your function leaving .* raised SystemExit: 3",
    "half": r"your function half .* gave ndarray",
    "hair": r"your function hair .* it gave 1\.0000001 to 1\.0000001",
}


@pytest.mark.parametrize("name", FUNCTION_FAULTS)
def test_a_fault_of_a_function_is_told_as_its_own(name: str, tmp_path: Path) -> None:
    model = opened(f"python:{tiny.functions(tmp_path)}:{name}", "side=16")
    with pytest.raises(ScoreError, match=FUNCTION_FAULTS[name]):
        model.scores(batch())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("python:{0}:absent", r"there is no function 'absent' in .*it has bright, types"),
        ("python:{0}:NUMBER", r"there is no function 'NUMBER'"),
        ("python:{0}", r"name a function of yours as python:FILE.py:NAME"),
        ("python:absent.py:f", r"there is no file absent.py"),
        ("python:no_such_module_of_ours:f", r"No module named .*name a file as python:FILE.py:NAME"),
        ("python:{1}:f", r"your file .*wrong.py, as it is imported, raised SyntaxError"),
    ],
)
def test_a_name_of_no_function_is_told(spec: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f(:\n")
    with pytest.raises(MmiddError, match=said):
        opened(spec.format(tiny.functions(tmp_path), tmp_path / "wrong.py"))


def test_a_score_that_is_no_number_stays_none_and_types_have_to_be_shares() -> None:
    found = checked([0.1, np.nan], [[1, 0, 0, 0, 0], [np.nan] * 5], 2, "it")
    assert found.fake[0] == 0.1 and np.isnan(found.fake[1])
    with pytest.raises(ScoreError, match="it: types are shares that add up to 1, in the order REAL"):
        checked([0.1], [[0.5, 0.1, 0, 0, 0]], 1, "it")


def test_a_run_says_itself_how_it_is_fed(once: Once, tmp_path: Path) -> None:
    corpus, run = once("learnable", corpora.corpus), tmp_path / "run"
    train(DETECTOR, "toy", corpus, run, preset="tiny", workers=0, device="cpu", tell=lambda line: None)
    model = opened(run)
    assert model.look.side == 16 and model.about["run"] == "run" and model.about["seed"] == 0
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    assert opened(moved).about["digest"] == model.about["digest"] == opened(moved / "seed-0").about["digest"]
    with pytest.raises(UsageError, match="--set goes with an ONNX file or a Python function"):
        opened(run, "side=3")
