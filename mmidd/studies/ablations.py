"""Ablations of detectors that explain, as studies: what the specialist, reinforcement, the reasons, the rewards and language
are each good for. Stage 2 begins with stage 1's run, both with the specialist's: their trials come after these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from mmidd.studies.facts import Facts
from mmidd.studies.grid import OWN, Asked, Cell, Cells, Chosen, Test

SHORTCUT = "shortcut"
"""The folder of a study that holds the two corpora of `language`."""
ROLES = ("specialist", "align", "rl")
NONE = "none"
LAST = "validate_every=1e6"
"""Stage 1 is kept as it is at its end: chosen by answers alone, the best of several often is an early one, which has not
learned the form of a reply yet, and stage 2 would be refused."""
REWARDS = {
    "rewarded for class and form": "rewards={class: 1.0, format: 0.5}",
    "and for reasons that end in the answer": "rewards={class: 1.0, format: 0.5, consistent-rule: 0.5}",
    "and for reasons that alone give the answer": "rewards={class: 1.0, format: 0.5, consistent-self: 0.5}",
}
REASONS = "behind reasons"
SAYS = {
    "specialist": "With and without: the same model, rows and steps; without a specialist there is no projector to train "
    "either, so that a difference is of the features and of these parameters together.",
    "rl": "Both rows have the same start, and the second has had its steps as well as the first's: a gain may be of more "
    "steps. Align for as many more (--set align.steps=N) is the fair third.",
    "chain": "Both rows are of one network. Reasons that help its answer are not thereby why it gave it: see `mmidd "
    "faithful`.",
    "rewards": "A consistency reward makes reasons and answers agree, which a model also does by reasons that say nothing "
    "of the picture: read agreement only beside the AUROC and the number of different reasons.",
    "language": "The shortcut is drawn by us, is the only one that is controlled, and is as strong as it was drawn: a fall "
    "from the upper to the lower table row tells how far a detector relies on this pattern, and nothing of those that real "
    "corpora hold.",
}


def words_for(asked: Sequence[str], role: str) -> tuple[str, ...]:
    """Of KEY=VALUE words those of a role: `ROLE.KEY=VALUE`; those without a role are of all but the specialist."""
    found = []
    for word in asked:
        name, dot, rest = word.partition(".")
        if dot and name.strip() in ROLES:
            found += [rest] if name.strip() == role else []
        elif role != "specialist":
            found.append(word)
    return tuple(found)


def _tests(asked: Asked, facts: Facts, *, reasons: bool = False) -> tuple[Test, ...]:
    own = (OWN,) if facts.count(["test"]) else ()
    return tuple(Test(corpus, reasons=reasons) for corpus in (*own, *asked.tests))


class _Cells:
    """The rows that ablations are made of, for one study and detector."""

    def __init__(self, study: str, detector: str, asked: Asked, facts: Facts) -> None:
        self.study, self.detector, self.asked = study, detector, asked
        self.direct, self.behind = _tests(asked, facts), _tests(asked, facts, reasons=True)
        named = asked.specialist
        run = named is not None and PurePath(named).is_absolute()
        self.given = f"specialist={named}" if run else None
        self.named = None if run or named in (None, NONE) or detector == "rft-fas" else named

    def alone(self) -> Cell | None:
        """The specialist, with its own head."""
        if self.named is None:
            return None
        words = words_for(self.asked.settings, "specialist")
        return Cell(self.study, "the specialist alone", self.named, words, Chosen(), self.direct, whole=True)

    def align(self, title: str, tests: tuple[Test, ...], *, specialist: bool = True) -> Cell:
        words = (LAST, *words_for(self.asked.settings, "align"), *self._given(specialist))
        after = self._after(specialist)
        return Cell(self.study, title, self.detector, words, Chosen(), tests, whole=True, after=after)

    def reinforced(self, title: str, tests: tuple[Test, ...], *more: str) -> Cell:
        words = (*words_for(self.asked.settings, "rl"), *self._given(True), *more)
        after = (*self._after(True), ("start", self.align("aligned", self.direct)))
        preset = f"{self.asked.preset}-rl"
        return Cell(self.study, title, self.detector, words, Chosen(), tests, preset, whole=True, after=after)

    def both(self, cell: Cell) -> Iterator[Cell]:
        """Its answer without reasons, and behind them."""
        yield cell
        yield Cell(**{**vars(cell), "title": f"{cell.title}, {REASONS}", "tests": self.behind})

    def _given(self, specialist: bool) -> tuple[str, ...]:
        return (self.given,) if specialist and self.given else ()

    def _after(self, specialist: bool) -> tuple[tuple[str, Cell], ...]:
        found = self.alone() if specialist else None
        return () if found is None else (("specialist", found),)


def _specialist(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector in asked.detectors:
        make = _Cells("specialist", detector, asked, facts)
        if make.named is None and make.given is None:
            left_out.append(f"specialist: {detector} has none here, so that there is nothing to take away")
            continue
        if (alone := make.alone()) is not None:
            yield alone
        else:
            left_out.append("the specialist alone: it was trained elsewhere; mmidd score scores it on the same rows")
        yield from make.both(make.align("without a specialist", make.direct, specialist=False))
        yield from make.both(make.align("with the specialist", make.direct))


def _rl(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector in asked.detectors:
        make = _Cells("rl", detector, asked, facts)
        yield from make.both(make.align("aligned", make.direct))
        yield from make.both(make.reinforced("aligned and reinforced", make.direct))


def _chain(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector in asked.detectors:
        make = _Cells("chain", detector, asked, facts)
        yield make.reinforced("answered at once", make.direct)
        yield make.reinforced(f"answered {REASONS}", make.behind)


def _rewards(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    if same := [word for word in asked.settings if word.rpartition(".")[2].split("=")[0].strip() == "rewards"]:
        left_out.append(f"rewards: --set {same[0]} is set for every run, and is what this ablation changes")
        return
    for detector in asked.detectors:
        make = _Cells("rewards", detector, asked, facts)
        for title, words in REWARDS.items():
            yield from make.both(make.reinforced(title, make.direct, words))


def _language(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector in asked.detectors:
        make = _Cells("language", detector, asked, facts)
        if (alone := make.alone()) is not None:
            yield alone
        yield make.align("aligned, no specialist", make.direct, specialist=False)
        yield make.align("aligned", make.direct)
        yield from make.both(make.reinforced("aligned and reinforced", make.direct))


ABLATIONS: dict[str, Cells] = {
    "specialist": _specialist, "rl": _rl, "chain": _chain, "rewards": _rewards, "language": _language,
}  # fmt: skip
