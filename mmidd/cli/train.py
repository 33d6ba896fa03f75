"""The verb that trains a reference detector."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, err, say, tell
from mmidd.cli.options import Device, Holdout, Json, TrainedOn
from mmidd.errors import UsageError
from mmidd.watch import NOBODY


def train(
    detector: Annotated[
        str,
        typer.Argument(metavar="DETECTOR", help="Which: gend, ... (mmidd detectors).", autocompletion=complete.detectors),
    ],
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
    run: Annotated[
        Path, typer.Option("--out", metavar="RUN", help="The run folder to make; the same command again goes on with it.")
    ],
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="paper, small, tiny (minutes on a CPU) or another (mmidd detectors DETECTOR).",
            autocompletion=complete.presets,
        ),
    ] = "paper",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting or an option of the detector (repeatable)."),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="N,...", help="Train once for each, one after the other.")] = "0",
    fraction: Annotated[
        float, typer.Option("--fraction", metavar="SHARE", help="Only this share of train, in whole groups.")
    ] = 1.0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="DATASET", help="Only this dataset (repeatable).", autocompletion=complete.datasets),
    ] = None,
    paired: Annotated[
        bool | None,
        typer.Option(
            "--paired/--unpaired",
            help="Of train only fakes whose real is there, and those reals; or the reals of half the groups and the fakes "
            "of the other (about as many as --paired --fraction 0.5).",
        ),
    ] = None,
    self_blended: Annotated[
        bool, typer.Option("--self-blended", help="Train on reals and fakes blended of each (order=self-blended).")
    ] = False,
    holdout: Holdout = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that decode, of each rank (default: by the cores; 0: none)."),
    ] = None,
    device: TrainedOn = Device.auto,
    as_json: Json = False,
) -> int:
    """Train a reference detector on a corpus, or go on with a run that was stopped.

    On several GPUs: torchrun --nproc-per-node 8 -m mmidd train ...
    """
    from mmidd.cli.progress import Steps
    from mmidd.reference import train as trained

    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started one speaks
    found = trained(
        detector, corpus, run,
        preset=preset,
        settings=[*(settings or ()), *(["order=self-blended"] if self_blended else ())],
        seeds=_numbers(seeds), only=only or (), fraction=fraction, paired=paired, holdout=holdout,
        workers=workers, device=device.value, watch=NOBODY if as_json else Steps(err), tell=tell,
    )  # fmt: skip
    if first:
        say(found, as_json=as_json)
    return COMPLETE


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise UsageError(f"--seeds {text}: whole numbers with commas, such as 0,1,2") from None


VERBS = (train,)
