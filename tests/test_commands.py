"""Every command and every line of Python that a verb prints does what it says when it is pasted, whatever the paths are."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Place, Said
from place import lay
from rich.console import Console

from mmidd.doctor import raw
from mmidd.options import Options
from mmidd.show import data, shell_word
from mmidd.show.build import _look

Run = Callable[..., Said]
HOSTILE = [
    "a b", "it's", 'say "x"', "$(touch pwned)`id`$HOME", "a;b&c|d>e<f", "back\\slash", "!!bang! #x", "brackets [x] {y,z}",
    "~t*?", "-dash", "tab\tline\nend", "ünï 한", "bold[red]x[/red]",
]  # fmt: skip


def pasted(line: str, folder: Path) -> list[str]:
    """The words of the command that bash calls for a line."""
    stub = folder / "stub"
    stub.mkdir(exist_ok=True)
    (stub / "mmidd").write_text(f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps(sys.argv[1:]))\n")
    (stub / "mmidd").chmod(0o755)
    environ = {**os.environ, "PATH": f"{stub}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environ, cwd=folder, check=True)
    assert not (folder / "pwned").exists()
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_word_is_one_word_to_a_shell_and_can_be_seen(name: str, tmp_path: Path) -> None:
    word = shell_word(f"/data/{name}")
    assert word.isprintable()
    assert pasted(f"mmidd x {word}", tmp_path) == ["x", f"/data/{name}"]


def test_a_word_that_is_no_utf_8_is_still_that_word(tmp_path: Path) -> None:
    assert pasted(f"mmidd {shell_word(os.fsdecode(b'/a/' + bytes([255])))}", tmp_path) == ["/a/\udcff"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_verb_is_called_again_with_the_same_words(name: str, tmp_path: Path) -> None:
    options = Options(
        f"/r/{name}.yaml", f"/d/{name}", work=Path(f"/w/{name}"), settings=(f"name={name}",), only=(name,),
        follow_links=(name,),
    )  # fmt: skip
    assert pasted(options.command("caption"), tmp_path) == [
        "caption", f"/r/{name}.yaml", "--data", f"/d/{name}", "--work", f"/w/{name}", "--set", f"name={name}",
        "--only", name, "--follow-links", name,
    ]  # fmt: skip


@pytest.fixture(scope="module", params=['it\'s a "b" $(x) `y` !z', "plain [x] {y}", "line\nand [red]tag[/red]"])
def hostile(sample_data: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Raw data in a folder with a hostile name; one picture of them is broken."""
    place = Place.whole(tmp_path_factory.mktemp("x") / request.param)
    lay(place, sample_data)
    (place.data / "CelebA/img_align_celeba/000001.jpg").write_bytes(b"no picture")
    return place


def _after(said: Said, words: str) -> str:
    text = (said.out + said.err).replace("\r", "")
    return next(line.partition(words)[2] for line in text.splitlines() if words in line)


def test_what_a_build_prints_at_its_end_works(hostile: Place, tmp_path: Path, mmidd: Run) -> None:
    said = mmidd(*hostile.words("build", "--allow-removals"))
    assert said.code == 3
    assert pasted(_after(said, "what failed: "), tmp_path) == ["failures", str(hostile.work)]
    line = _after(said, "next: ")
    environ = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environ, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    assert ("mmidd.Corpus" in line) is ("[" in str(hostile.out)) and ("num_rows" in done.stdout) is (
        "[" not in str(hostile.out)
    )


def test_what_a_stage_prints_at_its_end_works(hostile: Place, tmp_path: Path, mmidd: Run) -> None:
    for verb, following in (("extract", "caption"), ("caption", "curate"), ("curate", "shard")):
        said = mmidd(*hostile.words(verb))
        assert said.code in (0, 3)
        words = pasted(_after(said, "next: "), tmp_path)
        assert words[:4] == [following, str(hostile.recipe), "--data", str(hostile.data)]
        assert words[4:] == (
            ["--out", "CORPUS", "--work", str(hostile.work)] if following == "shard" else ["--work", str(hostile.work)]
        )


def test_the_command_that_a_stage_wants_done_before_is_whole(hostile: Place, tmp_path: Path, mmidd: Run) -> None:
    said = mmidd(
        "caption", str(hostile.recipe), "--data", str(hostile.data), "--work", str(tmp_path / "other"), "--workers", "0"
    )
    assert said.code == 1
    words = pasted(_after(said, "or `mmidd build`: "), tmp_path)
    assert words == ["extract", str(hostile.recipe), "--data", str(hostile.data), "--work", str(tmp_path / "other")]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_sample_prints_works(name: str, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=500)
    data.sampled(console, name, {"D": 1})
    line = console.file.getvalue().partition("next: ")[2]  # type: ignore[attr-defined]
    assert pasted(line, tmp_path) == ["build", "sample", "--data", name, "--out", "CORPUS"]


@pytest.mark.parametrize("name", [each for each in HOSTILE if each.isprintable()])
def test_what_doctor_advises_works(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    (root / "CelebA/img_align_celeba").mkdir(parents=True)
    for number in range(3):
        (root / f"CelebA/img_align_celeba/{number:06d}.jpg").touch()
    advice = [check.advice for check in raw.root(root / "CelebA") if check.name == "root"]
    words = re.findall(r"--data (.*)", advice[0] or "")[0]
    assert pasted(f"mmidd --data {words}", tmp_path) == ["--data", str(root.resolve())]


def test_a_corpus_that_is_called_as_a_format_is_opened_as_a_folder(tmp_path: Path) -> None:
    assert "load_dataset('./csv')" in _look(Path("csv")) and "'a/b'" in _look(Path("a/b"))
