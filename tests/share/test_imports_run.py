"""What every import promises: the same bytes each time, nothing overwritten, no half dataset; and how a recipe finds it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

import mmidd as api
from mmidd.engine.files import sha256_file
from mmidd.errors import DataError, MmiddError
from mmidd.manifest import bundled
from mmidd.recipe import Recipe
from mmidd.share.imports.run import Choices, Imported, import_dataset

from .lists import bench, picture, wrote

Run = Callable[..., Said]


def _import(root: Path, out: str = "data/mine", name: str = "Mine") -> Imported:
    return import_dataset("deepfakebench", [root / "list.json"], root / "rgb", root / out, Choices(name))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of DeepfakeBench with its list."""
    wrote(tmp_path / "list.json", bench(tmp_path / "rgb"))
    return tmp_path


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_the_same_lists_give_the_same_bytes_and_a_second_time_changes_nothing(root: Path) -> None:
    first = _import(root)
    second = _import(root, "other/mine")
    assert _files(root / "data/mine") == _files(root / "other/mine") and first.changed and second.changed
    before = {path: path.stat().st_mtime_ns for path in (root / "data").rglob("*")}
    again = _import(root)
    assert not again.changed and {**again.document(), "changed": True} == first.document()
    assert {path: path.stat().st_mtime_ns for path in (root / "data").rglob("*")} == before


def _foreign(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("years of work")


def _file(out: Path) -> None:
    out.parent.mkdir(parents=True)
    out.write_text("years of work")


def _link(out: Path) -> None:
    _foreign(out.with_name("elsewhere"))
    out.symlink_to("elsewhere")


def _left_by_others(out: Path) -> None:
    _foreign(out.with_name(f".{out.name}.importing"))


def _pipe(out: Path) -> None:
    _foreign(out)
    os.mkfifo(out / "import.json")


@pytest.mark.parametrize("there", [_foreign, _file, _link, _left_by_others, _pipe])
def test_what_is_there_is_left_alone(root: Path, there: Callable[[Path], None]) -> None:
    there(root / "data/mine")
    before = {path: path.is_file() and path.read_bytes() for path in (root / "data").rglob("*")}
    with pytest.raises(DataError, match=r"nothing was touched|is in the way"):
        _import(root)
    assert {p: p.is_file() and p.read_bytes() for p in (root / "data").rglob("*") if ".lock" not in p.name} == before


def test_another_import_and_a_damaged_one_are_refused(root: Path) -> None:
    _import(root)
    with pytest.raises(DataError, match="an import of other lists, files or choices"):
        _import(root, name="Another")
    about = root / "data/mine/import.json"
    written = about.read_text()
    for changed in (written.replace('"media"', '"medla"'), written.replace('"examples"', '"exemples"')):
        about.write_text(changed)
        with pytest.raises(DataError, match=r"import\.json is not as it was written"):
            _import(root)
    about.write_text(written)
    frame = next((root / "data/mine/clips").rglob("010.png"))
    frame.write_bytes(b"x")
    with pytest.raises(DataError, match="is not as it was imported"):
        _import(root)
    frame.unlink()
    with pytest.raises(DataError, match="is not whole"):
        _import(root)


KILL = """
import os, signal, sys
from mmidd.engine import faults
from mmidd.share.imports.run import Choices, import_dataset
count = 0
def hear(point, *about):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
import mmidd.share.imports.copying as copying
import mmidd.share.imports.run as run
copying.fault = run.fault = hear
root = sys.argv[1]
import_dataset("deepfakebench", [root + "/list.json"], root + "/rgb", root + "/data/mine", Choices("Mine"))
"""


@pytest.mark.parametrize("moment", [1, 8, 16])
def test_a_killed_import_run_again_gives_the_bytes_of_an_uninterrupted_one(root: Path, moment: int) -> None:
    (root / "kill.py").write_text(KILL)
    done = subprocess.run([sys.executable, "kill.py", str(root), str(moment)], cwd=root, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL and not (root / "data/mine").exists()
    _import(root)
    _import(root, "other/mine")
    assert _files(root / "data/mine") == _files(root / "other/mine")
    assert not list((root / "data").glob(".*importing"))


def test_a_recipe_finds_its_manifests_wherever_the_process_is_and_publishes_no_path(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _import(root)
    monkeypatch.chdir("/")
    recipe = Recipe.read(str(root / "data/mine/recipe.yaml"))
    assert recipe.datasets[0].name == "Mine" and "Mine" in bundled()
    assert str(root) not in str(recipe.published()) and "manifests" not in recipe.published()
    assert recipe.changed(["seed=1"]).manifests == recipe.manifests
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_status_and_failures_need_the_work_folder_alone(root: Path) -> None:
    _import(root)
    api.build(str(root / "data/mine/recipe.yaml"), data=root / "data", out=root / "corpus", workers=0)
    shutil.move(root / "data", root / "gone")
    code = (
        "import sys, mmidd; project = mmidd.Project.of(sys.argv[1]); status = project.status();"
        "print(status.document()['media'], len(project.failures().entries), project.gc(dry_run=True).bytes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root / "corpus.work")], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'ok': 4" in done.stdout


def test_two_datasets_in_one_recipe_and_two_of_one_name_in_one_process(root: Path) -> None:
    (root / "t.csv").write_text("path,label,method,type\na.png,fake,Novel,FE\n")
    for seed, name in enumerate(("One", "Two")):
        picture(root / "pictures/a.png", seed)
        import_dataset("csv", [root / "t.csv"], root / "pictures", root / "data" / name, Choices(name, faces="whole"))
    text = "name: both\nmanifests: [data/One/manifests, data/Two/manifests]\ndatasets: [One, Two]\n"
    (root / "both.yaml").write_text(text + "captioner: none\n")
    report = api.build(str(root / "both.yaml"), data=root / "data", out=root / "corpus", workers=0)
    assert report.built.media["ok"] == 2
    import_dataset("csv", [root / "t.csv"], root / "pictures", root / "again/One", Choices("One", faces="keep"))
    assert Recipe.read(str(root / "again/One/recipe.yaml")).datasets[0].name == "One"
    assert bundled()["One"].rules[0].faces == "keep"
    assert Recipe.read(str(root / "data/One/recipe.yaml")).datasets and bundled()["One"].rules[0].faces == "whole"


@pytest.mark.parametrize(
    ("folder", "told"),
    [("nowhere", "cannot read the manifests in"), (".", "no manifest (.yaml) lies in"), ("bad", "bad/x.yaml:1")],
)
def test_a_folder_of_manifests_that_cannot_be_used_is_an_error_of_the_recipe(tmp_path: Path, folder: str, told: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/x.yaml").write_text("nme: x\n")
    (tmp_path / "r.yml").write_text(f"name: r\nmanifests: {folder}\ndatasets: [CelebA]\n")
    with pytest.raises(MmiddError) as caught:
        Recipe.read(str(tmp_path / "r.yml"))
    assert told in str(caught.value) and "r.yml:2: key 'manifests'" in str(caught.value)
    assert Recipe.read("sample").name == "sample"
