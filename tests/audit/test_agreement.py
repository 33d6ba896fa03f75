"""Captions against measures and against CelebA's attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmidd.audit.agreement import between, with_celeba, with_measures
from mmidd.audit.attributes import WORDS, read_list, said
from mmidd.errors import DataError

FRONT = [[40.0, 50.0], [80.0, 50.0], [60.0, 70.0], [45.0, 90.0], [75.0, 90.0]]
RIGHT = [[40.0, 50.0], [80.0, 50.0], [78.0, 70.0], [45.0, 90.0], [75.0, 90.0]]


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "brightness": 100.0,
        "sharpness": 50.0,
        "landmarks": FRONT,
        "box": [0.0, 0.0, 50.0, 50.0],
        "height": 100,
    } | changes


def _by_name(part: Any) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in part.figures["statements"]}


@pytest.mark.parametrize(
    ("value", "false", "true", "wanted"),
    [(10, 30, 20, True), (25, 30, 20, None), (30, 30, 20, False), (20, 10, 20, True),
     (None, 0, 1, None), (float("nan"), 0, 1, None)],
)  # fmt: skip
def test_between_two_bounds_nothing_is_judged(value: float | None, false: float, true: float, wanted: bool | None) -> None:
    assert between(value, false, true) is wanted


@pytest.mark.parametrize(
    ("text", "changes", "name", "counts"),
    [
        ("The face is dimly lit.", {"brightness": 30.0}, "dark", (1, 0, 0, 0)),
        ("The face is dimly lit.", {"brightness": 130.0}, "dark", (0, 1, 0, 0)),
        ("It is not in shadow.", {"brightness": 30.0}, "dark", (0, 0, 1, 0)),
        ("Dark hair, poorly lit.", {"brightness": 100.0}, "dark", (0, 0, 0, 1)),
        ("Dark hair.", {"brightness": 150.0}, "dark", (0, 0, 0, 0)),
        ("The face is seen from the front.", {}, "frontal", (1, 0, 0, 0)),
        ("He faces the camera.", {"landmarks": RIGHT}, "frontal", (0, 1, 0, 0)),
        ("The face is turned to the image right.", {"landmarks": RIGHT}, "turned image right", (1, 0, 0, 0)),
        ("The face is turned to the image left.", {"landmarks": RIGHT}, "turned image left", (0, 1, 0, 0)),
        ("The face is in profile.", {"landmarks": None}, "turned", (0, 0, 0, 1)),
        ("It fills most of the picture.", {"box": [0.0, 0.0, 9.0, 80.0]}, "large in the picture", (1, 0, 0, 0)),
        ("A close-up.", {"box": None}, "large in the picture", (0, 0, 0, 1)),
    ],
)
def test_a_statement_is_judged_by_its_measure(
    text: str, changes: dict[str, Any], name: str, counts: tuple[int, ...]
) -> None:
    found = _by_name(with_measures([text], [_row(**changes)]))[name]
    assert tuple(found[key] for key in ("right", "wrong", "missed", "unclear")) == counts


def test_sharpness_is_judged_by_the_quarters_of_the_corpus() -> None:
    captions = ["The face is blurred."] * 25 + ["The face is sharp."] * 75
    found = _by_name(with_measures(captions, [_row(sharpness=float(n)) for n in range(100)]))
    assert (found["blurred"]["right"], found["blurred"]["wrong"], found["blurred"]["missed"]) == (25, 0, 0)
    assert (found["sharp"]["right"], found["sharp"]["wrong"]) == (25, 25)


def test_a_statement_that_is_mostly_wrong_is_a_finding_with_its_counts() -> None:
    wrong, right = _row(brightness=150.0), _row(brightness=30.0)
    part = with_measures(["It is dimly lit."] * 40, [wrong] * 35 + [right] * 5)
    assert [finding.check for finding in part.findings] == ["agreement: dark"] and "5/40" in part.findings[0].what
    assert with_measures(["It is dimly lit."] * 40, [wrong] * 20 + [right] * 20).findings == ()
    assert with_measures(["It is dimly lit."] * 10, [wrong] * 10).findings == ()
    assert with_measures([], []).untested[0].because == "there are no face captions"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A smiling woman with blond hair and glasses.", {"Smiling", "Blond_Hair", "Eyeglasses"}),
        ("A young man without glasses, wearing a hat.", {"Young", "Male", "Wearing_Hat"}),
        ("No beard and not smiling.", {"No_Beard"}),
        ("A clean-shaven gentleman, mouth slightly open.", {"No_Beard", "Male", "Mouth_Slightly_Open"}),
        ("A woman in a chat.", set()),
    ],
)
def test_attributes_are_heard_and_negations_are_not(text: str, wanted: set[str]) -> None:
    assert said(text) == wanted


def _list(folder: Path, names: list[str], rows: list[str]) -> Path:
    path = folder / "list_attr_celeba.txt"
    path.write_text("\n".join([str(len(rows)), " ".join(names), *rows]) + "\n", encoding="utf-8")
    return path


def test_celeba_precision_and_recall_come_from_exact_counts(tmp_path: Path) -> None:
    path = _list(tmp_path, ["Smiling", "Eyeglasses"], ["000001.jpg  1 -1", "000002.jpg -1 -1", "000003.jpg 1  1"])
    names = [("CelebA", f"img_align_celeba/00000{number}.png") for number in (1, 2, 3, 4)] + [("FFHQ", "000001.jpg")]
    part = with_celeba(["She smiles.", "A smile.", "Nothing.", "A smile.", "A smile."], names, read_list(path))
    found = _by_name(part)["Smiling"]
    assert (found["right"], found["wrong"], found["missed"]) == (1, 1, 1)
    assert (part.figures["media"], part.figures["unlisted"]) == (3, 1)
    assert len(part.figures["statements"]) == len(WORDS) == 40
    assert "4 are not" not in with_celeba(["x"], [("FFHQ", "000001.jpg")], read_list(path)).untested[0].because


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\nhello world\n", "names none of CelebA's attributes"),
        ("1\nSmiling Elephant\n000001.jpg 1 1\n", "line 2: 'Elephant' is no attribute"),
        ("1\nSmiling Young\n000001.jpg 1\n", "line 3: not a name and 2 values"),
        ("1\nSmiling\n000001.jpg 7\n", "line 3: not a name and 1 values"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_list(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_list(path)
    with pytest.raises(DataError, match="FileNotFoundError"):
        read_list(tmp_path / "absent.txt")
