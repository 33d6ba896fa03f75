"""What is said of packages, by metadata that lie in a folder of the test's."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from mmidd import __version__
from mmidd.doctor import packages

from .conftest import Install, by_name

REQUIRES = "\n".join(
    [
        "Requires-Python: >=3.11",
        *(f"Provides-Extra: {name}" for name in ("one", "two", "far", "loop", "odd")),
        *(f"Requires-Dist: {line}" for line in (
            "thing<3,>=2", "gone>=1", "hollow", "other; sys_platform == 'nowhere'", "onnxruntime>=1.20",
            'extra-thing>=5; extra == "one"', 'mmidd[one]; extra == "two"', 'gone-too; extra == "two"',
            'mmidd[two]; extra == "far"',
            'mmidd[loop,one]; extra == "loop"', 'thing==1; extra == "odd"',
        )),
    ]
)  # fmt: skip


def _fake(install: Install, thing: str | None = "2.5") -> None:
    install("mmidd", __version__, REQUIRES)
    install("thing", thing, code="")
    install("hollow", "1.0")
    install("extra-thing", "5.0")


def test_what_is_required_is_there_in_its_range_with_its_module(install: Install) -> None:
    _fake(install)
    found = by_name(packages.requirements())
    assert "other" not in found
    assert (found["thing"].state, found["thing"].found) == ("ok", "2.5")
    assert (found["gone"].state, found["gone"].found, found["gone"].advice) == (
        "problem", "not installed", "pip install 'gone>=1'",
    )  # fmt: skip
    assert found["hollow"].state == "problem" and "its module is not there" in found["hollow"].found
    assert "--force-reinstall" in (found["hollow"].advice or "")
    assert found["onnxruntime"].state == "ok"


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("3.1", "3.1, but <3,>=2 is needed"),
        ("1", "is needed"),
        ("not-a-version", "is needed"),
        (None, "metadata are broken"),
    ],
)
def test_a_wrong_version_or_broken_metadata_are_a_problem(install: Install, version: str | None, told: str) -> None:
    _fake(install, version)
    thing = by_name(packages.requirements())["thing"]
    assert thing.state == "problem" and told in thing.found and "thing<3,>=2" in (thing.advice or "")


def test_without_packaging_presence_is_still_told_and_that_ranges_are_not(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(install, "9")
    packages._packaging.cache_clear()
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    try:
        found = by_name(packages.requirements())
        assert found["packaging"].state == "note" and found["thing"].state == "ok" and found["gone"].state == "problem"
        extras = by_name(packages.extras())
        assert (extras["one"].state, extras["two"].found) == ("ok", "lacks gone-too")
    finally:
        packages._packaging.cache_clear()


def test_extras_are_complete_or_say_what_they_lack_and_follow_each_other(install: Install) -> None:
    _fake(install)
    found = by_name(packages.extras())
    assert [(name, each.state, each.found) for name, each in found.items()] == [
        ("one", "ok", "complete"),
        ("two", "note", "lacks gone-too"),
        ("far", "note", "lacks gone-too"),
        ("loop", "ok", "complete"),
        ("odd", "warning", "thing is 2.5, but ==1 is needed"),
    ]
    assert found["two"].advice == "pip install 'mmidd[two]'"


def test_extras_of_mmidd_itself_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = by_name(packages.extras())
    assert {"faces", "caption", "train", "ray", "remote", "dev"} <= set(found)
    assert found["faces"].state == "ok"


CLASHES: list[tuple[dict[str, str], str, str, str]] = [
    ({"opencv-python": "4.10"}, "one OpenCV", "warning", "opencv-python-headless and opencv-python overwrite"),
    ({}, "one OpenCV", "ok", "one package brings it (opencv-python-headless)"),
    ({"onnxruntime-gpu": "1.20"}, "one onnxruntime", "warning", "onnxruntime and onnxruntime-gpu overwrite"),
    ({}, "one onnxruntime", "ok", "one package"),
    ({"facenet-pytorch": "2.6.0"}, "facenet-pytorch", "warning", "2.6.0: only 2.5.3"),
]


@pytest.mark.parametrize(("there", "name", "state", "told"), CLASHES)
def test_packages_that_overwrite_each_other_are_told(
    install: Install, there: dict[str, str], name: str, state: str, told: str
) -> None:
    for package, version in there.items():
        install(package, version)
    found = by_name(packages.clashes())[name]
    assert found.state == state and told in found.found
    assert "onnxruntime-gpu" not in there or "then pip install onnxruntime-gpu" in (found.advice or "")
    assert "facenet-pytorch" in there or "facenet-pytorch" not in by_name(packages.clashes())


def test_the_gpu_package_of_onnxruntime_counts_in_its_place(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(install)
    install("onnxruntime-gpu", "1.30")
    real = metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = by_name(packages.requirements())["onnxruntime"]
    assert (found.state, found.found) == ("ok", "onnxruntime-gpu 1.30 in its place")


def test_compiled_packages_load_and_pyav_says_which_ffmpeg_it_carries() -> None:
    found = by_name(packages.imports())
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(
        ("FFmpeg in PyAV", "import cv2", "import numpy", "import pyarrow"), "ok"
    )
    assert "libavcodec " in found["FFmpeg in PyAV"].found


def test_a_package_that_does_not_load_is_a_problem_and_no_traceback(install: Install) -> None:
    install("opencv-python-headless", "4.10", module="cv2", code="raise ImportError('libGL.so.1: no such file')")
    install("av", "18", code="import os; os.abort()")
    found = by_name(packages.imports())
    assert found["import cv2"].state == "problem" and "ImportError: libGL.so.1" in found["import cv2"].found
    assert "opencv-python-headless" in (found["import cv2"].advice or "")
    assert found["import av"].state == "problem" and "signal 6" in found["import av"].found
    assert found["import numpy"].state == "ok"


ORIGINS = [
    ('{"url": "file:///a%20b/c", "dir_info": {"editable": true}}', "/a b/c (editable)"),
    ('{"url": "https://user:secret@host.example/x.whl?sig=secret"}', "https://host.example/x.whl"),
    ("{", None), ("[]", None), ('{"url": 3}', None),
]  # fmt: skip


@pytest.mark.parametrize(("note", "told"), ORIGINS)
def test_where_mmidd_comes_from_is_told_without_secrets(
    install: Install, tmp_path: Path, note: str, told: str | None
) -> None:
    install("mmidd", __version__)
    (tmp_path / "site" / f"mmidd-{__version__}.dist-info" / "direct_url.json").write_text(note)
    (found,) = packages.installation()
    assert found.state == "ok" and found.found.startswith(__version__) and "secret" not in found.found
    assert ("installed from" in found.found) == (told is not None) and (told or "") in found.found


def test_metadata_of_another_version_are_a_warning(install: Install) -> None:
    install("mmidd", "0.0.1")
    (found,) = packages.installation()
    assert found.state == "warning" and "its metadata say 0.0.1" in found.found


def test_mmidd_that_is_not_installed_is_a_warning_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    for name in ("distribution", "metadata", "requires", "version"):
        monkeypatch.setattr(metadata, name, absent)
    assert [check.state for check in packages.installation()] == ["warning"]
    assert [*packages.requirements(), *packages.extras()] == []
    assert [check.state for check in packages.interpreter()] == ["ok"]


@pytest.mark.parametrize(
    ("patch", "state"),
    [
        (lambda m: None, "ok"),
        (lambda m: m.setattr(platform, "python_version", lambda: "3.9.1"), "problem"),
        (lambda m: m.setattr(sys, "platform", "darwin"), "warning"),
    ],
)
def test_python_and_platform(
    patch: Callable[[pytest.MonkeyPatch], None], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(monkeypatch)
    (found,) = packages.interpreter()
    assert found.state == state
