"""Model files and the GPU: files and packages that a test lays out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mmidd.doctor import gpu, models
from mmidd.faces import weights

from .conftest import Install, by_name

YUNET = weights.YUNET.name


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mmidd"


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Bytes that are the pinned ones of yunet."""
    data = b"a model"
    mine = replace(weights.YUNET, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(models, "YUNET", mine)
    return data


def test_a_model_is_found_in_the_named_folder_or_in_the_cache(cache: Path, pinned: bytes, tmp_path: Path) -> None:
    absent = by_name(models.models({}))["yunet"]
    assert absent.state == "note" and str(cache) in absent.found and "a build fetches it once" in absent.found
    cache.mkdir(parents=True)
    (cache / YUNET).write_bytes(pinned)
    assert by_name(models.models({}))["yunet"].found == f"{cache / YUNET}, digest right"
    named = tmp_path / "named"
    named.mkdir()
    assert by_name(models.models({"MMIDD_MODELS": str(named)}))["yunet"].state == "ok"
    (named / YUNET).write_bytes(b"no model")
    wrong = by_name(models.models({"MMIDD_MODELS": str(named)}))["yunet"]
    assert wrong.state == "problem" and str(named) in wrong.found and "8 bytes and not 7" in wrong.found
    (named / YUNET).write_bytes(pinned[::-1])
    wrong = by_name(models.models({"MMIDD_MODELS": str(named)}))["yunet"]
    assert wrong.state == "problem" and "its sha256 is" in wrong.found and "delete this one" in (wrong.advice or "")


def test_what_cannot_be_fetched_says_how_it_is_got(cache: Path) -> None:
    found = by_name(models.models({"HF_HUB_OFFLINE": "1"}))
    assert found["yunet"].state == "warning" and "HF_HUB_OFFLINE" in found["yunet"].found
    assert weights.YUNET.sha256 in (found["yunet"].advice or "") and "detector=mtcnn" in (found["yunet"].advice or "")
    assert found["scrfd"].state == "note" and "non-commercial" in (found["scrfd"].advice or "")


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_models_folder_that_is_none_is_a_problem(cache: Path, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "models"
    if kind == "file":
        place.write_text("")
    found = by_name(models.models({"MMIDD_MODELS": str(place)}))
    assert found["MMIDD_MODELS"].state == "problem" and str(place) in found["MMIDD_MODELS"].found
    assert "yunet" in found and "MMIDD_MODELS" not in by_name(models.models({}))


def test_the_networks_of_mtcnn_are_those_of_the_wheel(cache: Path) -> None:
    found = by_name(models.models({}))["mtcnn"]
    assert found.state == "ok" and "3 networks" in found.found


@pytest.mark.parametrize(("data", "told"), [(None, "is not there"), (b"x", "is not the pinned model")])
def test_other_networks_of_mtcnn_are_a_problem(
    cache: Path, install: Install, tmp_path: Path, data: bytes | None, told: str
) -> None:
    install("facenet-pytorch", "2.5.3", code="raise RuntimeError('never imported')")
    if data is not None:
        (tmp_path / "site/facenet_pytorch/data").mkdir()
        (tmp_path / "site/facenet_pytorch/data/pnet.pt").write_bytes(data)
    found = by_name(models.models({}))["mtcnn"]
    assert found.state == "problem" and told in found.found


def test_without_facenet_the_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    found = by_name(models.models({}))["mtcnn"]
    assert found.state == "note" and "mmidd[faces]" in (found.advice or "")


CPU = "def get_available_providers(): return ['CPUExecutionProvider']"
CUDA = "def get_available_providers(): return ['CUDAExecutionProvider', 'CPUExecutionProvider']"
TORCH = """
class cuda:
    is_available = staticmethod(lambda: {there})
    device_count = staticmethod(lambda: 1)
    get_device_name = staticmethod(lambda i: 'A GPU')
class version:
    cuda = {built!r}
"""
GPUS = [
    (False, CPU, None, {"NVIDIA": "note", "onnxruntime": "ok"}, "the CPU: there is no NVIDIA GPU here"),
    (False, CUDA, None, {"onnxruntime": "ok"}, "the CPU: there is no NVIDIA GPU here"),
    (True, CPU, TORCH.format(there=True, built="12.8"), {"NVIDIA": "ok", "torch": "ok"}, "auto is the CPU, cuda the GPU"),
    (True, CUDA, TORCH.format(there=False, built=None), {"onnxruntime": "ok", "torch": "warning"}, "there is no torch"),
    (True, CUDA, "import os; os.abort()", {"torch": "warning"}, "there is no torch"),
    (True, CUDA, "import time; time.sleep(60)", {"torch": "warning"}, "there is no torch"),
    (True, "import os; os.abort()", "raise OSError('libcudart')", {"onnxruntime": "problem", "torch": "warning"}, "the CPU"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "onnx", "torch", "states", "choice"), GPUS)
def test_the_gpu_and_who_can_use_it(
    device: bool, onnx: str, torch: str | None, states: dict[str, str], choice: str,
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(gpu, "_TORCH_S", 2.0)
    install("onnxruntime", "1", code=onnx)
    install("torch", "2", code=torch or "raise RuntimeError('not asked without a device')")
    if torch and (built := re.search(r"cuda = ('.*')", torch)):  # as torch notes it, beside the code
        (tmp_path / "site/torch/version.py").write_text(f"cuda: Optional[str] = {built[1]}\nhip: Optional[str] = None\n")
    dev, driver = tmp_path / "dev", tmp_path / "version"
    dev.mkdir()
    (dev / "nvidiactl").touch()
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build")
    if device:
        (dev / "nvidia0").touch()
    found = by_name(gpu.gpu(dev, driver))
    assert {name: found[name].state for name in states} == states
    assert choice in found["--device"].found and found["--device"].state == "ok"
    assert ("torch" in found) == device
    assert not device or found["NVIDIA"].found == "nvidia0, driver 575.57.08"


def test_without_onnxruntime_the_gpu_is_looked_for_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert set(by_name(gpu.gpu(tmp_path, tmp_path / "none"))) == {"NVIDIA", "--device"}
