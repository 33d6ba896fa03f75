"""The verb that scores a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, err, say, tell
from mmidd.cli.options import Device, Json
from mmidd.errors import UsageError
from mmidd.watch import NOBODY

if TYPE_CHECKING:
    from mmidd.scores.written import Scored


def score(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A RUN of mmidd train (or RUN/seed-0), FILE.onnx, or python:FILE.py:NAME, code of your own.",
        ),
    ],
    corpus: Annotated[
        str | None,
        typer.Argument(
            metavar="[CORPUS]", help="A corpus folder, or hf://datasets/ORG/NAME; with --import the one argument."
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="The score file to make (.parquet); the same command again goes on."),
    ],
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="SPLIT", help="Which split, test by default (repeatable)."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="DATASET", help="Only this dataset (repeatable).", autocompletion=complete.datasets),
    ] = None,
    degrade: Annotated[
        list[str] | None,
        typer.Option(
            "--degrade",
            metavar="KIND=LEVEL",
            help="Also of degraded images, each into a file beside FILE: jpeg=QUALITY, resize=FACTOR, blur=SIGMA, "
            "noise=SIGMA, h264=CRF, or sweep, all of a stated grid (repeatable).",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Score behind the reasons that a model gives, and keep these beside FILE."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How an ONNX file or a function is fed: side, fit, mean, std, output, ..."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode (default: by the cores; 0: none).")
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Where it is computed; auto is a GPU where there is one.")] = (
        Device.auto
    ),
    theirs: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Take scores made elsewhere (CSV or Parquet), without any MODEL."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="MEANING=NAME", help="--import: what is called otherwise, such as score=pred."),
    ] = None,
    level: Annotated[str | None, typer.Option("--level", help="--import: frame or clip (default: as FILE tells).")] = None,
    logit: Annotated[bool, typer.Option("--logit", help="--import: scores are log odds.")] = False,
    real_high: Annotated[bool, typer.Option("--real-high", help="--import: scores are high for reals.")] = False,
    ignore_strangers: Annotated[
        bool, typer.Option("--ignore-strangers", help="--import: count what the splits do not name, do not refuse it.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Score every frame and clip that a split names: none is dropped, what has no score says why."""
    own = {"a second argument": corpus, "--degrade": degrade, "--set": settings, "--workers": workers}
    own["--explain"] = explain
    reading = {"--column": columns, "--level": level, "--logit": logit, "--real-high": real_high}
    reading["--ignore-strangers"] = ignore_strangers
    if theirs is not None:
        _refuse(own, "does not go with --import: mmidd score --import FILE CORPUS --out FILE.parquet")
        say(_imported(theirs, model, out, tuple(splits or ("test",)), tuple(only or ()), reading), as_json=as_json)
        return COMPLETE
    _refuse(reading, "goes with --import alone")
    if corpus is None:
        raise UsageError("name a MODEL and a CORPUS: mmidd score MODEL CORPUS --out FILE.parquet")
    from mmidd.cli.progress import Steps
    from mmidd.reference import score as scored

    found = scored(
        model, corpus, out,
        splits=splits or ("test",), only=only or (), degrade=degrade or (), settings=settings or (),
        explain=explain, device=device.value, workers=workers, watch=NOBODY if as_json else Steps(err), tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return COMPLETE


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """Raises UsageError for options of the other way."""
    if wrong := [name for name, value in given.items() if value is not None and value is not False]:
        raise UsageError(f"{', '.join(wrong)} {why}")


def _imported(
    theirs: Path, corpus: str, out: Path, splits: tuple[str, ...], only: tuple[str, ...], given: Mapping[str, Any]
) -> Scored:
    from mmidd.scores.imports import Reading
    from mmidd.scores.written import import_scores

    pairs = [each.partition("=") for each in given["--column"] or ()]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise UsageError(f"--column {wrong[0]}: write MEANING=NAME, such as score=pred")
    if given["--level"] not in (None, "frame", "clip"):
        raise UsageError(f"--level {given['--level']}: frame or clip")
    named = {key: value for key, _, value in pairs}
    reading = Reading(given["--logit"], given["--real-high"], named, given["--level"], given["--ignore-strangers"])
    return import_scores(theirs, corpus, out, splits=splits, only=only, reading=reading, tell=tell)


VERBS = (score,)
