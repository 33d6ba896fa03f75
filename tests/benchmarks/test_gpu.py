"""The GPU benchmark's command: parts of any kind cost nothing but themselves, and what must travel is named."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import pack, phases, said
from benchmarks.gpu.alone import wrongs
from benchmarks.gpu.carry import WHEELS, requirements
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.said import headlines
from benchmarks.processes import BenchmarkError

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "torchcodec", "transformers", "peft", "trl", "timm", "datasets", "onnxruntime"}

_MODULES = {
    "fine": "context.note('figure', 1)\n    context.check('sum', 1 + 1 == 2)",
    "tries": "with context.trying('block'):\n        1 / 0\n    context.note('after', 1)",
    "wrong": "context.check('sum', False, expected=2)\n    context.note('after', 1)",
    "hangs": (
        "import subprocess, sys, time\n    context.note('before', 1)\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # ' + MARK], start_new_session=True)\n"
        "    time.sleep(600)"
    ),
    "breaks": "context.note('before', 1)\n    raise ValueError('no such thing')",
    "segfaults": "import os, signal\n    context.note('before', 1)\n    os.kill(os.getpid(), signal.SIGSEGV)",
    "exits": "import os\n    os._exit(7)",
    "skips": "from benchmarks.gpu.context import Skipped\n    raise Skipped('no moon')",
    "numpys": "import numpy\n    context.note('number', numpy.float32(2))\n    context.note('odd', {'a': object})",
    "leaves": (
        "import subprocess, sys\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # ' + MARK], start_new_session=True)"
    ),
}
_STATES = {
    "fine": "right", "tries": "wrong", "wrong": "wrong", "hangs": "late", "breaks": "broken", "segfaults": "broken",
    "exits": "broken", "skips": "skipped", "numpys": "right", "leaves": "right", "lacks": "skipped", "must": "broken",
    "unknown": "broken",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parts of every kind, and a command that runs them."""
    folder = tmp_path_factory.mktemp("parts")
    for name, body in _MODULES.items():
        (folder / f"part_{name}.py").write_text(f"MARK = {str(folder)!r}\n\n\ndef run(context):\n    {body}\n")
    (folder / "command.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from benchmarks.gpu.__main__ import main\n"
        "from benchmarks.gpu.parts import Part\n"
        "def part(name, seconds=20, needs=(), must=False):\n"
        "    return Part(name, seconds, needs, 'what it tells', must, f'part_{name}')\n"
        f"parts = [part(name) for name in {list(_MODULES)!r} if name != 'hangs']\n"
        "parts += [part('hangs', 3), part('lacks', needs=('no_such_package', 'numpy')), part('unknown')]\n"
        "parts += [part('must', needs=('no_such_package',), must=True)]\n"
        "sys.exit(main(parts))\n"
    )
    return folder


def _command(place: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the document and what was said."""
    file = place / f"{'-'.join(words)[:40].replace('/', '_')}.json"
    command = [sys.executable, str(place / "command.py"), "--device", "cpu", "--json", str(file), *words]
    env = {**os.environ, "PYTHONPATH": str(place)}
    ended = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=120)
    return ended.returncode, json.loads(file.read_text()) if file.exists() else {}, ended.stderr


@pytest.fixture(scope="module")
def everything(place: Path) -> tuple[int, dict[str, Any], str]:
    return _command(place, "--seconds", "120")


def test_each_part_costs_nothing_but_itself(everything: tuple[int, dict[str, Any], str]) -> None:
    _, document, said = everything
    assert {row["name"]: row["state"] for row in document["parts"]} == _STATES
    assert document["ended"] and document["toy"] and document["device"] == "cpu"
    for name in _STATES:
        assert f"\n{name} " in said


def test_what_a_part_found_before_its_end_is_kept(everything: tuple[int, dict[str, Any], str]) -> None:
    rows = {row["name"]: row for row in everything[1]["parts"]}
    for name in ("hangs", "breaks", "segfaults"):
        assert rows[name]["found"] == {"before": 1}
    assert rows["numpys"]["found"] == {"number": 2.0, "odd": {"a": "<class 'object'>"}}
    assert rows["tries"]["wrong"] == ["block"] and rows["tries"]["found"]["after"] == 1
    assert rows["tries"]["found"]["block"]["why"] == "ZeroDivisionError: division by zero"
    assert rows["wrong"]["wrong"] == ["sum"] and rows["wrong"]["found"]["after"] == 1


def test_why_a_part_did_not_go_well_is_said(everything: tuple[int, dict[str, Any], str]) -> None:
    rows = {row["name"]: row for row in everything[1]["parts"]}
    assert rows["breaks"]["why"] == "ValueError: no such thing"
    assert any("no such thing" in line for line in rows["breaks"]["last_lines"])
    assert rows["segfaults"]["why"] == "killed by SIGSEGV"
    assert rows["exits"]["why"] == "exit code 7 without a word"
    assert rows["hangs"]["why"] == "ended at its limit of 6 s"
    assert rows["skips"]["why"] == "no moon"
    assert rows["lacks"]["why"] == rows["must"]["why"] == "not installed: no_such_package"
    assert "part_unknown" in rows["unknown"]["why"]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
def test_nothing_that_a_part_started_is_left(everything: tuple[int, dict[str, Any], str], place: Path) -> None:
    assert everything
    assert not _alive(str(place))


def _alive(mark: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if mark in words and "time.sleep(600)" in words:
            found.append(words)
    return found


@pytest.mark.parametrize(
    ("parts", "code"), [(["fine", "skips"], 0), (["wrong", "fine"], 4), (["exits", "fine"], 1), (["wrong", "exits"], 4)]
)
def test_the_exit_code_says_wrong_before_broken(place: Path, parts: list[str], code: int) -> None:
    ended, document, _ = _command(place, "--parts", *parts)
    assert ended == code
    assert {row["name"] for row in document["parts"]} == set(parts)


def test_parts_that_no_longer_fit_are_skipped(place: Path) -> None:
    code, document, _ = _command(place, "--parts", "fine", "numpys", "--seconds", "9")
    assert code == 0
    assert [row["state"] for row in document["parts"]] == ["skipped", "skipped"]
    assert "s are left, it may need 20" in document["parts"][0]["why"]


def test_a_run_that_is_cut_off_has_everything_so_far(place: Path) -> None:
    file = place / "cut.json"
    command = [sys.executable, str(place / "command.py"), "--device", "cpu", "--json", str(file)]
    env = {**os.environ, "PYTHONPATH": str(place)}
    with subprocess.Popen([*command, "--parts", "fine", "hangs"], cwd=place, env=env, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (file.exists() and "before" in file.read_text()):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    document = json.loads(file.read_text())
    assert [(row["name"], row["state"]) for row in document["parts"]] == [("fine", "right"), ("hangs", "running")]
    assert document["parts"][1]["found"] == {"before": 1} and not document["ended"]
    if sys.platform == "linux":
        assert not _alive(str(place))


def test_wrong_checks_are_found_at_any_depth() -> None:
    found = {"a": {"right": True}, "b": {"c": {"right": False}, "d": [1]}, "e": {"right": False}, "right": 3}
    assert wrongs(found) == ["b.c", "e"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_is_there_and_imports_its_module_alone_late(part: Any) -> None:
    """`python -m benchmarks.gpu.inside` looks for what a part needs before it imports it; so it may import that at its top,
    but nothing else that may be missing."""
    spec = importlib.util.find_spec(part.where)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} & HEAVY <= set(part.needs)
    assert part.seconds >= 10 and part.tells


def test_all_parts_fit_eight_minutes() -> None:
    assert sum(part.seconds for part in PARTS) <= 480
    assert [part.name for part in PARTS if part.must] == ["machine"]
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_the_command_itself_loads_the_standard_library_alone() -> None:
    code = "import sys, benchmarks.gpu.__main__; print(*{name.split('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not {name for name in loaded - set(bare.stdout.split()) - set(sys.stdlib_module_names)} - {"benchmarks"}


def _real(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_wheels_is_one_download_command_without_an_address() -> None:
    ended = _real("--wheels")
    assert ended.returncode == 0 and len(ended.stdout.splitlines()) == 1
    assert "pip download --no-deps --only-binary=:all: --python-version 3.12" in ended.stdout
    assert "://" not in ended.stdout
    assert all(requirement in ended.stdout for requirement in requirements())
    assert all(WHEELS.values())


def test_media_travel_as_far_as_there_is_room_the_telling_ones_first(tmp_path: Path) -> None:
    media, target = tmp_path / "media", tmp_path / "target"
    for name, size in {
        "videos/a.mp4": 50,
        "videos/d19.mp4": 60,
        "images/b.jpg": 30,
        "odd/c.mkv": 20,
        "README.md": 1,
    }.items():
        file = media / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
    target.mkdir()
    assert pack.chosen(media, target, 115) == ["videos/a.mp4"]
    assert sorted(file.name for file in target.rglob("*.*")) == ["b.jpg", "c.mkv", "d19.mp4"]


def test_what_is_packed_does_not_come_from_the_folder_that_is_filled(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    with pytest.raises(BenchmarkError, match="which is filled anew"):
        pack.pack(tmp_path, tmp_path / "media", None)
    assert (tmp_path / "media").is_dir()


def test_where_there_is_no_cuda_it_is_said_how_to_try_the_command() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    ended = _real()
    assert ended.returncode == 1
    assert "--device cpu" in ended.stderr and "Traceback" not in ended.stderr


def test_the_machine_is_measured_on_a_cpu(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "gpu.json"
    ended = _real("--device", "cpu", "--parts", "machine", "--json", str(file))
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(file.read_text())["parts"]
    assert row["found"]["mmidd"] == {"right": True, "differ": [], "count": 0}
    for name in ("matmul_bfloat16", "copy_on_device", "to_device_pageable"):
        figure = row["found"][name]
        assert figure["rate"] == pytest.approx(figure["count"] / figure["seconds"])
    assert headlines("machine", row["found"])[0] in ended.stderr and "toy sizes" in ended.stderr


def test_what_workers_do_is_seen_without_their_knowing(tmp_path: Path) -> None:
    """A worker of a pool, and not who starts it; what is done outside of mmidd is idleness."""
    (tmp_path / "mmidd").mkdir()
    (tmp_path / "mmidd" / "works.py").write_text("import time\n\ndef work(s):\n    time.sleep(s)\n    return s\n")
    (tmp_path / "command.py").write_text(
        "import sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        f"sys.path.insert(0, {str(tmp_path / 'mmidd')!r})\n"
        "import works\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(1, get_context('spawn')) as pool:\n"
        "        pool.submit(works.work, 1.0).result()\n"
    )
    with phases.watched(tmp_path / "phases") as environment:
        command = [sys.executable, str(tmp_path / "command.py")]
        subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=60)
    told = phases.told(tmp_path / "phases", {"works": "sleep"})
    assert told["workers"] == 1 and 0.5 < told["phases"]["sleep"][0] < 1.5 and told["phases"]["sleep"][1] < 0.5
    assert told["at_work_s"] == told["phases"]["sleep"][0]


def test_every_part_has_headlines_and_one_that_was_cut_off_has_none() -> None:
    assert set(said.LINES) == {part.name for part in PARTS}
    assert not any(headlines(part.name, {}) for part in PARTS)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    ended = _real("--device", "cpu", "--media", str(tmp_path / "none"))
    assert ended.returncode == 1 and "there is no such folder" in ended.stderr


@pytest.mark.parametrize("own", [{}, {"commit.json": '{"name": "of something else"}'}, {"commit.json": "[1]"}])
def test_a_folder_that_is_no_pack_keeps_its_files(tmp_path: Path, own: dict[str, str]) -> None:
    for name, text in {"run.sh": "mine", "media/mine.mp4": "mine", **own}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(BenchmarkError, match="no pack of an earlier run"):
        pack.pack(tmp_path, None, None)
    assert (tmp_path / "run.sh").read_text() == (tmp_path / "media/mine.mp4").read_text() == "mine"


def test_a_pack_that_was_cut_short_is_filled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(folder: Path) -> None:
        (folder / "half.whl").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(pack, "_wheels", cut)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pack.pack(tmp_path / "pack", None, None)
    with pytest.raises(BenchmarkError):
        pack.pack(tmp_path / "pack/commit.json", None, None)
