from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from mmidd.yamlfile import MAX_BYTES, Document, YamlError, explain, load, nearest

SCALARS = [
    ("no", "no"),
    ("yes", "yes"),
    ("on", "on"),
    ("Off", "Off"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("12:30", "12:30"),
    ("2019-01-01", "2019-01-01"),
    ("1_000", "1_000"),
    ("42", 42),
    ("-7", -7),
    ("0x1F", 31),
    ("0o17", 15),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    (".5", 0.5),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("9" * 5000, "9" * 5000),
    ("'42'", "42"),
    ('"true"', "true"),
    ("id0", "id0"),
]


@pytest.mark.parametrize(("written", "value"), SCALARS)
def test_scalars_follow_the_core_schema_and_nothing_else(written: str, value: Any) -> None:
    found = load(f"key: {written}", "a.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("key", ["001", "no", "1.5", "2019-01-01", "true", "<<"])
def test_keys_are_the_written_text(key: str) -> None:
    assert load(f"{key}: 1", "a.yaml").data == {key: 1}


REFUSED = [
    ("a: 1\nb: 2\na: 3", 3, "key 'a' is already on line 1"),
    ("a:\n  x: 1\n  x: 2", 3, "key 'x' is already on line 2"),
    ("a: &here 1", 1, "anchors"),
    ("a: &here 1\nb: *here", 1, "anchors"),
    ("a: 1\nb: *there", 2, "aliases"),
    ("a: !!python/object/apply:os.system [ls]", 1, "tags"),
    ("a: !!str 1", 1, "tags"),
    ("? [a, b]\n: 1", 1, "a key must be plain text"),
    ("a: [1, 2", None, ""),
    ("a: 1\n b: 2", 2, ""),
    ("a: 1\n---\nb: 2", 2, "more than one document"),
    ("a: " + "[" * 40 + "]" * 40, 1, "nested deeper"),
    ("a: " + "[" * 200_000, 1, "nested deeper"),
    ("a: '" + "x" * MAX_BYTES + "'", None, "larger than"),
    ("a: \x00", None, "character"),
]


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_surprising_yaml_is_refused_with_its_line(text: str, line: int | None, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text, "bad.yaml")
    assert str(caught.value).startswith("bad.yaml")
    assert message in str(caught.value)
    if line is not None:
        assert caught.value.line == line


def test_lines_are_known_for_keys_and_items() -> None:
    document = load("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n", "a.yaml")
    places: list[tuple[tuple[str | int, ...], int | None]] = [
        (("a",), 1),
        (("b",), 2),
        (("b", 0), 3),
        (("b", 1), 4),
        (("b", 1, "z"), 5),
        (("c",), None),
    ]
    for path, line in places:
        assert document.line(path) == line
    assert document.nearest_line(("b", 1, "missing", "deeper")) == 4


@given(st.text(max_size=300))
def test_any_text_loads_or_is_a_yaml_error(text: str) -> None:
    try:
        document = load(text, "x")
    except YamlError as error:
        assert str(error).startswith("x")
    else:
        assert all(1 <= line <= len(text) + 1 for line in document.lines.values())


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("fram", ["frames", "crop"], "frames"),
        ("FACE2FACE", ["Face2Face"], "Face2Face"),
        ("zzz", ["frames"], None),
        ("x", [], None),
    ],
)
def test_nearest_proposes_only_what_is_close(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


class Crop(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 256
    margin: float = 1.3


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str
    crops: list[Crop] = []


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")
    frames: int
    crop: Crop | None = None
    steps: dict[str, Step] = {}
    either: int | list[str] = 0


EXPLAINED = [
    ("frames: 1\nfram: 2", "r.yaml:2: key 'fram': unknown; did you mean 'frames'?"),
    ("frames: 1\nqqq: 2", "r.yaml:2: key 'qqq': unknown; known: crop, either, frames, steps"),
    ("frames: 1\ncrop:\n  sise: 2", "r.yaml:3: key 'sise': unknown; did you mean 'size'?"),
    (
        "frames: 1\nsteps:\n  a:\n    kind: x\n    crops:\n      - margn: 1",
        "r.yaml:6: key 'margn': unknown; did you mean 'margin'?",
    ),
    ("crop:\n  size: 1", "r.yaml:1: key 'frames': missing"),
    ("frames: 1\nsteps:\n  a: {}", "r.yaml:3: key 'steps.a.kind': missing"),
    ("frames: 1\ncrop:\n  size: big", "r.yaml:3: key 'crop.size': input should be a valid integer"),
    ("frames: many", "(got 'many')"),
    ("frames: 1\neither: {a: 1}", "r.yaml:2: key 'either'"),
]


@pytest.mark.parametrize(("text", "line"), EXPLAINED)
def test_validation_errors_name_file_line_key_and_the_nearest_known_one(text: str, line: str) -> None:
    document = load(text, "r.yaml")
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(document.data)
    assert line in explain(caught.value, document, "r.yaml", Recipe)


@pytest.mark.parametrize(
    ("text", "data"), [("", None), ("yunet", "yunet"), ("[1, no]", [1, "no"]), ("{kind: x}", {"kind": "x"})]
)
def test_any_top_is_read_so_that_a_setting_can_be_a_scalar(text: str, data: Any) -> None:
    assert load(text, "--set").data == data


def test_a_key_that_is_not_in_the_document_is_explained_without_a_line_of_it() -> None:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"frames": 1, "crop": {"sise": 2}, "fram": 1, "either": "x"})
    lines = explain(caught.value, Document({}, {}), "--set", Recipe).splitlines()
    assert "--set: key 'sise': unknown; did you mean 'size'?" in lines
    assert "--set: key 'fram': unknown; did you mean 'frames'?" in lines
    assert any("key 'either'" in line for line in lines)
