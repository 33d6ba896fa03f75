"""The verbs that tell what score files come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmidd.cli.console import COMPLETE, WITH_FAILURES, say, tell
from mmidd.cli.console import out as console
from mmidd.cli.options import Json, RuleWord
from mmidd.show import plain, shell_word

if TYPE_CHECKING:
    from mmidd.evaluation.compare import Comparison
    from mmidd.evaluation.evaluate import Evaluation

Validation = Annotated[
    list[Path] | None,
    typer.Option(
        "--validation",
        metavar="FILE",
        help="Scores whose validation clips choose the threshold: a run's seed-0/best/scores.parquet (one a detector).",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the resamples.")]
Resamples = Annotated[int, typer.Option("--resamples", min=1, help="How often groups are drawn again for an interval.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FOLDER", help="Also write JSON, Markdown, LaTeX, CSV, HTML and charts here.")
]


def evaluate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Score files (mmidd score writes them).")],
    validation: Validation = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus", metavar="CORPUS", help="The corpus that was scored: what its columns leak, groups in train, attacks."
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="COLUMN", help="Gaps by a column of the scores or the corpus, or face_caption=WORD (repeatable)."
        ),
    ] = None,
    attributes: Annotated[
        Path | None,
        typer.Option("--attributes", metavar="FILE", help="Gaps by the columns of this CSV: media, dataset, ATTRIBUTE ..."),
    ] = None,
    rule: RuleWord = "eer",
    coverage: Annotated[
        float,
        typer.Option("--coverage", metavar="SHARE", help="Exit with 3 where fewer clips of a class have a score (a share)."),
    ] = 0.99,
    seed: Seed = 0,
    resamples: Resamples = 1000,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Tell what score files come to: every figure with its interval over groups, and what leaks beside it."""
    from mmidd.engine.start import without_pandas
    from mmidd.evaluation.evaluate import evaluate as evaluated
    from mmidd.evaluation.writing import check

    without_pandas()
    if out is not None:
        check(out)
    found = evaluated(
        files, validation=validation or (), corpus=corpus, by=by or (), attributes=attributes, rule=rule,
        coverage=coverage, seed=seed, resamples=resamples, tell=None if as_json else tell,
    )  # fmt: skip
    _said(found, out, as_json)
    return WITH_FAILURES if found.under else COMPLETE


def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Score files of the same rows.")],
    validation: Validation = None,
    rule: RuleWord = "eer",
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="clip or frame.")] = "clip",
    seed: Seed = 0,
    resamples: Resamples = 1000,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Compare detectors on the same rows: differences, tests corrected over all pairs, and who cannot be told apart."""
    from mmidd.engine.start import without_pandas
    from mmidd.evaluation.compare import compare as compared
    from mmidd.evaluation.writing import check

    without_pandas()
    if out is not None:
        check(out)
    found = compared(files, validation=validation or (), rule=rule, level=level, seed=seed, resamples=resamples)
    _said(found, out, as_json)
    return COMPLETE


def _said(found: Evaluation | Comparison, out: Path | None, as_json: bool) -> None:
    """Write the files of --out, say what was found, and where they are."""
    if out is not None:
        found.write(out)
    say(found, as_json=as_json)
    if out is not None and not as_json:
        console.print(f"look at: {plain(shell_word(str(out / 'index.html')))}; beside it .tex, .csv, .md, charts")


VERBS = (evaluate, compare)
