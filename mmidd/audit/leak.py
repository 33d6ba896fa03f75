"""Can a classifier read the label from the captions? Words and style against class, type and dataset, held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from mmidd.audit.features import Features, of_absence, of_texts, require
from mmidd.audit.ranking import Area, Floats, area
from mmidd.audit.results import CheckPart, Untested, finding
from mmidd.audit.rows import FIELDS, Bools, Coded, Ints
from mmidd.curation.losses import SIGNIFICANCE
from mmidd.findings import Finding
from mmidd.statistics import holm

TOLERATED = 0.55
"""An AUC up to here is no finding: 0.5 is chance."""
FOLDS = 5
LEAST_GROUPS = 10
"""A question is asked only if this many groups hold the class, and as many the others."""
TOP_WORDS = 8
_SHOWN = 6

Target = Literal["real or fake", "forgery type", "dataset"]
Held = Literal["group", "dataset"]
_ADVICE = {
    "real or fake": "look at the words named: a detector that reads captions can learn them instead of the forgery; take "
    "another prompt or captioner, or caption all classes with the same one",
    "forgery type": "look at the words named: captions of some forgery types are written otherwise than those of others",
    "dataset": "scenes differ between datasets, so some of this is true description; words of style, length or one "
    "captioner for one dataset are not: caption all datasets alike",
}


@dataclass(frozen=True, eq=False)
class Sampled:
    """The rows that are tested (n): codes, and the texts of each field, None where there is no caption."""

    dataset: Coded
    label: Coded
    kind: Coded
    group: Coded
    texts: dict[str, list[str | None]]


@dataclass(frozen=True, eq=False)
class Question:
    """Tell `positive` rows from the others. `folds` are held out in turn; only rows of one stratum are compared."""

    target: Target
    held_out: Held
    positive: str
    rows: Ints
    truth: Bools
    folds: Ints
    strata: Ints


@dataclass(frozen=True)
class Leak:
    """How well one field's text answers one question; `dataset` None: over all that hold both sides.

    `adjusted` is the one-sided p that the AUC is no higher than TOLERATED, after Holm's correction over all of an audit.
    """

    target: Target
    held_out: Held
    positive: str
    field: str
    dataset: str | None
    rows: int
    groups: int
    area: Area
    towards: tuple[str, ...]
    against: tuple[str, ...]
    adjusted: float = 1.0

    @property
    def flagged(self) -> bool:
        return self.area.low > TOLERATED and self.adjusted < SIGNIFICANCE

    def __str__(self) -> str:
        where = f" within {self.dataset}" if self.dataset else ""
        return (
            f"{self.field} tells {self.positive} from the rest{where}, held out by {self.held_out}: AUC {self.area.auc:.3f} "
            f"({self.area.low:.3f} to {self.area.high:.3f}), {self.rows} captions of {self.groups} groups"
        )


def leak_test(sample: Sampled, seed: int) -> CheckPart:
    """Every question on every field. Raises MissingExtra without scikit-learn."""
    require()
    found: list[Leak] = []
    untested: dict[Untested, list[str]] = {}
    folds = deal(sample, seed)
    for field, rows, features in _fields(sample):
        for answer in _questions(sample, rows, folds):
            if isinstance(answer, Untested):
                untested.setdefault(answer, []).append(field)
            else:
                found += _answer(sample, field, rows, features, answer, seed)
    adjusted = holm([leak.area.above(TOLERATED) for leak in found])
    leaks = [replace(leak, adjusted=p) for leak, p in zip(found, adjusted, strict=True)]
    told = [Untested(f"leak: {each.check} ({', '.join(names)})", each.because) for each, names in untested.items()]
    return CheckPart("leak", tuple(_lines(leaks)), _figures(leaks), tuple(_findings(leaks)), tuple(told))


def deal(sample: Sampled, seed: int) -> Ints:
    """A fold for each row, 0..FOLDS-1: a group is in one fold whole; groups of like content are dealt out evenly."""
    groups = sample.group.codes
    content: dict[int, set[tuple[int, int]]] = {}
    for group, dataset, kind in zip(groups.tolist(), sample.dataset.codes.tolist(), sample.kind.codes.tolist(), strict=True):
        content.setdefault(group, set()).add((dataset, kind))
    lots = np.random.default_rng(seed).permutation(sorted(content))
    dealt = sorted(lots.tolist(), key=lambda group: sorted(content[group]))
    fold = {group: place % FOLDS for place, group in enumerate(dealt)}
    return np.array([fold[group] for group in groups.tolist()], dtype=np.int64)


def _fields(sample: Sampled) -> Iterator[tuple[str, Ints, Features]]:
    """What is read: each field, both, and whether there is a caption at all; with the rows that have it."""
    here = {name: np.array([text is not None for text in sample.texts[name]], dtype=np.bool_) for name in FIELDS}
    made: dict[str, Features] = {}
    both = np.logical_and(*here.values())
    for name in FIELDS:
        rows = np.flatnonzero(here[name])
        if len(rows):
            made[name] = of_texts([sample.texts[name][row] or "" for row in rows], name)
            yield name, rows, made[name]
        else:
            yield name, rows, of_absence([])
    if both.any():
        parts = [Features(made[name].matrix[both[here[name]]], made[name].names) for name in FIELDS]
        yield "both", np.flatnonzero(both), parts[0].beside(parts[1])
    missing = ~np.logical_or(*here.values())
    if missing.any() and not missing.all():
        yield "missing", np.arange(len(missing)), of_absence(missing.tolist())


def _questions(sample: Sampled, rows: Ints, folds: Ints) -> Iterator[Question | Untested]:
    yield from _of_label(sample, rows, folds)
    yield from _of_type(sample, rows, folds)
    yield from _of_dataset(sample, rows, folds)


def _of_label(sample: Sampled, rows: Ints, folds: Ints) -> Iterator[Question | Untested]:
    rows = rows[sample.label.codes[rows] < 2]
    fake, dataset = sample.label.codes[rows] == 1, sample.dataset.codes[rows]
    two = np.array([code for code in np.unique(dataset) if len(np.unique(fake[dataset == code])) == 2], dtype=np.int64)
    within = np.isin(dataset, two)
    rows, fake, dataset = rows[within], fake[within], dataset[within]
    check: Target = "real or fake"
    if not len(two):
        yield Untested(check, "no dataset has captions of real and of fake")
        return
    yield _checked(sample, Question(check, "group", "fake", rows, fake, folds[rows], _crossed(folds[rows], dataset)))
    if len(two) == 1:
        name = sample.dataset.names[two[0]]
        yield Untested(f"{check}, held out by dataset", f"only one dataset ({name}) has captions of real and of fake")
        return
    yield _checked(sample, Question(check, "dataset", "fake", rows, fake, dataset, dataset))


def _of_type(sample: Sampled, rows: Ints, folds: Ints) -> Iterator[Question | Untested]:
    known = sample.kind.codes[rows]
    rows = rows[(known > 0) & (known < len(sample.kind.names) - 1)]
    kinds, dataset = sample.kind.codes[rows], sample.dataset.codes[rows]
    two = [code for code in np.unique(dataset) if len(np.unique(kinds[dataset == code])) > 1]
    if not two:
        yield Untested("forgery type", "no dataset has captions of two known forgery types")
        return
    within = np.isin(dataset, two)
    rows, kinds, dataset = rows[within], kinds[within], dataset[within]
    for kind in np.unique(kinds):
        strata, name = _crossed(folds[rows], dataset), sample.kind.names[kind]
        yield _checked(sample, Question("forgery type", "group", name, rows, kinds == kind, folds[rows], strata))


def _of_dataset(sample: Sampled, rows: Ints, folds: Ints) -> Iterator[Question | Untested]:
    dataset = sample.dataset.codes[rows]
    present = np.unique(dataset)
    if len(present) < 2:
        yield Untested("dataset", "captions come from one dataset" if len(present) else "there are no captions")
        return
    for code in present:
        name = sample.dataset.names[code]
        yield _checked(sample, Question("dataset", "group", name, rows, dataset == code, folds[rows], folds[rows]))


def _crossed(first: Ints, second: Ints) -> Ints:
    return first * (int(second.max(initial=0)) + 1) + second


def _checked(sample: Sampled, question: Question) -> Question | Untested:
    """The question, or why there is too little to answer it."""
    groups, strata, truth = sample.group.codes[question.rows], question.strata, question.truth
    compared = np.isin(strata, np.intersect1d(strata[truth], strata[~truth]))
    for side, name in ((truth, question.positive), (~truth, f"anything but {question.positive}")):
        count = len(np.unique(groups[side & compared]))
        if count < LEAST_GROUPS:
            return Untested(
                f"{question.target}, {question.positive}, held out by {question.held_out}",
                f"only {count} groups that can be compared hold {name}; {LEAST_GROUPS} are needed",
            )
    return question


def _answer(sample: Sampled, field: str, rows: Ints, features: Features, question: Question, seed: int) -> Iterator[Leak]:
    """One area over all datasets, and one for each dataset that is large enough by itself."""
    matrix = features.matrix[np.searchsorted(rows, question.rows)]
    groups, dataset = sample.group.codes[question.rows], sample.dataset.codes[question.rows]
    weights = _weights(question.truth, dataset if question.target != "dataset" else np.zeros_like(dataset))
    scores = _held_out_scores(matrix, question, weights)
    towards, against = _top_words(matrix, question.truth, weights, features.names)
    scopes: list[tuple[str | None, Bools]] = [(None, np.ones(len(scores), dtype=np.bool_))]
    if question.target != "dataset" and len(np.unique(dataset)) > 1:
        scopes += [(sample.dataset.names[code], dataset == code) for code in np.unique(dataset)]
    for name, mask in scopes:
        truth, owners = question.truth[mask], groups[mask]
        if name is not None and min(len(np.unique(owners[truth])), len(np.unique(owners[~truth]))) < LEAST_GROUPS:
            continue
        found = area(scores[mask], truth, question.strata[mask], owners, seed)
        if found is not None:
            yield Leak(
                question.target, question.held_out, question.positive, field, name, len(truth), len(np.unique(owners)),
                found, towards, against,
            )  # fmt: skip


def _weights(truth: Bools, dataset: Ints) -> Floats:
    """Real and fake weigh alike within every dataset: what only tells the dataset is no help."""
    cell = np.unique(dataset * 2 + truth, return_inverse=True)[1]
    return np.asarray(len(cell) / (len(np.unique(cell)) * np.bincount(cell)))[cell]


def _fit(matrix: Any, truth: Bools, weights: Floats) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="liblinear", random_state=0, max_iter=200)
    return model.fit(matrix, truth, sample_weight=weights)


def _held_out_scores(matrix: Any, question: Question, weights: Floats) -> Floats:
    scores = np.zeros(len(question.truth))
    for fold in np.unique(question.folds):
        test = question.folds == fold
        if len(np.unique(question.truth[~test])) == 2:
            scores[test] = _fit(matrix[~test], question.truth[~test], weights[~test]).decision_function(matrix[test])
    return scores


def _top_words(matrix: Any, truth: Bools, weights: Floats, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words with the greatest weight for and against."""
    weight = _fit(matrix, truth, weights).coef_[0]
    order = np.argsort(-weight, kind="stable")
    return (
        tuple(names[place] for place in order[:TOP_WORDS] if weight[place] > 0),
        tuple(names[place] for place in order[::-1][:TOP_WORDS] if weight[place] < 0),
    )


def _figures(leaks: Sequence[Leak]) -> dict[str, object]:
    tests = []
    for leak in leaks:
        numbers = {name: round(value, 4) for name, value in asdict(leak.area).items()}
        tests.append({**asdict(leak), "area": numbers, "adjusted": float(f"{leak.adjusted:.3g}"), "flagged": leak.flagged})
    return {"tolerated_auc": TOLERATED, "significance": SIGNIFICANCE, "tests": tests}


def _lines(leaks: Sequence[Leak]) -> Iterator[str]:
    """The tests over all datasets, the highest AUC of each target first; those within one dataset are in the document."""
    whole = [leak for leak in leaks if leak.dataset is None]
    for target in ("real or fake", "forgery type", "dataset"):
        mine = sorted((leak for leak in whole if leak.target == target), key=lambda leak: -leak.area.auc)
        for leak in mine[:_SHOWN]:
            yield f"{target}: {leak}"
        if len(mine) > _SHOWN:
            yield f"{target}: {len(mine) - _SHOWN} more tests with lower AUC"


def _findings(leaks: Sequence[Leak]) -> Iterator[Finding]:
    """One for each class of each target: the field and scope that tell it best, and how many more do."""
    flagged: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaks:
        if leak.flagged:
            flagged.setdefault((leak.target, leak.positive), []).append(leak)
    for (target, _), mine in flagged.items():
        best = max(mine, key=lambda leak: leak.area.low)
        more = f" (and {len(mine) - 1} more tests)" if len(mine) > 1 else ""
        words = f"; words for it: {', '.join(best.towards)}; against: {', '.join(best.against)}"
        yield finding(f"leak: {target}", f"{best}{more}{words}", _ADVICE[target])
