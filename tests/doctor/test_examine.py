"""The whole look, and the verb: what is printed, how it ends, and that hostile names and a broken machine do not matter."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said
from rich.console import Console
from test_escaping import NAMES, shown_safely

from mmidd import __version__
from mmidd.doctor import examine, gpu, limits, packages
from mmidd.doctor.report import Check, Examination
from mmidd.show.doctor import examined

Run = Callable[..., Said]
GROUPS = {"python", "packages", "extras", "models", "gpu", "disk", "limits", "environment"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other process is asked: what packages say is tested elsewhere."""
    monkeypatch.setattr(packages, "ask", lambda questions, seconds: {})
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_everything_is_looked_at_and_of_folders_only_those_that_are_given(quick: None, tmp_path: Path) -> None:
    assert {check.group for check in examine().checks} == GROUPS
    given = examine(tmp_path, tmp_path / "corpus")
    assert {check.group for check in given.checks} == GROUPS | {"data", "work"}
    (work,) = (check for check in given.checks if check.group == "work")
    assert f"{tmp_path}/corpus.work is not there yet" in work.found
    assert given.mmidd == __version__ and not given.sound
    names = [(check.group, check.name) for check in given.checks]
    assert len(set(names)) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("place", ["", ".", "..", "/", "a\0b", "x" * 300])
def test_no_place_is_too_odd(quick: None, place: str) -> None:
    report = examine(place, Path(place), Path(place))
    assert {"data", "disk", "work"} <= {check.group for check in report.checks}


def test_where_every_look_fails_there_is_a_report_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*words: object, **more: object) -> None:
        raise MemoryError("no more")

    for module, name in (
        (packages, "needs"),
        (packages, "find_spec"),
        (packages, "ask"),
        (gpu, "ask"),
        (limits, "usable_cores"),
    ):
        monkeypatch.setattr(module, name, broken)
    monkeypatch.setattr(os, "statvfs", broken)
    report = examine(tmp_path, tmp_path / "c")
    failed = {check.group for check in report.of("problem") if "MemoryError" in check.found}
    assert {"packages", "extras", "gpu", "disk", "limits"} <= failed


def test_nothing_heavy_is_loaded_and_no_network_is_used(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "socket.socket.connect = socket.getaddrinfo = lambda *words: sys.exit('network')\n"
        "from mmidd.doctor import examine\n"
        "report = examine('s3://bucket/x', None, None)\n"
        "print(*[name for name in ('torch', 'onnxruntime', 'cv2', 'av', 'numpy', 'pyarrow') if name in sys.modules])\n"
        "print(report.counts)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "" and "'ok'" in done.stdout


def test_the_verb_ends_with_4_on_problems_alone_and_its_json_is_the_report(
    mmidd: Run, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_FAULT", "")
    well = mmidd("doctor", "--work", str(tmp_path / "w"))
    assert (well.code, well.err) == (0, "") and "warning  environment, MMIDD_FAULT" in well.out
    assert well.out.splitlines()[-1].startswith("nothing stands in the way: ")
    as_json = mmidd("doctor", "--work", str(tmp_path / "w"), "--json")
    assert as_json.code == 0 and as_json.document["sound"] and as_json.document["counts"]["warning"] >= 1
    bad = mmidd("doctor", "--data", str(tmp_path / "absent"))
    assert bad.code == 4 and bad.out.startswith("problem  data, root: ") and "\n         -> give the folder" in bad.out
    assert bad.out.splitlines()[-1].startswith("mend the problems first: 1 problem")
    assert mmidd("doctor", "--data", str(tmp_path / "absent"), "--json").code == 4


def test_the_worst_is_printed_first_and_what_is_well_in_one_line_a_group(mmidd: Run, quick: None, tmp_path: Path) -> None:
    lines = mmidd("doctor", "--data", str(tmp_path / "absent"), "--out", str(tmp_path / "c")).out.splitlines()
    heads = [line.split()[0] for line in lines[:-1] if not line.startswith(" ")]
    assert heads == sorted(heads, key=["problem", "warning", "note", "ok"].index) and heads.count("ok") == len(
        {line.split()[1] for line in lines if line.startswith("ok ")}
    )
    assert any(line.startswith("ok       disk: out (space, inodes, writing, locks") for line in lines)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_on_a_terminal_lines_are_folded_under_their_head_and_in_a_pipe_not(width: int) -> None:
    advice = "word " * 60
    report = Examination("1", (Check("disk", "out", "warning", "[bold]x[/bold] " + "found " * 40, advice.strip()),))
    for terminal in (True, False):
        console = Console(
            file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, highlight=False, soft_wrap=True
        )
        examined(console, report)
        assert report.sound
        text = console.file.getvalue()  # type: ignore[attr-defined]
        lines = text.splitlines()
        assert "[bold]x[/bold]" in text and lines[0].startswith("warning  disk, out: ")
        assert all(line.startswith(" " * 9) for line in lines[1:-1])
        assert (len(lines) == 3) if not terminal else (len(lines) > 5 and max(map(len, lines[:-1])) <= width)


def test_extras_that_nobody_installed_take_one_line() -> None:
    report = Examination("1", tuple(Check("extras", name, "note", f"lacks {name}", f"pip {name}") for name in ("a", "b")))
    console = Console(file=io.StringIO(), width=100, soft_wrap=True)
    examined(console, report)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("note     extras, not installed: a lacks a; b lacks b\n")


def test_no_name_is_printed_as_a_terminal_would_obey_it(
    mmidd: Run, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    names = [name.replace("/", "_") for name in NAMES.values()]
    for name in names:
        (data / name / "CelebA").mkdir(parents=True)
        (data / f"{name}.zip").touch()
    os.mkdir(os.fsencode(data) + b"/\xff\xfe")  # noqa: PTH102
    (data / "CelebA").mkdir()
    (data / "CelebA" / names[0]).touch()
    monkeypatch.setenv("MMIDD_MODELS", f"{data}/\x1b[2J[bold]x[/bold]")
    monkeypatch.setenv("MMIDD_\x1b[2J", "x")
    for words in (["--data", str(data)], *(["--data", str(data / n), "--work", str(data / n)] for n in names)):
        said = mmidd("doctor", *words)
        assert said.code == 4 and shown_safely(said.out + said.err)
        as_json = mmidd("doctor", *words, "--json")
        assert as_json.out.isascii() and json.dumps(json.loads(as_json.out), ensure_ascii=False).encode()
        assert shown_safely(str(examine(words[1])))
    told = mmidd("doctor", "--data", str(data)).out
    assert "data, [bold red]x[link=http_evil]" in told.replace(":", "_") or "[bold red]x[link=http" in told
    assert "\\xff\\xfe" in told or "\\udcff\\udcfe" in told


def test_no_token_is_told(mmidd: Run, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hush-0123456789abcdef"
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "MMIDD_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "MMIDD_X",
    ):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("HF_ENDPOINT", f"https://{secret}@host.example")
    for more in ([], ["--json"]):
        said = mmidd("doctor", *more)
        assert secret not in said.out + said.err and "HF_TOKEN" in mmidd("doctor", "--json").out
