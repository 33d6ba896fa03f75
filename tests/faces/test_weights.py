"""Pinned model files: found where promised, downloaded once, never used with other bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmidd.errors import MissingWeights, WrongWeights
from mmidd.faces import weights
from mmidd.faces.weights import Weights

CONTENT = b"a small model"
REVISION = "0" * 40
PIN = Weights("model.onnx", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT", repo="who/what", revision=REVISION)
UNSOURCED = Weights("model.onnx", PIN.sha256, PIN.size, "research only")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """(the folder that MMIDD_MODELS names, the cache folder), both empty."""
    named, cache = tmp_path / "models", tmp_path / "xdg" / "mmidd"
    named.mkdir()
    monkeypatch.setenv("MMIDD_MODELS", str(named))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    return named, cache


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one small file needs."""

    content = CONTENT
    has_it = True
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        type(self).asked.append(self.path)
        known = self.has_it and self.path.endswith(f"/who/what/resolve/{REVISION}/model.onnx")
        self.send_response(200 if known else 404)
        self.send_header("ETag", f'"{hashlib.sha1(self.content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        if body and known:
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("ThisHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield handler
    server.shutdown()
    server.server_close()


def locate_elsewhere() -> subprocess.CompletedProcess[str]:
    """`locate(PIN)` in a fresh process: huggingface_hub reads its environment when it is imported."""
    code = (
        "from mmidd.errors import MmiddError\nfrom mmidd.faces.weights import Weights, locate\n"
        f"try: print('found', locate({PIN!r}))\n"
        "except MmiddError as error: print(type(error).__name__, error)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_named_folder_comes_before_the_cache(folders: tuple[Path, Path]) -> None:
    named, cache = folders
    cache.mkdir(parents=True)
    (cache / PIN.name).write_bytes(CONTENT)
    assert weights.locate(PIN) == cache / PIN.name
    (named / PIN.name).write_bytes(CONTENT)
    assert weights.locate(PIN) == named / PIN.name
    assert weights.read(PIN) == CONTENT


@pytest.mark.parametrize("where", [0, 1], ids=["named folder", "cache"])
@pytest.mark.parametrize("content", [b"another model", CONTENT + b"!", b""], ids=["same size", "longer", "empty"])
def test_a_file_with_other_bytes_is_an_error_and_never_used(folders: tuple[Path, Path], where: int, content: bytes) -> None:
    folders[where].mkdir(parents=True, exist_ok=True)
    (folders[where] / PIN.name).write_bytes(content)
    for use in (weights.locate, weights.read):
        with pytest.raises(WrongWeights, match=PIN.sha256):
            use(PIN)


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / ".cache" / "mmidd"


def test_a_models_folder_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMIDD_MODELS", str(tmp_path / "absent"))
    with pytest.raises(MissingWeights, match="no folder"):
        weights.locate(PIN)


def test_a_download_is_checked_and_kept(folders: tuple[Path, Path], hub: type[Hub]) -> None:
    _, cache = folders
    assert locate_elsewhere().stdout.strip() == f"found {cache / PIN.name}"
    assert [path.name for path in cache.iterdir()] == [PIN.name]
    assert (cache / PIN.name).read_bytes() == CONTENT
    asked = len(hub.asked)
    assert asked > 0
    assert locate_elsewhere().stdout.strip() == f"found {cache / PIN.name}"
    assert len(hub.asked) == asked


def test_a_download_with_other_bytes_leaves_nothing_behind(folders: tuple[Path, Path], hub: type[Hub]) -> None:
    hub.content = b"another model"
    assert locate_elsewhere().stdout.startswith("WrongWeights what who/what gave as model.onnx")
    assert list(folders[1].iterdir()) == []


@pytest.mark.parametrize("trouble", ["offline", "not on the hub"])
def test_where_no_download_comes_the_three_ways_out_are_named(
    folders: tuple[Path, Path], hub: type[Hub], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.has_it = False
    said = locate_elsewhere().stdout
    assert said.startswith("MissingWeights")
    for way in ("(1) let it be downloaded", f"sha256 {PIN.sha256}", "MMIDD_MODELS", "(3)", "--set detector=mtcnn"):
        assert way in said
    assert bool(hub.asked) == (trouble != "offline")
    assert list(folders[1].iterdir()) == []


def test_a_file_without_a_source_is_not_downloaded(folders: tuple[Path, Path]) -> None:
    with pytest.raises(MissingWeights, match=r"no download source.*MMIDD_MODELS.*detector=mtcnn.*detector=yunet"):
        weights.locate(UNSOURCED)


def test_pins_are_whole() -> None:
    for name, pinned in weights.PINNED.items():
        assert name == pinned.name
        assert len(pinned.sha256) == 64
        assert (pinned.repo is None) == (pinned.revision is None)
        assert pinned.revision is None or len(pinned.revision) == 40
