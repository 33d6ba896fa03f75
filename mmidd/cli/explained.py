"""The verbs of detectors that explain: what their explanations are worth, and what each of their parts is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, WITH_FAILURES, err, say, tell
from mmidd.cli.options import Device, Holdout, Json, TrainedOn
from mmidd.cli.validate import numbers
from mmidd.watch import NOBODY


def ablate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="specialist, rl, chain, rewards or language.")],
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="STUDY", help="The study folder to make; the same command goes on with it.")
    ],
    detector: Annotated[
        str, typer.Option("--detector", metavar="NAME", help="The explaining detector.", autocompletion=complete.detectors)
    ] = "explain",
    specialist: Annotated[
        str,
        typer.Option(
            "--specialist",
            metavar="WHICH",
            help="The detector that it is shown, trained here first; a RUN; or none.",
            autocompletion=complete.detectors,
        ),
    ] = "xception",
    tests: Annotated[
        list[str] | None, typer.Option("--test", metavar="CORPUS2", help="Test on this corpus too (repeatable).")
    ] = None,
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="paper, small or tiny.", autocompletion=complete.presets)
    ] = "tiny",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting or option of both stages; of one kind of run with specialist., align. or rl. before.",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="N,...", help="Train each once for each of them.")] = "0,1,2",
    strength: Annotated[
        float | None,
        typer.Option("--strength", min=0.5, max=64, help="language: of the pattern on fakes, grey levels of 255 (8)."),
    ] = None,
    holdout: Holdout = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that decode (default: by the cores; 0: none).")
    ] = None,
    device: TrainedOn = Device.auto,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say runs, hours, memory and disk; measures a few steps, writes nothing.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Take a part of an explaining detector away, or test without it: the specialist, reinforcement, the reasons, rewards.

    language trains on a copy of the corpus whose fakes carry a faint pattern, and tests with it and without it.
    Exit 3 where a run failed; the same command goes on where it was stopped, and tries again what failed.
    """
    from mmidd.cli.progress import Steps
    from mmidd.reference import ablate as study
    from mmidd.studies.study import Study

    found = study(
        name, corpus, out,
        detector=detector, specialist=specialist, tests=tests or (), preset=preset, settings=tuple(settings or ()),
        seeds=numbers(seeds), strength=strength, holdout=holdout, workers=workers, device=device.value, dry_run=dry_run,
        watch=NOBODY if as_json or not err.is_terminal else Steps(err), tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return WITH_FAILURES if isinstance(found, Study) and found.failed else COMPLETE


def faithful(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder of an explaining detector, or RUN/seed-N.")],
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Also write JSON, Markdown and HTML here.")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="SPLIT", help="train, validation or test.")] = "test",
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=2, help="So many rows, of both classes, of many clips.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of rows, of controls and of resamples.")] = 0,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="How often groups are drawn again.")] = 1000,
    device: TrainedOn = Device.auto,
    as_json: Json = False,
) -> int:
    """Look at what an explaining run's reasons are worth: do its answers follow from them, are they of the picture.

    Each check stands beside what chance gives, with what it does not prove. Reasons that name race, health or identity are
    withheld.
    """
    from mmidd.cli.progress import Steps
    from mmidd.reference import faithful as looked

    watch = NOBODY if as_json or not err.is_terminal else Steps(err)
    found = looked(
        run, corpus, out, split=split, rows=rows, seed=seed, resamples=resamples, device=device.value, watch=watch
    )
    say(found, as_json=as_json)
    return COMPLETE


VERBS = (faithful, ablate)
