"""A captioner from a checkpoint in this process: tiny random and tiny taught models, through the real loading path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from llm.stub import CAPTION, ENVIRONMENT, FACE

from mmidd.captions import local
from mmidd.captions.choose import CaptionerConfig, captioner_identity, make_captioner
from mmidd.captions.prompts import load
from mmidd.captions.protocol import LINT, OK, Caption, CaptionRequest
from mmidd.errors import MissingWeights, MmiddError, UsageError, WorkError, WrongWeights

from . import tiny
from .conftest import Picture, dimmed, mirrored, request

pytestmark = pytest.mark.timeout(180)
FAMILIES = list(tiny.FAMILIES)
PROMPT = "brief-1"


@pytest.fixture(scope="session")
def random_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("random")
    return {family: build(root / family) for family, build in tiny.FAMILIES.items()}


@pytest.fixture(scope="session")
def taught_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same after they learned to say one sound caption, whatever they are shown."""
    root, prompt = tmp_path_factory.mktemp("taught"), load(PROMPT)
    lessons = [(prompt.both, 2), (prompt.alone, 1)]
    return {family: tiny.taught(root / family, build, lessons, CAPTION) for family, build in tiny.FAMILIES.items()}


def config(folder: Path, **more: Any) -> CaptionerConfig:
    options: dict[str, Any] = {"prompt": PROMPT, "max_tokens": 120, "device": "cpu", "batch": 2}
    return CaptionerConfig("transformers", model=str(folder), **(options | more))


def described(chosen: CaptionerConfig, requests: list[CaptionRequest]) -> list[Caption]:
    captioner = make_captioner(chosen)
    assert captioner is not None
    try:
        chunks = [requests[n : n + captioner.batch] for n in range(0, len(requests), captioner.batch)]
        return [caption for chunk in chunks for caption in captioner.caption(chunk)]
    finally:
        captioner.close()


def replies(journal: Path) -> list[str]:
    lines = [line for path in sorted(journal.glob("*.log")) for line in path.read_text().splitlines() if line.endswith("}")]
    return [json.loads(line.split(" ", 2)[2])["text"] for line in lines]


@pytest.fixture
def portraits(frame: Picture) -> list[CaptionRequest]:
    alone = CaptionRequest(np.ascontiguousarray(frame[:200, :200]), None, None, None, (200, 200))
    return [request(frame), mirrored(frame), request(dimmed(frame, 0.3)), alone]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_model_talks_nonsense_that_follows_the_picture_and_is_recorded(
    family: str, random_models: dict[str, Path], portraits: list[CaptionRequest], tmp_path: Path
) -> None:
    captions = described(config(random_models[family], max_tokens=24, journal=tmp_path), portraits)
    assert {caption.status for caption in captions} <= set(LINT)
    assert all(caption.asked.replies == 2 and caption.asked.prompt_tokens > 50 for caption in captions)
    first = replies(tmp_path)[:2]
    assert first[0] != first[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_can_gives_captions_and_the_same_ones_every_time(
    family: str, taught_models: dict[str, Path], portraits: list[CaptionRequest]
) -> None:
    chosen = config(taught_models[family])
    captions = described(chosen, portraits)
    assert [(caption.face, caption.environment, caption.status) for caption in captions] == [(FACE, ENVIRONMENT, OK)] * 4
    assert described(chosen, portraits) == captions
    assert captions[0].asked.completion_tokens > 20


def test_an_interruption_inside_a_batch_changes_no_reply(
    random_models: dict[str, Path], portraits: list[CaptionRequest], tmp_path: Path
) -> None:
    chosen = config(random_models["qwen2.5-vl"], max_tokens=24, journal=tmp_path / "whole")
    captions = described(chosen, portraits)
    (path,) = (tmp_path / "whole").iterdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / path.name).write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]) + b"torn")
    assert described(replace(chosen, journal=tmp_path / "torn"), portraits) == captions
    assert set(replies(tmp_path / "torn")) == set(replies(tmp_path / "whole"))


def test_what_the_journal_holds_is_not_computed_again(
    taught_models: dict[str, Path], portraits: list[CaptionRequest], tmp_path: Path
) -> None:
    chosen = config(taught_models["qwen2.5-vl"], journal=tmp_path)
    captions = described(chosen, portraits)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert described(chosen, portraits) == captions
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == size


def test_the_identity_follows_every_file_of_the_checkpoint(random_models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "llava"
    shutil.copytree(random_models["llava"], folder)
    before = captioner_identity(config(folder))
    assert before == captioner_identity(config(folder)) and str(tmp_path) not in json.dumps(before)
    assert {"transformers", "torch", "pillow", "content", "prompt", "dtype", "device", "code", "leaks"} <= before.keys()
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert captioner_identity(config(folder))["content"] != before["content"]


def damaged(folder: Path, how: str) -> None:
    if how == "text only":
        from transformers import Qwen2Config, Qwen2ForCausalLM

        shutil.rmtree(folder)
        words = tiny.tokenizer()
        Qwen2ForCausalLM(Qwen2Config(**tiny.text_config(words))).save_pretrained(folder)
        words.save_pretrained(folder)
    elif how == "pickled":
        import torch

        (folder / "model.safetensors").unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how == "code of its own":
        settings = json.loads((folder / "config.json").read_text())
        own = {"AutoModelForImageTextToText": "homemade.Model", "AutoConfig": "homemade.Config"}
        settings |= {"model_type": "homemade", "auto_map": own}
        (folder / "config.json").write_text(json.dumps(settings))
        (folder / "homemade.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    elif how == "no config":
        (folder / "config.json").write_text("[]")
    elif how == "cut weights":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "no template":
        (folder / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("text only", "is a 'qwen2' model, which does not read images together with text"),
        ("pickled", "holds no .safetensors file; mmidd loads no other kind"),
        ("code of its own", "needs code of its own to run, which mmidd never runs"),
        ("no config", "is no checkpoint of transformers: its config.json"),
        ("cut weights", "does not load"),
        ("no template", "has no chat template"),
    ],
)
def test_a_checkpoint_that_will_not_do_is_an_error_that_says_why(
    how: str, told: str, random_models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(random_models["llava"], folder)
    damaged(folder, how)
    with pytest.raises(WrongWeights, match=told):
        make_captioner(config(folder))
    assert not (folder / "ran").exists()


def test_a_model_that_is_not_there_is_an_error_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_models: dict[str, Path]
) -> None:
    with pytest.raises(MissingWeights, match="neither a folder nor a name on the Hub"):
        captioner_identity(config(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="leave revision out"):
        captioner_identity(config(random_models["llava"], revision="main"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeights, match=r"the model nobody/nothing-such is not at hand .*Ways out: \(1\)"):
        captioner_identity(CaptionerConfig("transformers", model="nobody/nothing-such"))


def test_a_gpu_that_is_not_there_is_a_usage_error(random_models: dict[str, Path]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    from mmidd.captions.choose import device_of

    assert device_of(config(random_models["llava"], device="auto")) == "cpu"
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        device_of(config(random_models["llava"], device="cuda"))


@pytest.fixture(scope="module")
def served(taught_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A real `transformers serve` of a taught checkpoint: its address and the model's name there."""
    folder, model = tmp_path_factory.mktemp("serve"), str(taught_models["llava"])
    port = _free_port()
    words = ["serve", model, "--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port)]
    (folder / "hub").mkdir()
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        command = [str(Path(sys.executable).with_name("transformers")), *words]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | offline)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, folder / "log")
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            server.kill()
            server.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not come up: {log.read_text()}")


def test_a_real_server_describes_real_pictures_over_http(
    served: tuple[str, str], portraits: list[CaptionRequest], tmp_path: Path
) -> None:
    url, model = served
    chosen = CaptionerConfig(
        "openai", model=model, base_url=url, prompt=PROMPT, max_tokens=120, concurrency=4, journal=tmp_path
    )
    captions = described(chosen, portraits)
    assert [(caption.face, caption.environment, caption.status) for caption in captions] == [(FACE, ENVIRONMENT, OK)] * 4
    assert all(caption.asked.prompt_tokens > 50 and caption.asked.completion_tokens > 20 for caption in captions)
    assert described(replace(chosen, base_url="http://127.0.0.1:9/v1"), portraits) == captions


def test_a_real_server_that_has_not_the_model_ends_it_with_a_clear_error(
    served: tuple[str, str], portraits: list[CaptionRequest]
) -> None:
    with pytest.raises(MmiddError, match=r"the server http://127.*run the same command to go on"):
        described(CaptionerConfig("openai", model="nobody/no-model", base_url=served[0], prompt=PROMPT), portraits * 4)


def test_a_checkpoint_that_is_replaced_while_it_is_loaded_or_since_its_digest_is_not_used(
    random_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(next(iter(random_models.values())), tmp_path / "model")
    weights = next(folder.glob("*.safetensors"))
    pinned = (("content", captioner_identity(config(folder))["content"]),)
    load_it = local._load

    def replaced(*words: Any) -> Any:
        found = load_it(*words)
        about, other = weights.stat(), folder / "other"
        shutil.copy(weights, other)
        os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
        other.replace(weights)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(local, "_load", replaced)
        with pytest.raises(WrongWeights, match="changed while they were read"):
            make_captioner(config(folder, pinned=pinned))
    described(config(folder, pinned=pinned), [])
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WrongWeights, match="captioner's checkpoint changed while the build was under way"):
        make_captioner(config(folder, pinned=pinned))


class Cards:
    """Stands for torch.cuda where there are GPUs: `visible` are their names, in the order that this process sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        import tempfile

        import torch

        self.visible: list[str] = []
        self.chosen: list[int] = []
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(self.visible))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=self.visible[number]))
        monkeypatch.setattr(torch.cuda, "set_device", self.chosen.append)


def test_workers_take_a_gpu_each_whatever_number_it_has_for_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cards = Cards(monkeypatch, tmp_path)
    cards.visible = ["a", "b"]
    first, second = local._claim("cuda"), local._claim("cuda")
    cards.visible = ["c", "d"]  # another job of this user on the same machine, with other CUDA_VISIBLE_DEVICES
    third = local._claim("cuda")
    cards.visible = ["b", "a", "d"]
    fourth = local._claim("cuda")
    assert [device for _, device in (first, second, third, fourth)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:2"]
    assert cards.chosen == [0, 1, 0, 2]
    assert first[0] is not None
    first[0].close()
    assert local._claim("cuda")[1] == "cuda:1"


def test_workers_spread_where_all_gpus_are_held_and_need_no_lock_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cards = Cards(monkeypatch, tmp_path)
    cards.visible = ["a", "b"]
    held = [local._claim("cuda"), local._claim("cuda")]
    assert local._claim("cuda") == (None, f"cuda:{os.getpid() % 2}")
    cards.visible = ["x/y"]  # its lock cannot be made
    assert local._claim("cuda") == (None, "cuda:0")
    assert all(claim is not None for claim, _ in held)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", "not enough memory for captioner.batch images"),
        (
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "not enough memory for captioner.batch",
        ),
        ("CUDA error: an illegal memory access was encountered", "the GPU broke down .CUDA error: an illegal"),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "the GPU broke down .cuDNN error"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["torch 2.8 and newer", "torch 2.6"])
def test_a_fault_of_the_gpu_ends_the_build_and_is_never_a_pictures(
    fault: str, told: str, known: bool, random_models: dict[str, Path], portraits: list[CaptionRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import torch

    captioner = make_captioner(config(random_models["llava"], max_tokens=4))
    assert captioner is not None
    captioner.caption(portraits[:1])
    if not known:
        monkeypatch.delattr(torch, "AcceleratorError")
    kind = torch.OutOfMemoryError if fault.startswith("CUDA out") else RuntimeError

    def generate(**given: Any) -> None:
        raise kind(fault)

    monkeypatch.setattr(captioner._answerer._model, "generate", generate)  # type: ignore[attr-defined]
    with pytest.raises(WorkError, match=told):
        captioner.caption(portraits)
    captioner.close()


def test_a_model_that_the_gpu_has_no_room_for_is_told(
    random_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def to(self: Any, device: str) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", to)
    with pytest.raises(WorkError, match="not enough memory for the model llava; take a smaller one"):
        make_captioner(config(random_models["llava"]))


def test_a_loaded_model_computes_in_float32_where_it_says_so(random_models: dict[str, Path]) -> None:
    import torch

    torch.set_float32_matmul_precision("high")  # as TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1 does
    described(config(random_models["llava"], max_tokens=2), [])
    assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32
