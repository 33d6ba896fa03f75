"""Which runs answer what was asked: a pure function of the request and of what the corpus holds. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations, product
from typing import Any

from mmidd.engine.files import digest
from mmidd.studies.facts import Facts

BY_NAME = ("leave-domain-out", "two-domains", "one-domain", "leave-attack-out", "leave-family-out")
"""Studies of presentation attacks, which are done where they are named."""
STUDIES = ("in-domain", "leave-one-out", "pairs", "scaling", "sd2", *BY_NAME)
FRACTIONS = (0.1, 0.3, 1.0)
ABLATION = (
    ("L_C + L_S", ("clam=false", "captions=none")),
    ("+ CLAM", ("captions=none",)),
    ("+ L_D of face captions", ("captions=face",)),
    ("full: + L_D of environment captions", ()),
)
"""SD2's ablation, as its paper orders it."""
WHOLE = ("train", "test")
"""Of a dataset that nothing was trained on: all of it but its validation split."""
OWN = ""
"""The corpus that is trained on, as a test: its test split."""


@dataclass(frozen=True)
class Chosen:
    """Which rows of train: `without`: all datasets but these, by slug; `unseen`: a column (`method`, `attack`) and the value
    of it that no row has; the rest as in `runs.data.Selection`."""

    without: tuple[str, ...] = ()
    fraction: float = 1.0
    paired: bool | None = None
    holdout: float | None = None
    unseen: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        parts = [f"without-{slug}" for slug in self.without]
        parts += [f"unseen-{_file_name(self.unseen)}"] if self.unseen else []
        parts += [] if self.fraction == 1 else [f"fraction-{self.fraction:g}"]
        parts += [] if self.paired is None else ["paired" if self.paired else "unpaired"]
        parts += [] if self.holdout is None else [f"holdout-{self.holdout:g}"]
        return ".".join(parts or ["all"])

    def __str__(self) -> str:
        """For people."""
        parts = [f"all but {', '.join(self.without)}" if self.without else "all datasets"]
        parts += [f"no attack with {self.unseen[1]}"] if self.unseen else []
        parts += [] if self.fraction == 1 else [f"{self.fraction:g} of the groups"]
        parts += [] if self.paired is None else ["fakes with their reals" if self.paired else "no fake with its real"]
        parts += [] if self.holdout is None else [f"validated on {self.holdout:g} of train's groups"]
        return ", ".join(parts)


@dataclass(frozen=True, order=True)
class Test:
    """What is scored: the test split, or several `splits`, of a corpus (OWN, or the name that another was given), of these
    datasets alone. `attacks`: a column (`method`, `attack`) and its value: live, and of the attacks these alone. `reasons`:
    by the answer behind the reasons that the model is first asked for."""

    corpus: str = OWN
    only: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("test",)
    attacks: tuple[str, ...] = ()
    reasons: bool = False

    @property
    def name(self) -> str:
        """A file's name."""
        own = "-and-".join(self.splits)
        parts = (f"cross-{self.corpus}" if self.corpus else own, *self.only, *["reasons"] * self.reasons)
        return "-".join((*parts, _file_name(self.attacks)) if self.attacks else parts)

    def __str__(self) -> str:
        where = self.corpus or f"its {' and '.join(self.splits)} split"
        return f"{where}: {', '.join(self.only)}" if self.only else where


def _file_name(held: tuple[str, ...]) -> str:
    """Of a column and its value; names of methods have any letters."""
    plain = "-".join("".join(c if c.isascii() and c.isalnum() else "_" for c in each) for each in held)
    return f"{plain[:60]}-{digest(list(held))[:6]}"


@dataclass(frozen=True)
class Trial:
    """One training, and what it is tested on. Trainings that are equal are one trial, whichever studies ask for them.

    `after`: options that name the run of another trial, by that trial's name: it is done first.
    """

    detector: str
    preset: str
    settings: tuple[str, ...]
    chosen: Chosen
    seed: int
    tests: tuple[Test, ...] = ()
    after: tuple[tuple[str, str], ...] = ()

    @property
    def run(self) -> str:
        """The name of its run folder, which the seeds share (but one of which each comes after another trial); stable."""
        asked = [list(self.settings), *([dict(self.after)] if self.after else ())]
        words = (f"set-{digest(*asked)[:8]}",) if self.settings or self.after else ()
        return ".".join((self.detector, self.preset, *words, self.chosen.name))

    @property
    def name(self) -> str:
        return f"{self.run}.seed-{self.seed}"

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Line:
    """A line of the table: one test of the trials that differ in their seed alone, by their names."""

    study: str
    title: str
    trials: tuple[str, ...]
    test: Test


@dataclass(frozen=True)
class Asked:
    """`studies` None: all that the corpus and the detectors allow; what is asked for by name and cannot be is told too.
    `tests`: the names of further corpora."""

    detectors: tuple[str, ...]
    studies: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str = "tiny"
    settings: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    holdout: float | None = None
    specialist: str | None = None
    """Of ablations: a detector that is trained as a specialist, or the folder of a run."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """`trials`: each once, all of the first seed first, so that a study that is stopped early has a whole table of one
    seed. `left_out`: what was asked for and cannot be, with the reason."""

    trials: tuple[Trial, ...]
    lines: tuple[Line, ...]
    left_out: tuple[str, ...]

    def trial(self, name: str) -> Trial:
        return next(each for each in self.trials if each.name == name)


@dataclass(frozen=True)
class Cell:
    """A row of a study: `words` beside those that are asked for of every run (all of its words, where `whole`), another
    `preset` than theirs, and `after`: options that name the run of another cell."""

    study: str
    title: str
    detector: str
    words: tuple[str, ...]
    chosen: Chosen
    tests: tuple[Test, ...]
    preset: str | None = None
    whole: bool = False
    after: tuple[tuple[str, Cell], ...] = ()

    def trial(self, asked: Asked, seed: int) -> Trial:
        words = self.words if self.whole else (*asked.settings, *self.words)
        after = tuple((option, cell.trial(asked, seed).name) for option, cell in self.after)
        chosen = replace(self.chosen, holdout=asked.holdout)
        return Trial(self.detector, self.preset or asked.preset, words, chosen, seed, after=after)


Cells = Callable[[Asked, Facts, list[str]], Iterator[Cell]]


def grid(asked: Asked, facts: Facts, ablations: Mapping[str, Cells] | None = None) -> Grid:
    """The trials and the table's lines. `ablations`: further studies, by the names that they are asked for."""
    left_out = _of_its_test(facts)
    studies = {name: cells for name, cells in _CELLS.items() if _wants(asked, name)}
    studies |= {name: cells for name, cells in (ablations or {}).items() if name in (asked.studies or ())}
    tests: dict[Trial, dict[Test, None]] = {}
    lines: dict[Line, None] = {}
    for cells in studies.values():
        for cell in cells(asked, facts, left_out):
            _begun_with(cell, asked, tests)
            seeds = [cell.trial(asked, seed) for seed in asked.seeds]
            for trial, test in product(seeds, cell.tests):
                tests.setdefault(trial, {})[test] = None
            for test in cell.tests:
                lines[Line(cell.study, cell.title, tuple(each.name for each in seeds), test)] = None
    trials = [replace(trial, tests=tuple(sorted(found))) for trial, found in tests.items()]
    order = sorted(trials, key=lambda trial: asked.seeds.index(trial.seed))
    return Grid(tuple(order), tuple(lines), tuple(left_out))


def _begun_with(cell: Cell, asked: Asked, tests: dict[Trial, dict[Test, None]]) -> None:
    """What a cell comes after is a trial too, and before it; it is tested on as much, in one forward pass a row."""
    for _, other in cell.after:
        _begun_with(other, asked, tests)
        for seed in asked.seeds:
            tests.setdefault(other.trial(asked, seed), {}).update(dict.fromkeys(other.tests))


def _wants(asked: Asked, study: str) -> bool:
    if asked.studies is not None:
        return study in asked.studies
    return study not in BY_NAME and (study != "sd2" or "sd2" in asked.detectors)


def _of_its_test(facts: Facts) -> list[str]:
    """What its own test split cannot tell."""
    if not facts.count(["test"]):
        return ["its test split: the corpus has no row in it; only --test corpora are tested on"]
    if missing := facts.missing(["test"], [each.dataset for each in facts.rows]):
        return [f"every AUROC of its test split: it has no {missing[0]}, so that nothing can be ranked"]
    return []


def _everywhere(asked: Asked, facts: Facts) -> tuple[Test, ...]:
    """The own test split where there is one, and each further corpus."""
    own = (Test(),) if facts.count(["test"]) else ()
    return (*own, *(Test(name) for name in asked.tests))


def _in_domain(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector in asked.detectors:
        for title, own in (("in-domain", True), ("cross-domain", False)):
            tests = tuple(each for each in _everywhere(asked, facts) if (each.corpus == OWN) == own)
            yield Cell("in-domain", title, detector, (), Chosen(), tests)


def _leave_one_out(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    """Of each dataset that can be tested: trained without it, and, on the very same rows, trained with it."""
    reasons = {slug: _untestable(facts, slug) for slug in facts.datasets}
    left_out += [why for why in reasons.values() if why]
    able = [slug for slug, why in reasons.items() if not why]
    for detector, slug in product(asked.detectors, able):
        test = (Test(only=(slug,)),)
        yield Cell("leave-one-out", "left out of training", detector, (), Chosen(without=(slug,)), test)
        yield Cell("leave-one-out", "trained on as well", detector, (), Chosen(), test)


def _untestable(facts: Facts, slug: str) -> str | None:
    """Why leaving this dataset out cannot be tested."""
    told = f"leave-one-out of {facts.name(slug)}: "
    if not facts.has("test", slug):
        return told + "it has no test split"
    if missing := facts.missing(["test"], [slug]):
        return told + f"its test split has no {' and no '.join(missing)}, so that nothing can be ranked"
    others = [each for each in facts.datasets if each != slug]
    if missing := facts.missing(["train"], others):
        return told + f"the other datasets have no {' and no '.join(missing)} to train on"
    return None


def _pairs(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    if not facts.pairs:
        left_out.append("pairs: no fake of train has its real there, frame for frame")
        return
    for detector in asked.detectors:
        half = Chosen(fraction=0.5, paired=True)
        yield Cell("pairs", "paired, half of the groups", detector, (), half, _everywhere(asked, facts))
        yield Cell("pairs", "unpaired, about as many rows", detector, (), Chosen(paired=False), _everywhere(asked, facts))


def _scaling(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    for detector, fraction in product(asked.detectors, FRACTIONS):
        title = f"{fraction:g} of the groups"
        yield Cell("scaling", title, detector, (), Chosen(fraction=fraction), _everywhere(asked, facts))


def _ablation(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
    own = {word.split("=")[0] for _, words in ABLATION for word in words}
    if same := [word for word in asked.settings if word.split("=")[0].strip() in own]:
        left_out.append(f"sd2: --set {same[0]} is set for every run, and is what the ablation changes from line to line")
        return
    for title, words in ABLATION:
        yield Cell("sd2", title, "sd2", words, Chosen(), _everywhere(asked, facts))


def _domains(study: str, sources: int | None) -> Cells:
    """Trained on so many datasets (None: on all but one), tested on the whole of each other one, train and test: nothing of
    it was trained on. Its validation split is left out, as the papers leave it."""

    def cells(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
        many = len(facts.datasets) - 1 if sources is None else sources
        if not 0 < many < len(facts.datasets):
            left_out.append(f"{study}: {max(2, many + 1)} datasets are needed, train has {len(facts.datasets)}")
            return
        splits = tuple(split for split in WHOLE if facts.count([split]))
        lacking = {slug: facts.missing(splits, [slug]) for slug in facts.datasets}
        for slug in (each for each, classes in lacking.items() if classes):
            left_out.append(f"{study} to {facts.name(slug)}: it has no {' and no '.join(lacking[slug])} to test")
        for chosen in combinations(facts.datasets, many):
            names = ", ".join(map(facts.name, chosen))
            if missing := facts.missing(["train"], chosen):
                left_out.append(f"{study} from {names}: no {' and no '.join(missing)} to train on")
                continue
            without = tuple(slug for slug in facts.datasets if slug not in chosen)
            tests = tuple(Test(only=(slug,), splits=splits) for slug in without if not lacking[slug])
            for detector in asked.detectors if tests else ():
                yield Cell(study, f"from {names}", detector, (), Chosen(without=without), tests)

    return cells


def _unseen(study: str, column: str) -> Cells:
    """Of each instrument, or family of them: trained without its attacks, and, on the very same rows, trained with them."""

    def cells(asked: Asked, facts: Facts, left_out: list[str]) -> Iterator[Cell]:
        if not facts.attacks:
            left_out.append(f"{study}: the corpus has no presentation attack")
        for value in sorted({getattr(each, column) for each in facts.attacks}):
            told = f"{study} of {value}: "
            held = [each for each in facts.attacks if getattr(each, column) == value]
            slugs = tuple(sorted({each.dataset for each in held if each.split == "test"}))
            others = {each.dataset for each in facts.attacks if each.split == "train" and each not in held}
            if not slugs:
                left_out.append(told + "no attack of the test split is one")
            elif "real" in facts.missing(["test"], slugs):
                left_out.append(told + "the test split of its datasets has no live")
            elif not others:
                left_out.append(told + "no other attack is left to train on")
            else:
                test = (Test(only=slugs, attacks=(column, value)),)
                for detector in asked.detectors:
                    left = Chosen(unseen=(column, value))
                    yield Cell(study, "left out of training", detector, (), left, test)
                    yield Cell(study, "trained on as well", detector, (), Chosen(), test)

    return cells


_CELLS: dict[str, Cells] = {
    "in-domain": _in_domain, "leave-one-out": _leave_one_out, "pairs": _pairs, "scaling": _scaling, "sd2": _ablation,
    "leave-domain-out": _domains("leave-domain-out", None), "two-domains": _domains("two-domains", 2),
    "one-domain": _domains("one-domain", 1), "leave-attack-out": _unseen("leave-attack-out", "method"),
    "leave-family-out": _unseen("leave-family-out", "attack"),
}  # fmt: skip
