"""Completion: what a shell is offered, that it is offered quickly and harmlessly, and that real shells take it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

from mmidd.cli import complete
from mmidd.manifest import bundled
from mmidd.recipe import bundled as bundled_recipes

BIN = Path(sys.executable).parent
OTHER = {name: value for name, value in os.environ.items() if not name.startswith(("_TYPER", "COMP_", "MMIDD"))}
DATASETS = {name if " " not in name else each.slug for name, each in bundled().items()}


def _offered(shell: str, line: str, cwd: Path, **more: str) -> list[str]:
    """What is offered for the last word of a line, asked as the shell's script asks."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environ = {**OTHER, **asked, "_MMIDD_COMPLETE": f"complete_{shell}", **more}
    done = subprocess.run([BIN / "mmidd"], env=environ, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    if shell != "zsh":
        return [each.split("\t")[0] for each in done.stdout.split("\n") if each]
    return re.findall(r'^(?:_arguments .*\(\()?"([^"]+)"', done.stdout, re.MULTILINE)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with recipes, other files, and names that would do harm in a shell."""
    for name in ("mine.yaml", "my.yml", "mixed.txt", ".hidden.yaml", "$(touch x).yaml", "a b.yaml", "e;x.yaml", "n\nl.yaml"):
        (tmp_path / name).touch()
    for name in ("minor", "deep/er", "only/folders"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "deep" / "mine.yaml").touch()
    (tmp_path / "`touch y`").mkdir()
    return tmp_path


RECIPES = {"sample", "ff++", "lnclip", "lnclip-test", "mmi-dd", "mmi-dd-test", "ocim"} | {
    f"oulu-p{number}{part}" for number in (1, 2) for part in ("", "-test")
}
LINES: list[tuple[str, set[str]]] = [
    ("mmidd bu", {"build"}),
    ("mmidd doc", {"doctor"}),
    ("mmidd build ", {*RECIPES, "mine.yaml", "my.yml", "minor/", "deep/", "only/"}),
    ("mmidd plan m", {"mmi-dd", "mmi-dd-test", "mine.yaml", "my.yml", "minor/"}),
    ("mmidd build ff", {"ff++"}),
    ("mmidd build mine", {"mine.yaml"}),
    ("mmidd build mino", set()),
    ("mmidd build deep/", {"deep/mine.yaml", "deep/er/"}),
    ("mmidd build only/", set()),
    ("mmidd build absent/", set()),
    ("mmidd build .h", {".hidden.yaml"}),
    ("mmidd gc WORK sam", {"sample"}),
    ("mmidd datasets Face", {"FaceForensics++"}),
    ("mmidd datasets face", {"faceforensics"}),
    ("mmidd datasets dfdc", {"dfdc", "dfdcp"}),
    ("mmidd datasets DFDC", {"DFDC"}),
    ("mmidd datasets ", DATASETS),
    ("mmidd build ff++ --only FaceF", {"FaceForensics++"}),
    ("mmidd audit x --only ", {"captions"}),
    ("mmidd export x --to ", {"deepfakebench", "imagefolder", "labels", "webdataset", "workbench"}),
    ("mmidd export x --to web", {"webdataset"}),
    ("mmidd detectors gen", {"gend"}),
    ("mmidd export x --dataset FF", {"FFHQ", "FFIW-10K"}),
    ("mmidd build ff++ --device ", {"auto", "cpu", "cuda"}),
    ("mmidd build ff++ --engine s", {"slurm"}),
    ("mmidd doctor --j", {"--json"}),
    ("mmidd train gen", {"gend"}),
    ("mmidd train gend x --preset ", {"paper", "small", "tiny"}),
    ("mmidd train gend x --out ", set()),
    ("mmidd build ff++ --data ", set()),
    ("mmidd build ff++ --out mi", set()),
    ("mmidd status ", set()),
    ("mmidd doctor --work ", set()),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_what_is_offered_for_a_word(line: str, offered: set[str], here: Path) -> None:
    assert set(_offered("bash", line, here)) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(shell: str, here: Path) -> None:
    assert set(_offered(shell, "mmidd build deep/", here)) == {"deep/mine.yaml", "deep/er/"}
    assert set(_offered(shell, "mmidd datasets Face", here)) == {"FaceForensics++"}


def test_names_are_those_of_the_bundled_recipes_and_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete.recipes("") == sorted(bundled_recipes())
    assert set(complete.datasets("")) == DATASETS
    (tmp_path / "mine.yaml").write_text("slug: mine\nname: 'My Set'\n")
    (tmp_path / "bad.yaml").write_text("name: x$(id)\nslug: `id`\n")
    (tmp_path / "other.yaml").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path))
    assert set(complete.datasets("")) == DATASETS | {"mine"}
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path / "absent"))
    assert set(complete.datasets("")) == DATASETS


@pytest.mark.parametrize(
    "line", ["mmidd build ", "mmidd datasets f", "mmidd ", "mmidd build x --device ", "mmidd detectors "]
)
def test_a_word_is_completed_without_loading_anything_heavy(line: str, here: Path) -> None:
    code = (
        "import sys\nfrom mmidd import cli\ntry:\n    cli.run([])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'datasets', 'pyarrow', 'cv2', 'av', 'numpy', 'yaml', 'mmidd.recipe', 'mmidd.manifest'}\n"
        "print(len(sys.modules), *(heavy & set(sys.modules)), file=sys.stderr)"
    )
    words = line.split(" ")
    environ = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_MMIDD_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", code], env=OTHER | environ, cwd=here, capture_output=True, text=True)
    modules, *heavy = done.stderr.split()
    assert done.stdout.strip() and heavy == [] and int(modules) < 700


@pytest.mark.parametrize("package", ["shellingham", "rich"])
def test_a_package_that_the_command_line_lacks_is_told_in_words_and_not_at_every_tab(package: str) -> None:
    code = f"import sys\nsys.modules[{package!r}] = None\nfrom mmidd.__main__ import main\nmain()"

    def run(*words: str, **more: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, "-c", code, *words], env=OTHER | more, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    told = f"mmidd: the package {package} is not installed; run: pip install {package}\n"
    assert run("--install-completion") == (1, "", told)
    assert run(_MMIDD_COMPLETE="complete_bash", COMP_WORDS="mmidd ", COMP_CWORD="1") == (1, "", "")


def test_a_shell_that_cannot_be_told_is_told_how_to_do_without(
    mmidd: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shellingham

    def unknown() -> None:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", unknown)
    for word in complete.OPTIONS:
        said = mmidd(word)
        assert said.code == 1 and "_MMIDD_COMPLETE=source_bash mmidd" in said.err


SHELLS = [
    ("bash", ["--noprofile"], ".bashrc"),
    ("zsh", ["-o", "NO_GLOBAL_RCS"], ".zshrc"),
]


@pytest.mark.parametrize(("shell", "options", "rc"), SHELLS)
def test_a_real_shell_completes_on_tab_after_install(shell: str, options: list[str], rc: str, here: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    home = here / "home"
    home.mkdir()
    environ = {**OTHER, "HOME": str(home), "PATH": f"{BIN}:{OTHER['PATH']}", "TERM": "dumb", "PS1": "READY> "}
    environ.pop("ZDOTDIR", None)
    done = subprocess.run(
        [program, "-c", "mmidd --install-completion; true"],
        env=environ,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"{shell} completion installed" in done.stdout, done.stdout + done.stderr
    assert (home / rc).is_file()
    with (home / rc).open("a") as more:
        more.write("\nPS1='READY> '\n")
    with _Terminal([program, *options, "-i"], environ, here) as terminal:
        terminal.wait("READY> ")
        if shell == "zsh":  # typer's script: the first Tab only loads it
            terminal.type("mmidd doct\t")
            terminal.wait("\a")
            terminal.type("\x15")
        for typed, shown in (
            ("mmidd doct", "mmidd doctor "),
            ("mmidd datasets FaceF", "FaceForensics++ "),
            ("mmidd build deep/mi", "deep/mine.yaml "),
            ("mmidd status deep/e", "deep/er/"),
        ):
            terminal.type(f"{typed}\t")
            terminal.wait(shown)
            terminal.type("\x15")
    assert not (here / "x").exists() and not (here / "y").exists()


class _Terminal:
    """A program on a terminal of its own, and what it has shown since the last look."""

    def __init__(self, words: list[str], environ: dict[str, str], cwd: Path) -> None:
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            words, stdin=follower, stdout=follower, stderr=follower, env=environ, cwd=cwd, start_new_session=True
        )
        os.close(follower)

    def __enter__(self) -> _Terminal:
        return self

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def wait(self, wanted: str, seconds: float = 30.0) -> None:
        """Read until `wanted` was shown; what is before it is forgotten."""
        shown, until = "", time.monotonic() + seconds
        while wanted not in shown:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.leader], [], [], left)[0], f"{wanted!r} is not in {shown!r}"
            shown += os.read(self.leader, 4096).decode(errors="replace")

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.leader)
