"""How far what a model says is why it answers as it does: figures of its replies, each with an interval over groups and with
what it would be by chance. Arrays in, figures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.evaluation.figures import Figure
from mmidd.statistics.resampling import Draws, interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NONE = -1
"""In place of an answer, where there is none."""


@dataclass(frozen=True, eq=False)
class Replies:
    """What was found of n rows. `label`, `answer`, `argues` (what the reasons speak for): 0 real, 1 fake, NONE; `direct`,
    `alone`: scores without reasons, and of the reasons without the picture, NaN where there is none; `chain`, `regions` and
    `flags`: the reasons, the parts of a face that they name, what must not pass unflagged in them; `wrong`: why there is no
    answer; `grey`: are they what it says of a grey picture?

    By covering, NaN where nothing could be covered: `named`, `others`: how far the score moved when the named parts were
    covered, and as much of the rest. Of rows with a mask, else NaN: `inside`, `inside_others`, `inside_any`: the share of
    the mask within the named parts, within those that other replies name, within anything of that area.
    """

    group: npt.NDArray[Any]
    label: Ints
    answer: Ints
    argues: Ints
    direct: Floats
    alone: Floats
    chain: Sequence[str]
    regions: Sequence[tuple[str, ...]]
    flags: Sequence[tuple[str, ...]]
    wrong: Sequence[str | None]
    grey: Bools
    named: Floats
    others: Floats
    inside: Floats
    inside_others: Floats
    inside_any: Floats

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Line:
    """A check: what was found, what it would be by chance, their difference. `beside`: what chance means here."""

    check: str
    what: str
    found: Figure
    chance: Figure | None
    difference: Figure | None
    beside: str = ""

    def document(self) -> dict[str, Any]:
        rest = {name: each and each.document() for name, each in (("chance", self.chance), ("difference", self.difference))}
        return {"check": self.check, "what": self.what, "found": self.found.document(), **rest, "beside": self.beside}


SAYS = {
    "follows": "That an answer follows from its reasons is no proof that the model went by them: it may have settled on the "
    "answer first and found words for it. That it does not is proof that the reasons alone do not carry it.",
    "covering": "Covering changes a picture into one that the model never saw, and the score without reasons is another "
    "answer than the one that was explained. A difference of 0 is no proof that the part does not matter: what it shows may "
    "be seen elsewhere too. Nor is a difference proof that it mattered for what was said of it.",
    "agreement": "Reasons and answers agree also where both say the same of every picture: then chance is as high as what "
    "was found. Which way reasons argue is told by a list of English words.",
    "masks": "Faces lie in the middle of a crop, and so do masks: what counts is the difference to the parts that other "
    "replies name. A mask says where pixels were changed, not where that can be seen; where a part lies is told by five "
    "points of the face.",
    "replies": "That replies differ is no proof that they are of the picture, only that they do not all come from the "
    "question.",
}
"""What each check does not prove."""
_BESIDE = {
    "follows": "the reasons of other rows",
    "covering": "as large an area that was not named",
    "agreement": "as many of each, in no relation",
    "masks": "the parts that other replies name",
    "area": "anything of that area",
}


def lines(found: Replies, *, seed: int = 0, resamples: int = 1000) -> list[Line]:
    """All checks."""
    draws = Draws.of(found.group, seed=seed, resamples=resamples)
    return [*_agreements(found, draws), *_covered(found, draws), *_masks(found, draws), *_replies(found, draws)]


def _agreements(found: Replies, draws: Draws) -> list[Line]:
    alone = _sides(found.alone)
    direct = _sides(found.direct)
    pairs = (
        ("follows", "answer and what its reasons alone give", found.answer, alone),
        ("agreement", "answer and what its reasons argue for", found.answer, found.argues),
        ("agreement", "answer and the score without reasons", found.answer, direct),
        ("agreement", "answer and label", found.answer, found.label),
        ("agreement", "what reasons argue for and label", found.argues, found.label),
    )
    return [_agreement(check, what, first, second, draws) for check, what, first, second in pairs]


def _sides(scores: Floats) -> Ints:
    """Fake from 0.5 on, as everywhere."""
    return np.where(np.isnan(scores), NONE, scores >= 0.5).astype(np.int64)


def _agreement(check: str, what: str, first: Ints, second: Ints, draws: Draws) -> Line:
    """Of the rows that have both."""
    rows = (first != NONE) & (second != NONE)
    key = np.where(rows, 2 * first + second, 0)
    whole = np.bincount(key[rows], minlength=4)[None].astype(np.float64)
    drawn = draws.sums(key, 4, rows=rows) if not draws.few else np.zeros((0, 4))

    def parts(counts: Floats) -> tuple[Floats, Floats]:
        total = np.maximum(counts.sum(1), 1e-9)
        agree = (counts[:, 0] + counts[:, 3]) / total
        ones = ((counts[:, 2] + counts[:, 3]) / total, (counts[:, 1] + counts[:, 3]) / total)
        chance = ones[0] * ones[1] + (1 - ones[0]) * (1 - ones[1])
        none = counts.sum(1) == 0
        return np.where(none, np.nan, agree), np.where(none, np.nan, chance)

    now, then = parts(whole), parts(drawn)
    made = [_figure(float(value[0]), spread, rows, draws) for value, spread in zip(now, then, strict=True)]
    differ = _figure(float(now[0][0] - now[1][0]), then[0] - then[1], rows, draws)
    return Line(check, what, made[0], made[1], differ, _BESIDE[check])


def _covered(found: Replies, draws: Draws) -> list[Line]:
    return [
        _paired("covering", "how far the score moves", found.named, found.others, draws, _BESIDE["covering"]),
    ]


def _masks(found: Replies, draws: Draws) -> list[Line]:
    what = "share of the mask in the named parts"
    return [
        _paired("masks", what, found.inside, found.inside_others, draws, _BESIDE["masks"]),
        _paired("masks", what, found.inside, found.inside_any, draws, _BESIDE["area"]),
    ]


def _paired(check: str, what: str, first: Floats, second: Floats, draws: Draws, beside: str) -> Line:
    rows = ~np.isnan(first) & ~np.isnan(second)
    found, chance, differs = (mean(each, rows, draws) for each in (first, second, first - second))
    return Line(check, what, found, chance, differs, beside)


def _replies(found: Replies, draws: Draws) -> list[Line]:
    every, count = np.ones(len(found), bool), max(1, len(found))
    shares = {
        "no answer that can be read": [wrong is not None for wrong in found.wrong],
        "no reasons": [not chain.strip() for chain in found.chain],
        "names a part of the face": [bool(each) for each in found.regions],
        "flagged": [bool(each) for each in found.flags],
        "as of a grey picture": found.grey,
    }
    made = [Line("replies", what, mean(np.asarray(each, float), every, draws), None, None) for what, each in shares.items()]
    chains = Counter(found.chain)
    most = chains.most_common(1)[0][1] if chains else 0
    others = (
        ("different reasons, of all", len(chains) / count), ("the most frequent reasons, of all", most / count),
        ("bits in which parts are named", entropy(found.regions)),
    )  # fmt: skip
    alike = "a count of these rows: no interval"
    return [*made, *(Line("replies", what, Figure(value, rows=len(found), why=alike), None, None) for what, value in others)]


def entropy(regions: Sequence[tuple[str, ...]]) -> float:
    """Bits of the sets of named parts over the rows: 0 where all name the same."""
    shares = np.array([*Counter(regions).values()], float)
    shares /= max(1.0, shares.sum())
    return float(-(shares * np.log2(shares)).sum()) + 0.0 if len(shares) else 0.0


def mean(values: Floats, rows: Bools, draws: Draws) -> Figure:
    """Of the values of these rows."""
    if not rows.any():
        return Figure(None, why="no row of this kind")
    place, weight = np.zeros(len(values), np.int64), np.where(rows, values, 0.0)
    spread = np.zeros(0)
    if not draws.few:
        counts = draws.sums(place, 1, rows=rows)[:, 0]
        sums = draws.sums(place, 1, weight=weight, rows=rows)[:, 0]
        spread = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return _figure(float(weight[rows].mean()), spread, rows, draws)


def _figure(value: float, spread: Floats, rows: Bools, draws: Draws) -> Figure:
    count, groups = int(rows.sum()), draws.held(rows)
    if not count:
        return Figure(None, why="no row of this kind")
    if draws.few or groups < 5:
        return Figure(value, rows=count, groups=groups, why=f"{groups} groups are too few for an interval")
    found = interval(spread)
    if found is None:
        return Figure(value, rows=count, groups=groups, why="too many resamples lack such rows for an interval")
    return Figure(value, *found, rows=count, groups=groups)
