"""`mmidd validate`: the detectors that it takes where none are named, how it ends, and what it refuses at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said
from once import Once

from mmidd.studies.choice import KINDS, MINUTES, OTHERS, SECONDS, choice, minutes_of
from mmidd.studies.facts import Facts, Rows, facts_of
from studies import small

Run = Callable[..., Said]
FACTS = Facts("made", "0" * 16, tuple(Rows(split, "a", 40, 40) for split in ("train", "test")))
NEEDS = {**dict.fromkeys(SECONDS, ("label",)), "sd2": ("label", "face_caption")}


def test_one_of_a_kind_is_chosen_and_of_each_other_it_is_said_why_not() -> None:
    found = choice(FACTS, NEEDS, {})
    assert found.detectors == ("xception", "gend", "sd2") and set(found.why_not) == NEEDS.keys() - set(found.detectors)
    assert {name for names in KINDS.values() for name in names} | OTHERS.keys() == SECONDS.keys()


@pytest.mark.parametrize(
    ("facts", "lacking", "chosen", "name", "why"),
    [
        (FACTS, {"xception": "timm is not installed"}, ("recce", "gend", "sd2"), "xception", "timm is not installed"),
        (Facts("m", "0", FACTS.rows, empty=("face_caption",)), {}, ("xception", "gend", "clip-lora"), "sd2", "face_caption"),
        (Facts("m", "0", (Rows("train", "a", 70_000, 30_000),)), {}, ("xception", "gend", "clip-lora"), "sd2", "minutes"),
        (Facts("m", "0", (Rows("train", "a", 7_000_000, 1),)), {}, (), "gend", "minutes"),
    ],
)
def test_what_cannot_run_in_minutes_here_is_passed_over(
    facts: Facts, lacking: dict[str, str], chosen: tuple[str, ...], name: str, why: str
) -> None:
    found = choice(facts, NEEDS, lacking)
    assert found.detectors == chosen and why in found.why_not[name]
    assert all((minutes_of(facts, each) or 0) <= MINUTES for each in found.detectors)


def test_facts_are_what_the_columns_hold(once: Once) -> None:
    from mmidd.corpus.read import Corpus

    found = facts_of(Corpus(once("study-corpus", small.corpus)))
    assert found.datasets == ("alpha", "beta") and found.name("alpha") == "Alpha"
    assert {(each.real, each.fake) for each in found.rows} == {(32, 32)} and len(found.rows) == 6
    assert found.pairs == 64 and found.empty == ("face_caption", "environment_caption")


def test_a_run_that_fails_ends_with_3_and_mistakes_with_2_before_anything(once: Once, mmidd: Run, tmp_path: Path) -> None:
    corpus = once("study-corpus", small.corpus)
    words = ("validate", str(corpus), "--out", str(tmp_path / "study"), "--studies", "in-domain", "--workers", "0")
    wrong = mmidd(*words, "--detectors", "xception", "--set", "lrr=1")
    assert wrong.code == 2 and "unknown key 'lrr'" in wrong.err and not (tmp_path / "study").exists()
    unknown = mmidd(*words, "--detectors", "xeption")
    assert unknown.code == 2 and "no reference detector 'xeption'" in unknown.err
    few = ("--detectors", "xception", "--seeds", "0", "--set", "batch=100000", "--set", "micro=8", "--json")
    found = mmidd(*words, *few)
    assert found.code == 3 and found.document["trials"] == {"all": 1, "done": 0, "failed": 1, "to do": 0}
    assert found.document["failed"][0]["at"] == "training" and found.document["failed"][0]["why"]
