"""The verb that shows what a corpus is worth: detectors trained on it, scored, evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, WITH_FAILURES, err, say, tell
from mmidd.cli.options import Device, Holdout, Json, TrainedOn
from mmidd.errors import UsageError
from mmidd.watch import NOBODY


def validate(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="STUDY", help="The study folder to make; the same command goes on with it.")
    ],
    detectors: Annotated[
        str | None,
        typer.Option(
            "--detectors",
            metavar="NAME,...",
            help="Which (default: one of each kind that runs here in minutes).",
            autocompletion=complete.detectors,
        ),
    ] = None,
    studies: Annotated[
        str | None,
        typer.Option(
            "--studies",
            metavar="NAME,...",
            help="in-domain, leave-one-out, pairs, scaling, sd2 (default: all that can be); leave-domain-out, two-domains, "
            "one-domain, leave-attack-out, leave-family-out.",
        ),
    ] = None,
    tests: Annotated[
        list[str] | None,
        typer.Option("--test", metavar="CORPUS2", help="Test on this corpus too (repeatable)."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME", help="paper, small or tiny (the default).", autocompletion=complete.presets
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, or an option, of every run (repeatable)."),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="N,...", help="Train each once for each of them.")] = "0,1,2",
    holdout: Holdout = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that decode (default: by the cores; 0: none)."),
    ] = None,
    device: TrainedOn = Device.auto,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say runs, hours, memory and disk; measures a few steps, writes nothing.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Train, score and evaluate detectors on a corpus: in-domain, leave-one-dataset-out, pairs, scaling, SD2's ablation.

    Exit 3 where a run failed; the same command goes on where it was stopped, and tries again what failed.
    """
    from mmidd.cli.progress import Steps
    from mmidd.reference import validate as study
    from mmidd.studies.study import Study

    found = study(
        corpus, out,
        detectors=_names(detectors), studies=None if studies is None else _names(studies), tests=tests or (), preset=preset,
        settings=tuple(settings or ()), seeds=numbers(seeds), holdout=holdout, workers=workers, device=device.value,
        dry_run=dry_run, watch=NOBODY if as_json or not err.is_terminal else Steps(err), tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return WITH_FAILURES if isinstance(found, Study) and found.failed else COMPLETE


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(each.strip() for each in (text or "").split(",") if each.strip())


def numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise UsageError(f"--seeds {text}: whole numbers with commas, such as 0,1,2") from None


VERBS = (validate,)
