"""The verb that scores a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, err, say, tell
from mmidd.cli.options import Device, Json


def score(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A RUN of mmidd train (or RUN/seed-0), FILE.onnx, or python:FILE.py:NAME, your own code."
        ),
    ],
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
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
    as_json: Json = False,
) -> int:
    """Score every frame and clip that a split names: none is dropped, what has no score says why."""
    from mmidd.cli.progress import Steps
    from mmidd.reference import score as scored

    found = scored(
        model, corpus, out,
        splits=splits or ("test",), only=only or (), degrade=degrade or (), settings=settings or (),
        device=device.value, workers=workers, watch=None if as_json else Steps(err), tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return COMPLETE


VERBS = (score,)
