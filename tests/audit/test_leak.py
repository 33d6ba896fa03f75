"""The leak test: planted leaks are caught, clean captions pass, and what cannot be tested says why."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmidd.audit.leak import FOLDS, deal, leak_test
from mmidd.audit.results import CheckPart

from .conftest import face_text, rows_of, sampled

Row = dict[str, Any]
Plant = Callable[[Row, random.Random], None]


def _run(rows: list[Row], plant: Plant | None = None, seed: int = 0) -> CheckPart:
    chance = random.Random(seed)
    for row in rows:
        if plant is not None:
            plant(row, chance)
    return leak_test(sampled(rows), seed)


def _checks(part: CheckPart) -> set[str]:
    return {finding.check for finding in part.findings}


def _word(row: Row, chance: random.Random) -> None:
    if row["label"] and chance.random() < 0.5:
        row["face_caption"] = row["face_caption"].replace("face", "waxy face").replace("head", "waxy head")


def _style(row: Row, chance: random.Random) -> None:
    if row["label"]:
        row["environment_caption"] = row["environment_caption"].replace(" and ", ", ").replace(".", " - so it is!")


def _length(row: Row, chance: random.Random) -> None:
    if row["label"]:
        row["face_caption"] += " " + face_text(chance)


def _same_mean_length(row: Row, chance: random.Random) -> None:
    """Fakes always two sentences, reals one or three: the mean is equal."""
    times = 2 if row["label"] else chance.choice((1, 3))
    row["face_caption"] = " ".join(face_text(chance) for _ in range(times)).replace(".", "") + "."


def _absence(row: Row, chance: random.Random) -> None:
    if row["label"] and chance.random() < 0.5:
        row["face_caption"] = row["environment_caption"] = None


@pytest.mark.parametrize(
    ("plant", "field"),
    [(_word, "face"), (_style, "environment"), (_length, "face"), (_same_mean_length, "face"), (_absence, "missing")],
)
def test_a_planted_leak_of_the_class_is_caught_and_the_field_named(plant: Plant, field: str) -> None:
    part = _run(rows_of(["A", "B"], 120, 1), plant)
    flagged = {(test["target"], test["field"]) for test in part.figures["tests"] if test["flagged"]}
    assert ("real or fake", field) in flagged and "leak: real or fake" in _checks(part)
    clean = {"face": "environment", "environment": "face"}.get(field)
    assert ("real or fake", clean) not in flagged


def test_the_word_that_leaks_is_told() -> None:
    part = _run(rows_of(["A", "B"], 120, 1), _word)
    finding = next(finding for finding in part.findings if finding.check == "leak: real or fake")
    assert "waxy" in finding.what.split("against:")[0]


def test_a_word_of_one_forgery_type_and_a_phrase_of_one_dataset_are_caught() -> None:
    def plant(row: Row, chance: random.Random) -> None:
        if row["forgery_type"] == 2:
            row["face_caption"] += " Teeth show."
        if row["dataset"] == "B":
            row["environment_caption"] = "We see: " + row["environment_caption"]

    part = _run(rows_of(["A", "B", "C"], 40, 2, types=("FS", "FR")), plant)
    found = {(test["target"], test["positive"]) for test in part.figures["tests"] if test["flagged"]}
    assert {("forgery type", "FR"), ("dataset", "B")} <= found


@pytest.mark.parametrize("seed", range(6))
def test_clean_captions_pass(seed: int) -> None:
    part = _run(rows_of(["A", "B"], 40, 100 + seed, types=("FS", "FR")), seed=seed)
    assert len(part.figures["tests"]) >= 9 and part.findings == ()


def test_what_only_tells_the_identity_is_no_leak_of_the_class() -> None:
    """Every group has one class and its own words: with rows held out the class could be read, with groups it cannot."""
    rows = rows_of(["A"], 200, 3)
    rows = [row for row in rows if row["label"] == int(row["group"].split("/")[1]) % 2] * 4
    for row in rows:
        row["face_caption"] = f"person{row['group'].split('/')[1]} name{row['group'].split('/')[1]}."
        row["environment_caption"] = None
    part = _run(rows)
    tests = [test for test in part.figures["tests"] if test["target"] == "real or fake"]
    assert tests and all(test["area"]["auc"] < 0.6 for test in tests) and "leak: real or fake" not in _checks(part)


def test_what_only_tells_the_dataset_is_no_leak_of_the_class() -> None:
    """A has mostly reals, B mostly fakes, and captions name the dataset: within each the class cannot be read."""
    rows = rows_of(["A", "B"], 150, 4)
    kept = [row for row in rows if (row["dataset"] == "A") != row["label"] or int(row["group"].split("/")[1]) % 5 == 0]
    for row in kept:
        row["environment_caption"] = f"A scene as {row['dataset']} has them."
    assert _checks(_run(kept)) == {"leak: dataset"}


def test_a_group_is_in_one_fold_whole_and_folds_are_alike() -> None:
    sample = sampled(rows_of(["A", "B"], 50, 5, types=("FS", "FR")))
    folds = deal(sample, 0)
    owners = {(int(group), int(fold)) for group, fold in zip(sample.group.codes, folds, strict=True)}
    assert len(owners) == 100 and set(np.bincount(folds)) == {300 // FOLDS}


def test_a_leak_in_one_dataset_does_not_carry_to_others_held_out() -> None:
    def plant(row: Row, chance: random.Random) -> None:
        if row["label"] and row["dataset"] == "A":
            row["face_caption"] = "Waxy. " + row["face_caption"]

    tests = _run(rows_of(["A", "B"], 60, 6), plant).figures["tests"]
    flagged = {(test["held_out"], test["dataset"]) for test in tests if test["flagged"] and test["field"] == "face"}
    assert ("group", "A") in flagged and ("group", "B") not in flagged and ("dataset", "B") not in flagged


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([], {"no dataset has captions of real and of fake", "there are no captions"}),
        (rows_of(["A"], 3, 0), {"only 3 groups that can be compared hold fake; 10 are needed"}),
        ([row for row in rows_of(["A", "B"], 20, 0) if row["label"]], {"no dataset has captions of real and of fake"}),
        (rows_of(["A"], 20, 0), {"only one dataset (A) has captions of real and of fake", "captions come from one dataset"}),
        (
            [row | {"face_caption": None, "environment_caption": None} for row in rows_of(["A", "B"], 20, 0)],
            {"no dataset has captions of real and of fake", "there are no captions"},
        ),
        ([row | {"face_caption": "", "environment_caption": "?"} for row in rows_of(["A", "B"], 20, 0)], set()),
        ([row | {"label": 2, "forgery_type": 5} for row in rows_of(["A", "B"], 20, 0)],
         {"no dataset has captions of real and of fake"}),
    ],
    ids=["no rows", "tiny", "fakes only", "one dataset", "all null", "no words", "labels unknown"],
)  # fmt: skip
def test_what_cannot_be_tested_says_why(rows: list[Row], wanted: set[str]) -> None:
    part = _run(rows)
    assert wanted <= {each.because for each in part.untested} and part.findings == ()
