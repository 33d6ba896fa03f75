"""One long table of everything: a row a figure, as CSV has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmidd.evaluation.compare import Comparison
from mmidd.evaluation.evaluate import Evaluated, Evaluation
from mmidd.evaluation.figures import Figure
from mmidd.evaluation.subsets import ALL

COLUMNS = ("file", "level", "policy", "subset", "metric", "value", "low", "high", "rows", "groups", "why")
_TESTS = ("p", "clustered", "delong", "adjusted_p", "adjusted_clustered", "adjusted_delong")


@dataclass(frozen=True)
class Row:
    """`policy`: counted, scored; of pairs and rankings theirs; `with samples` for what is of the corpus's columns."""

    file: str
    level: str
    policy: str
    subset: str
    metric: str
    figure: Figure

    def cells(self) -> tuple[object, ...]:
        """By COLUMNS."""
        f = self.figure
        return (
            self.file, self.level, self.policy, self.subset, self.metric, f.value, f.low, f.high, f.rows, f.groups, f.why
        )  # fmt: skip


def rows(found: Evaluation | Comparison) -> Iterator[Row]:
    """Every figure."""
    if isinstance(found, Comparison):
        yield from _comparison(found)
        return
    for each in found.files:
        yield from _file(each)
    for degraded in found.robustness:
        subset = f"degradation {degraded.degradation}"
        yield Row(degraded.file, "clip", "counted", subset, "auroc less the clean", degraded.difference)
    for seeds in found.seeds:
        subset, figure = f"{len(seeds.values)} seeds: mean and range", Figure(seeds.mean, seeds.low, seeds.high)
        yield Row(seeds.model, "clip", "counted", subset, seeds.metric, figure)


def _file(each: Evaluated) -> Iterator[Row]:
    for line in each.lines:
        yield Row(each.name, line.level, line.policy, line.subset, line.metric, line.figure)
    for level, tables in each.matrices.items():
        for matrix in tables:
            for real, cells in zip(matrix.reals, matrix.cells, strict=True):
                for fake, figure in zip(matrix.fakes, cells, strict=True):
                    subset = f"matrix, reals of {real}, fakes of {fake}"
                    yield Row(each.name, level, matrix.policy, subset, "auroc", figure)
    for level, figure in (("clip", each.leaks.clip), ("frame", each.leaks.frame)):
        yield Row(each.name, level, "scored", ALL, "columns_alone_auroc", figure)
    for cover in each.coverage:
        for label in ("real", "fake"):
            total = cover.lacking(label)[1]
            figure = Figure(cover.share(label), rows=total, why="" if total else f"no {label} rows")
            yield Row(each.name, cover.level, "counted", cover.subset, f"coverage_{label}", figure)
    for name, figure in each.explained.items():
        yield Row(each.name, "frame", "counted", ALL, f"replies_{name}", figure)
    for gap in each.gaps:
        for end, figure in (("", gap.figure), (" of the others", gap.others), (" less the others", gap.difference)):
            yield Row(each.name, "clip", "counted", f"{gap.attribute}: {gap.value}", f"{gap.metric}{end}", figure)


def _comparison(found: Comparison) -> Iterator[Row]:
    for ranking in found.rankings:
        for name, figure in ranking.figures.items():
            yield Row(name, found.level, ranking.policy, ALL, "auroc", figure)
    for pair in found.pairs:
        name = f"{pair.first} minus {pair.second}"
        yield Row(name, found.level, pair.policy, ALL, pair.metric, pair.difference)
        for test in _TESTS:
            if getattr(pair, test) is not None:
                yield Row(name, found.level, pair.policy, ALL, f"{pair.metric} {test}", Figure(getattr(pair, test)))
