"""The documents: every link leads somewhere, every quoted command is one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from conftest import Build
from corpus.served import serve
from share.lists import MADE, bench, clip, entry, picture, wrote

from mmidd import cli
from mmidd.cli import app
from mmidd.cli.complete import OPTIONS
from mmidd.share.export.protocol import EXPORTERS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"^(\.\.\.|…)$")


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = (re.sub(r"[`*]", "", found) for found in _HEADING.findall(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for link in _LINK.findall(_without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists() and path.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), f"{page.name}: {link}"


def _commands(text: str) -> Iterator[list[str]]:
    """What follows `mmidd` in code blocks and in code spans, up to a comment or the end of the command."""
    blocks = [body.replace("\\\n", " ") for _, body in _FENCE.findall(text)]
    spans = re.findall(r"`(mmidd [^`\n]+)`", _FENCE.sub("", text))
    for line in [line for block in blocks for line in block.splitlines()] + spans:
        found = re.match(r"^\s*(?:\$ )?(?:\.venv/bin/)?mmidd (.+)$", line)
        if found:
            words = shlex.split(found[1], comments=True)
            end = next((place for place, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>")), len(words))
            yield words[:end]


def test_every_example_of_reading_a_corpus_runs(built: Build, tmp_path: Path) -> None:
    """All of them in one process and in order, as a reader types them; commands of the page between them."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "corpus").symlink_to(built.out)
    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    found = [
        (block, shlex.split(words))
        for block, words in re.findall(r"^```python\n(.*?)^```|^    mmidd ([^\n]+)$", text, re.M | re.S)
    ]
    steps = [block or f"from mmidd import cli; assert cli.run({words}) == 0" for block, words in found]
    (tmp_path / "page.py").write_text("\n".join(steps))
    assert len(steps) >= 17 and {words[3] for block, words in found if not block} == set(EXPORTERS.names())
    with serve(built.out) as hub:
        place = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        command = [sys.executable, "page.py"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **place})
    assert done.returncode == 0, done.stderr


def test_every_example_of_training_runs(built: Build, tmp_path: Path) -> None:
    """All of them in one script and in order; and its detector is as short as the page says."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "corpus").symlink_to(built.out)
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    blocks = [body for kind, body in _FENCE.findall(text) if kind == "python"]
    assert len(blocks) >= 8
    detector = next(body for body in blocks if "mobilenet" in body)
    assert sum(1 for line in detector.splitlines() if line and "import" not in line) <= 25
    lines = "".join(f"    {line}\n" for line in "\n".join(blocks).splitlines())
    (tmp_path / "page.py").write_text(f"def page():\n{lines}\n\nif __name__ == '__main__':\n    page()\n")
    done = subprocess.run([sys.executable, "page.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_example_of_importing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the page in their order, then its Python, on lists and pictures of the names that the page has."""
    text = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")
    frames = {
        name: clip(tmp_path / "rgb", f"UADFV/{name}/frames/0001", seed=n) for n, name in enumerate(("real", "fake"), 7)
    }
    labels = {f"UADFV_{name.title()}": {"test": {"1": entry("", found)}} for name, found in frames.items()}
    wrote(tmp_path / "UADFV.json", {"UADFV": labels})
    complete = bench(tmp_path / "rgb")
    clip(tmp_path / "rgb", f"{MADE}/Deepfakes/c23/frames/000_003", (99,), seed=9)
    wrote(tmp_path / "FaceForensics++.json", complete)
    table = next(body for kind, body in _FENCE.findall(text) if kind == "text")
    wrote(tmp_path / "labels.csv", table)
    for seed, name in enumerate(("real/ann.png", "fake/ann.png")):
        picture(tmp_path / "pictures" / name, seed)
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("    mmidd ")]
    assert [cli.run(words) for words in commands] == [0, 0, 0]
    assert (tmp_path / "corpus/mmidd.json").is_file()
    (block,) = [body for kind, body in _FENCE.findall(text) if kind == "python"]
    exec(compile(block, "importing.md", "exec"), {})


def test_every_example_of_the_api_runs(tmp_path: Path) -> None:
    """All of them in one script and in order; what the page guards runs too, with worker processes."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = [body for kind, body in _FENCE.findall(text) if kind == "python"]
    guarded = [body for body in blocks if body.startswith("if __name__")]
    plain = [body for body in blocks if body not in guarded]
    lines = "".join(f"    {line}\n" for line in "\n".join(plain[1:]).splitlines())
    head = "".join(f"    {line}\n" for line in plain[0].splitlines())
    page = f"import mmidd\n\n\ndef page():\n{head}{lines}\n\nif __name__ == '__main__':\n    page()\n\n" + "\n".join(guarded)
    (tmp_path / "page.py").write_text(page)
    assert len(blocks) >= 9 and len(guarded) == 1
    done = subprocess.run([sys.executable, "page.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_commands_are_found_in_blocks_and_spans() -> None:
    text = "Run `mmidd plan x` or\n```sh\n$ mmidd build a \\\n  --out b  # so\nls\nmmidd verify c | less\n```\n"
    assert list(_commands(text)) == [["build", "a", "--out", "b"], ["verify", "c"], ["plan", "x"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_quoted_command_is_one_with_options_that_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    verbs = group.commands  # type: ignore[attr-defined]
    for words in _commands(page.read_text(encoding="utf-8")):
        if words[0].startswith("-"):
            assert words[0] in ("--help", "--version", *OPTIONS), f"{page.name}: mmidd {' '.join(words)}"
            continue
        assert words[0] in verbs, f"{page.name}: mmidd {' '.join(words)}"
        known = {option for parameter in verbs[words[0]].params for option in parameter.opts} | {"--help"}
        used = {word.split("=")[0] for word in words[1:] if word.startswith("-") and not _PLACEHOLDER.match(word)}
        assert used <= known, f"{page.name}: mmidd {' '.join(words)}"
