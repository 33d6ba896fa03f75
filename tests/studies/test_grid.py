"""Which trials answer what is asked: each once, under stable names, and what cannot be is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from mmidd.studies.facts import Attacks, Facts, Rows
from mmidd.studies.grid import ABLATION, BY_NAME, FRACTIONS, OWN, STUDIES, Asked, Chosen, Trial, grid
from mmidd.studies.grid import Test as On
from mmidd.studies.trial import selected

TWO = tuple(Rows(split, slug, 4, 4) for split in ("train", "validation", "test") for slug in ("a", "b"))
FACTS = Facts("made", "0" * 16, TWO, (("a", "Alpha"), ("b", "Beta")), pairs=4)


def names(asked: Asked, facts: Facts = FACTS) -> list[str]:
    return [trial.name for trial in grid(asked, facts).trials]


def one(study: str, **more: Any) -> Asked:
    return Asked(("gend",), **{"studies": (study,), "seeds": (0,), **more})


EACH = {
    "in-domain": ["gend.tiny.all.seed-0"],
    "leave-one-out": ["gend.tiny.without-a.seed-0", "gend.tiny.all.seed-0", "gend.tiny.without-b.seed-0"],
    "pairs": ["gend.tiny.fraction-0.5.paired.seed-0", "gend.tiny.unpaired.seed-0"],
    "scaling": ["gend.tiny.fraction-0.1.seed-0", "gend.tiny.fraction-0.3.seed-0", "gend.tiny.all.seed-0"],
}


@pytest.mark.parametrize("study", EACH)
def test_a_study_has_these_trials_whose_names_stay(study: str) -> None:
    assert names(one(study)) == EACH[study]


def test_the_ablation_is_of_sd2_whoever_else_is_asked_for_and_its_full_row_is_the_detector_as_it_is() -> None:
    found = grid(one("sd2"), FACTS)
    assert [trial.settings for trial in found.trials] == [words for _, words in ABLATION]
    assert {trial.detector for trial in found.trials} == {"sd2"} and found.trials[-1].name == "sd2.tiny.all.seed-0"
    assert len({trial.run for trial in found.trials}) == len(ABLATION)
    assert not [line for line in grid(Asked(("gend",)), FACTS).lines if line.study == "sd2"]


def test_a_training_that_several_studies_ask_for_is_one_trial_with_the_tests_of_all() -> None:
    found = grid(Asked(("sd2",), seeds=(0, 1), tests=("other",)), FACTS)
    assert len(set(names(Asked(("sd2",), seeds=(0, 1))))) == len(found.trials) == 2 * (1 + 2 + 2 + 2 + 3)
    shared = found.trial("sd2.tiny.all.seed-0")
    assert set(shared.tests) == {On(), On("other"), On(OWN, ("a",)), On(OWN, ("b",))}
    assert {line.study for line in found.lines if shared.name in line.trials} == {*STUDIES} - {"pairs", *BY_NAME}
    assert [trial.seed for trial in found.trials] == [0] * 10 + [1] * 10
    assert all(set(line.trials) <= {trial.name for trial in found.trials} for line in found.lines)


def test_without_a_test_split_only_further_corpora_are_tested_on_and_nothing_is_trained_for_nothing() -> None:
    facts = replace(FACTS, rows=tuple(each for each in TWO if each.split != "test"))
    assert grid(Asked(("gend",)), facts).trials == () and "no row in it" in grid(Asked(("gend",)), facts).left_out[0]
    found = grid(Asked(("gend",), tests=("other",)), facts)
    assert {test for trial in found.trials for test in trial.tests} == {On("other")} == {line.test for line in found.lines}
    assert {line.study for line in found.lines} == {"in-domain", "pairs", "scaling"}


@pytest.mark.parametrize("word", ["captions=none", " clam = false"])
def test_no_ablation_is_told_of_what_is_set_for_every_run(word: str) -> None:
    found = grid(Asked(("sd2",), ("in-domain", "sd2"), settings=("lr=1", word)), FACTS)
    assert {line.study for line in found.lines} == {"in-domain"}
    assert f"--set {word} is set for every run" in found.left_out[0]


def test_a_test_split_of_one_class_is_told_before_anything_is_trained() -> None:
    facts = replace(FACTS, rows=tuple(replace(each, real=0) if each.split == "test" else each for each in TWO))
    assert grid(one("in-domain"), facts).left_out == (
        "every AUROC of its test split: it has no real, so that nothing can be ranked",
    )


def test_it_is_a_function_of_what_is_asked_and_no_order_of_studies_changes_it() -> None:
    asked = Asked(("gend", "xception"), STUDIES, (3, 1))
    assert grid(asked, FACTS) == grid(asked, FACTS)
    assert grid(replace(asked, studies=STUDIES[::-1]), FACTS) == grid(asked, FACTS)
    assert tuple(sorted(FRACTIONS)) == FRACTIONS and FRACTIONS[-1] == 1  # selections nest where fractions grow


def test_what_is_left_out_is_not_seen_in_training_and_is_all_that_is_tested() -> None:
    found = grid(one("leave-one-out"), FACTS)
    left = [trial for trial in found.trials if trial.chosen.without]
    assert [(trial.chosen.without, trial.tests) for trial in left] == [
        (("a",), (On(OWN, ("a",)),)),
        (("b",), (On(OWN, ("b",)),)),
    ]


def rows(**of: tuple[int, int]) -> Facts:
    """Facts in which these splits of dataset a have so many reals and fakes; (0, 0): none."""
    found = [each for each in TWO if each.dataset == "b" or each.split not in of]
    found += [Rows(split, "a", *count) for split, count in of.items() if sum(count)]
    return replace(FACTS, rows=tuple(found))


CANNOT = [
    (one("leave-one-out"), rows(test=(4, 0)), "leave-one-out of Alpha: its test split has no fake"),
    (one("leave-one-out"), rows(test=(0, 0)), "leave-one-out of Alpha: it has no test split"),
    (one("leave-one-out"), rows(train=(4, 0)), "leave-one-out of Beta: the other datasets have no fake to train on"),
    (one("pairs"), replace(FACTS, pairs=0), "pairs: no fake of train has its real"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "facts", "why"), CANNOT)
def test_what_cannot_be_is_told(asked: Asked, facts: Facts, why: str) -> None:
    assert [told for told in grid(asked, facts).left_out if told.startswith(why)]


def test_settings_and_holdout_make_other_runs() -> None:
    plain = Trial("gend", "tiny", (), Chosen(), 0)
    others = [replace(plain, settings=("lr=1",)), replace(plain, settings=("lr=2",)), replace(plain, preset="small")]
    others.append(replace(plain, chosen=Chosen(holdout=0.1)))
    assert len({trial.run for trial in [plain, *others]}) == 5
    assert replace(plain, seed=1).run == plain.run != replace(plain, seed=1).name


def test_it_loads_no_torch() -> None:
    code = "import sys, mmidd.studies.grid, mmidd.studies.choice, mmidd.studies.published; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


FOUR = {"c": "CASIA-FASD", "i": "Replay-Attack", "m": "MSU-MFSD", "o": "OULU-NPU"}
SHOWN = tuple(
    Attacks(split, slug, f"{slug} {method}", family, 2)
    for split in ("train", "validation", "test")
    for slug in FOUR
    for method, family in (("printer", "print"), ("phone", "replay"))
)
DOMAINS = Facts(
    "made", "0" * 16, tuple(Rows(split, slug, 4, 4) for split in ("train", "validation", "test") for slug in FOUR),
    tuple(FOUR.items()), attacks=SHOWN, methods=tuple(sorted({each.method for each in SHOWN})),
)  # fmt: skip


@pytest.mark.parametrize(
    ("study", "runs", "pairs"),
    [("leave-domain-out", 4, {("m", "cio"), ("c", "imo"), ("i", "cmo"), ("o", "cim")}), ("two-domains", 6, None),
     ("one-domain", 4, None)],
)  # fmt: skip
def test_a_domain_that_is_left_out_is_tested_whole(study: str, runs: int, pairs: set[tuple[str, str]] | None) -> None:
    found = grid(one(study), DOMAINS)
    assert len(found.trials) == runs and len(found.lines) == {4: 4, 6: 12}[runs] * (3 if study == "one-domain" else 1)
    told = set()
    for trial in found.trials:
        for test in trial.tests:
            assert test.splits == ("train", "test") and set(test.only) <= set(trial.chosen.without)
            told.add((test.only[0], "".join(sorted(set(FOUR) - set(trial.chosen.without)))))
    assert pairs is None or told == pairs
    assert study != "two-domains" or {("c", "im"), ("o", "im")} <= told  # the papers' limited sources


def test_sources_may_be_whole_where_a_recipe_makes_all_of_them_train() -> None:
    found = grid(one("leave-domain-out"), replace(DOMAINS, rows=tuple(r for r in DOMAINS.rows if r.split != "test")))
    assert {test.splits for trial in found.trials for test in trial.tests} == {("train",)} and len(found.lines) == 4


def test_an_attack_that_is_left_out_is_no_row_of_training_and_all_that_is_tested_with_live() -> None:
    found = grid(one("leave-attack-out"), DOMAINS)
    left = [trial for trial in found.trials if trial.chosen.unseen]
    assert len(left) == 8 and len(found.trials) == 9 and len(found.lines) == 16
    first = next(trial for trial in left if trial.chosen.unseen[1] == "m printer")
    assert first.tests == (On(OWN, ("m",), attacks=("method", "m printer")),)
    assert selected(first.chosen, DOMAINS)["where"] == {
        "method": [None, *(name for name in DOMAINS.methods if name != "m printer")]
    }
    family = grid(one("leave-family-out"), DOMAINS)
    assert [trial.chosen.unseen for trial in family.trials if trial.chosen.unseen] == [
        ("attack", "print"), ("attack", "replay"),
    ]  # fmt: skip
    assert selected(family.trials[0].chosen, DOMAINS)["where"] == {"attack": [None, "replay"]}
    assert family.trials[0].tests[0].only == tuple(FOUR)
    names = [test.name for trial in found.trials for test in trial.tests]
    assert len(set(names)) == 8 and all(name.replace("-", "").replace("_", "").isalnum() for name in names)


@pytest.mark.parametrize(
    ("study", "facts", "why"),
    [
        ("leave-domain-out", replace(DOMAINS, rows=DOMAINS.rows[:1]), "leave-domain-out: 2 datasets are needed"),
        ("two-domains", FACTS, "two-domains: 3 datasets are needed, train has 2"),
        ("leave-attack-out", FACTS, "leave-attack-out: the corpus has no presentation attack"),
        ("leave-attack-out", replace(DOMAINS, attacks=SHOWN[:8]), "leave-attack-out of c phone: no attack of the test"),
        ("leave-family-out", replace(DOMAINS, attacks=SHOWN[::2]), "leave-family-out of print: no other attack is left"),
        ("one-domain", replace(DOMAINS, rows=tuple(
            replace(each, real=0) if each.dataset == "c" else each for each in DOMAINS.rows
        )), "one-domain to CASIA-FASD: it has no real to test"),
    ],
)  # fmt: skip
def test_what_of_attacks_cannot_be_is_told(study: str, facts: Facts, why: str) -> None:
    assert [told for told in grid(one(study), facts).left_out if told.startswith(why)]


def test_studies_of_attacks_are_done_where_they_are_named() -> None:
    assert not {line.study for line in grid(Asked(("gend",)), DOMAINS).lines} & {*BY_NAME}
