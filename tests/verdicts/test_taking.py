"""Faces are taken as the corpus took them, which the run or the corpus says; nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Place

from mmidd.corpus.read import Corpus
from mmidd.errors import MmiddError, RunError, UsageError, WrongWeights
from mmidd.recipe import Recipe
from mmidd.stages import extract
from mmidd.verdicts.taking import of_run, parsed, taking


def _about(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(Corpus(place.out).about.extraction))
    return found


def _run(folder: Path, about: Any) -> Path:
    (folder / "seed-0").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"corpus": {"name": "c", "extraction": about}}))
    return folder


def test_a_run_a_seed_of_it_and_the_corpus_say_the_same_as_the_recipe(small: Place, tmp_path: Path) -> None:
    run = _run(tmp_path / "run", _about(small))
    found = [taking(str(run)), taking(str(run / "seed-0")), taking("no run", small.out), taking("no run", Corpus(small.out))]
    assert len({json.dumps(each.document()) for each in found}) == 1 and found[0].frames == 2 and found[0].notes == ()
    built = extract.config(Recipe.read(str(small.recipe)), _about(small)["models"])
    assert {each.config for each in found} == {built}


def _without(part: str) -> Callable[[dict[str, Any]], None]:
    return lambda about: about["recipe"].pop(part)


STRANGE: list[tuple[str, Callable[[dict[str, Any]], Any], type[MmiddError], str]] = [
    ("no crop", _without("crop"), RunError, "no 'crop'"),
    ("a crop of a later version", lambda about: about["recipe"]["crop"].update(shape="round"), RunError, r"Crop\.shape"),
    ("a size that is none", lambda about: about["recipe"]["crop"].update(size="big"), RunError, r"Crop\.size"),
    ("a crop larger than any", lambda about: about["recipe"]["crop"].update(size=4096), RunError, r"Crop\.size.*2048"),
    ("a decoder that is not here", lambda about: about["recipe"].update(decoder="magic"), RunError, "magic"),
    ("a detector that is not here", lambda about: about["recipe"]["detector"].update(kind="magic"), RunError, "understands"),
    ("other weights", lambda about: about["models"].update({"pnet.pt": "0" * 64}), WrongWeights, "pnet.pt"),
]


@pytest.mark.parametrize(("change", "error", "why"), [case[1:] for case in STRANGE], ids=[case[0] for case in STRANGE])
def test_what_cannot_be_taken_so_is_an_error(
    small: Place, change: Callable[[dict[str, Any]], Any], error: type[MmiddError], why: str
) -> None:
    about = _about(small)
    change(about)
    with pytest.raises(error, match=why):
        parsed(about, "the run")


def test_other_versions_and_another_device_are_told(small: Place) -> None:
    about = _about(small)
    about["libraries"]["numpy"], about["device"] = "0.1", "cuda"
    told = parsed(about, "the run").notes
    assert "numpy 0.1 there" in told[0] and "GPU" in told[1] and len(told) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"corpus": 3}', '{"corpus": {"extraction": []}}', "[" * 100_000])
def test_a_run_that_says_nothing_of_it_needs_a_corpus(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert of_run(tmp_path) is None
    with pytest.raises(UsageError, match="--corpus CORPUS"):
        taking(str(tmp_path))
