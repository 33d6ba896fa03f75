"""Variables of the environment: what they do is told, what they hold only where it cannot be secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.doctor.environment import environment

from .conftest import by_name

SECRET = "hush-0123456789"
VARIABLES = [
    ("MMIDD_MODELS", "/a", "ok", "/a"),
    ("MMIDD_API_KEY", SECRET, "ok", "is set"),
    ("MMIDD_API_KEY", "", "ok", "is set to nothing"),
    ("MMIDD_CACHE_GB", "12.5", "ok", "12.5"),
    ("MMIDD_CACHE_GB", "much", "problem", "no size in GB"),
    ("MMIDD_CACHE_GB", "-1", "problem", "no size in GB"),
    ("MMIDD_CACHE_GB", "nan", "problem", "no size in GB"),
    ("MMIDD_CACHE", "/a", "ok", "/a"),
    ("MMIDD_CACHE", "a", "warning", "relative path"),
    ("MMIDD_FAULT", "x", "warning", "own tests"),
    ("MMIDD_MODEL", SECRET, "warning", "nothing reads it"),
    ("MMIDD_QQQQQQQQQQQ", SECRET, "warning", "nothing reads it"),
    ("MMIDD_MANIFESTS", "/absent", "problem", "cannot be read"),
    ("HF_ENDPOINT", f"https://user:{SECRET}@hub.example:8443/x?sig={SECRET}", "note", "the Hub is https://hub.example:8443"),
    ("HF_ENDPOINT", SECRET, "problem", "no address"),
    ("HF_ENDPOINT", f"https://[{SECRET}", "problem", "no address"),
    ("HF_HUB_OFFLINE", "1", "note", "nothing is fetched"),
]


@pytest.mark.parametrize(("name", "value", "state", "told"), VARIABLES)
def test_a_variable_is_told_without_what_may_be_secret(
    name: str, value: str, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)  # the manifests look for themselves
    found = by_name(environment({name: value, "HF_HOME": str(tmp_path)}))
    assert found[name].state == state and told in found[name].found
    assert SECRET not in str(found)


def test_a_misspelt_variable_has_its_neighbour_named() -> None:
    assert by_name(environment({"MMIDD_MODEL": "x"}))["MMIDD_MODEL"].advice == "did you mean MMIDD_MODELS?"


def test_what_is_not_set_is_not_told(tmp_path: Path) -> None:
    found = by_name(environment({"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}))
    assert set(found) == {"MMIDD_*", "token of the Hub"} and {each.state for each in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("name", "told"), [("HF_TOKEN", "HF_TOKEN"), ("HUGGING_FACE_HUB_TOKEN", "HUGGING"), (None, "a file")]
)
def test_of_a_token_only_whether_there_is_one(name: str | None, told: str, tmp_path: Path) -> None:
    assert by_name(environment({"HF_HOME": str(tmp_path)}))["token of the Hub"].found == "none"
    environ = {"HF_HOME": str(tmp_path)}
    if name is None:
        (tmp_path / "token").write_text(SECRET)
    else:
        environ[name] = SECRET
    found = by_name(environment(environ))["token of the Hub"].found
    assert found.startswith("is set") and told in found and SECRET not in found


def test_manifests_of_ones_own_are_counted_and_a_broken_one_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path))
    well = by_name(environment({"MMIDD_MANIFESTS": str(tmp_path)}))["MMIDD_MANIFESTS"]
    assert well.state == "ok" and "adds 0 datasets" in well.found
    broken = tmp_path / "more"
    broken.mkdir()
    (broken / "x.yaml").write_text("name: [")
    monkeypatch.setenv("MMIDD_MANIFESTS", str(broken))
    found = by_name(environment({"MMIDD_MANIFESTS": str(broken)}))["MMIDD_MANIFESTS"]
    assert found.state == "problem" and "x.yaml" in found.found
