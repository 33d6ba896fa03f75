"""The public API: what `import mmidd` gives, and that results say what the command line prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from conftest import Place, Said

import mmidd as api
from mmidd.errors import UsageError, WorkError
from mmidd.options import Options
from mmidd.project import Project

Run = Callable[..., Said]


def test_the_public_names_are_there_stay_the_same_and_load_nothing_before_they_are_used() -> None:
    code = (
        "import sys, mmidd; before = len(sys.modules); dir(mmidd)\n"
        "heavy = {'torch', 'datasets', 'pyarrow', 'numpy', 'cv2', 'av', 'typer', 'pydantic'} & set(sys.modules)\n"
        "once = {name: getattr(mmidd, name) for name in mmidd.__all__}\n"
        "again = all(getattr(mmidd, name) is each for name, each in once.items())\n"
        "print(len(heavy), again, sorted(mmidd.__all__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = ["Corpus", "MmiddError", "Options", "Project", "Recipe", "ablate", "build", "compare", "datasets", "detect"]
    names += ["evaluate", "faithful", "open", "publish", "rehydrate", "sample", "score", "train", "validate"]
    assert done.stdout.strip() == f"0 True {names}"
    with pytest.raises(AttributeError, match="no attribute 'bild'"):
        _ = api.bild


def _project(place: Place, **more: Any) -> Project:
    return api.open(str(place.recipe), data=place.data, out=place.out, workers=0, **more)


def test_a_result_says_what_the_command_prints(place: Place, mmidd: Run) -> None:
    project = _project(place)
    results = {"plan": project.plan(), "status": project.status(), "failures": project.failures()}
    for verb, result in results.items():
        words = place.words("plan") if verb == "plan" else [verb, str(place.work)]
        assert mmidd(*words).out.split() == str(result).split()
        assert _without_free_space(mmidd(*words, "--json").document) == _without_free_space(_as_json(result.document()))
        assert result._repr_html_().startswith("<pre>")


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _without_free_space(value: Any) -> Any:
    """It changes while the test runs."""
    if isinstance(value, list):
        return [_without_free_space(each) for each in value]
    return (
        {key: _without_free_space(each) for key, each in value.items() if key != "free"}
        if isinstance(value, dict)
        else value
    )


def test_a_build_reports_what_there_is_and_does_nothing_twice(place: Place) -> None:
    report = _project(place).build()
    assert not report.built.changed and not report.failed
    document = report.document()
    assert document["samples"] == report.built.samples == sum(each["samples"] for each in document["counts"])
    assert document["media"] == {"ok": 10, "dropped": 1, "failed": 0} and "samples" in str(report)


def test_single_stages_one_after_the_other_make_the_corpus(place: Place, tmp_path: Path) -> None:
    project = api.open(
        str(place.recipe), data=place.data, out=tmp_path / "corpus", work=tmp_path / "work", only="CelebA", workers=0
    )
    with pytest.raises(WorkError, match="extract is not up to date"):
        project.caption()
    assert project.index().document()["selected"] == project.extract().counts["ok"] == 7
    with pytest.raises(WorkError, match="caption is not up to date"):
        project.shard()
    assert project.caption().counts["ok"] == 7 and sum(project.curate().kept.values()) == 6
    assert project.shard().built.changed and project.plan().complete
    assert len(api.Corpus(tmp_path / "corpus")) == 6


def test_options_take_what_people_write_and_name_what_lacks() -> None:
    options = Options("sample", "data", out="x/corpus", settings={"seed": 1}, only=["CelebA"])  # type: ignore[arg-type]
    assert (options.out, options.work_folder) == (Path("x/corpus"), Path("x/corpus.work"))
    assert (options.settings, options.only, options.read_recipe().seed) == (("seed=1",), ("CelebA",), 1)
    with pytest.raises(UsageError, match="neither a corpus nor a work folder"):
        _ = Options("sample", "data").work_folder
    with pytest.raises(UsageError, match="no corpus is named"):
        Project(Options("sample", "data", work=Path("w"))).build()


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "gpu"}, {"engine": "spark"}, {"workers": -1}, {"workers": "2"}, {"worker_memory": 0}, {"data": None},
        {"worker_memory": "x"},
    ],
)  # fmt: skip
def test_what_the_command_line_refuses_python_refuses_as_well(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Options(**{"recipe": "sample", "data": "data", **wrong})


def test_a_result_is_one_line_in_a_session(place: Place) -> None:
    project = _project(place)
    for result in (project.plan(), project.status(), project.failures(), project.build(), project.index()):
        assert len(repr(result)) < 300 and "\n" not in repr(result)


def test_what_a_build_is_told_is_remembered_or_is_said_not_to_be(place: Place) -> None:
    forgotten = {
        "settings",
        "exclude",
        "require_all",
        "allow_removals",
    }  # in the recipe, in the takedown list, of one command
    told = Options(
        str(place.recipe),
        str(place.data),
        place.out,
        place.work,
        only=("CelebA",),
        workers=0,
        worker_memory=None,
        device="cpu",
    )
    Project(told).index()
    again = Project.of(place.work).options
    for each in fields(Options):
        if each.name not in forgotten | {"recipe"}:
            assert getattr(again, each.name) == getattr(told, each.name), each.name


def test_a_project_of_a_work_folder_is_its_last_build(place: Place) -> None:
    again = Project.of(place.work)
    assert again.options.out == place.out and again.recipe.name == "small"
    assert again.status().plan.complete and str(place.work) in repr(again)
