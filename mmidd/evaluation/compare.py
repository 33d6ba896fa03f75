"""`mmidd compare`: detectors on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.aligned import aligned
from mmidd.evaluation.comparing import Pair, Ranking, compared, disagreements, rankings
from mmidd.evaluation.files import Chosen, Given, Named, chosen_for, opened
from mmidd.evaluation.leaks import Coverage, coverage_of
from mmidd.evaluation.measures import Setting
from mmidd.evaluation.operating import Rule
from mmidd.evaluation.resampled import check_asked, resamples_for
from mmidd.evaluation.subsets import ALL
from mmidd.results import Result
from mmidd.scores.file import LEVELS

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Result):
    """`disagreements`: where leaving out what has no score turns two detectors round."""

    files: tuple[Named, ...]
    level: str
    coverage: tuple[Coverage, ...]
    chosen: dict[str, Chosen]
    pairs: tuple[Pair, ...]
    rankings: tuple[Ranking, ...]
    disagreements: tuple[str, ...]
    resamples: int

    def document(self) -> dict[str, Any]:
        operating = {name: each.operating for name, each in self.chosen.items()}
        return {
            "format": "mmidd comparison 1",
            "notes": self.notes(),
            "level": self.level,
            "files": [
                {"file": each.name, "split": each.split, "scores": each.file.about.document(), "coverage": told.document()}
                for each, told in zip(self.files, self.coverage, strict=True)
            ],
            "operating": {name: None if each is None else each.document() for name, each in operating.items()},
            "pairs": [each.document() for each in self.pairs],
            "rankings": [each.document() for each in self.rankings],
            "disagreements": list(self.disagreements),
            "resamples": self.resamples,
        }

    def notes(self) -> list[str]:
        """What is to be known of the files."""
        digests = {each.file.about.corpus.get("digest") for each in self.files}
        other = [f"the corpora have {len(digests)} digests: the rows have the same names, their images may be others"]
        same = [
            f"{one.name} and {two.name} hold the same scores: they are one detector twice"
            for one, two in combinations(self.files, 2)
            if _same(one.table(self.level), two.table(self.level))
        ]
        return (other if len(digests) > 1 else []) + same

    def headline(self) -> str:
        """The first ranking, and whether the others agree."""
        first = self.rankings[0]
        told = ", ".join(f"{name} {first.figures[name]}" for name in first.order)
        changes = "; THE RANKING CHANGES" if self.disagreements else ""
        return f"{self.level} AUROC, all count: {told}{changes}"

    def tell(self, console: Console) -> None:
        from mmidd.evaluation.words import compared as told

        told(console, self)

    def write(self, folder: str | Path, *, charts: bool = True) -> Path:
        """All formats and the charts into a new folder. Raises WorkError where it is there and holds anything else."""
        from mmidd.evaluation.writing import write

        return write(Path(folder), self, charts=charts)


def _same(one: pa.Table, other: pa.Table) -> bool:
    """Has one the other's scores, row by row? (All alike says nothing.)"""
    scores = one["score"]
    return bool(scores.equals(other["score"])) and len(scores.unique().drop_null()) > 1


def compare(
    files: Sequence[Given],
    *,
    validation: Sequence[Given] | Given = (),
    rule: str | Rule = "eer",
    level: str = "clip",
    seed: int = 0,
    resamples: int = 1000,
) -> Comparison:
    """Two or more score files of the same rows: `mmidd compare`. Raises ScoreError where they are not, and says what
    differs."""
    if level not in LEVELS:
        raise UsageError(f"--level {level}: there are {' and '.join(LEVELS)}")
    check_asked(resamples, seed)
    named = opened(files)
    if len(named) < 2:
        raise UsageError("compare takes two score files or more; evaluate takes one")
    if lacking := [each.name for each in named if level not in each.file.levels]:
        raise ScoreError(f"{', '.join(lacking)}: clips alone were scored, so frames cannot be compared: leave --level out")
    items = aligned(named, level)
    chosen = chosen_for(named, opened(validation), Rule.parse(rule), seed=seed, resamples=resamples)
    setting = Setting(None, "", seed, resamples)
    pairs = compared(named, items, chosen, setting)
    found = rankings(named, items, pairs, setting)
    coverage = [next(one for one in coverage_of(each, level) if one.subset == ALL) for each in items]
    return Comparison(
        tuple(named), level, tuple(coverage), chosen, tuple(pairs), tuple(found), tuple(disagreements(found)),
        resamples_for(len(items[0]), resamples),
    )  # fmt: skip
