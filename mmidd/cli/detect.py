"""The verb that judges media."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli.console import COMPLETE, WITH_FAILURES, err, say
from mmidd.cli.options import Device, Json, RuleWord
from mmidd.show import plain, shell_word
from mmidd.watch import NOBODY


def detect(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Images, videos, folders (of numbered images too), zip and tar files."),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="RUN", help="A run of mmidd train (RUN or RUN/seed-0), or FILE.onnx.")
    ],
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus", metavar="CORPUS", help="Take faces as this corpus did; needed where the model does not say how."
        ),
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(
            "--rates",
            metavar="FILE",
            help="A score file of this model with its error rates (default: the run's validation).",
        ),
    ] = None,
    rule: RuleWord = "eer",
    stills: Annotated[
        bool, typer.Option("--stills", help="Judge each image of a folder of numbered ones by itself.")
    ] = False,
    region: Annotated[
        bool, typer.Option("--region", help="Look for the region that mattered (50 more images a face, 3 faces at most).")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Ask a model that explains for its reasons (3 faces at most), and cover what it names."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Pages with timelines and pictures, into a new folder.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="A row a clip and a row a face, into a new file, as they come."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="How an ONNX file is fed (repeatable).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read media (default: one a core; 0: none).")
    ] = None,
    device: Annotated[
        Device, typer.Option("--device", help="Where the model computes; auto is a GPU where there is one.")
    ] = (Device.auto),
    as_json: Json = False,
) -> int:
    """Judge images and videos with a trained detector, faces taken as its training corpus took them.

    Ends with 0 where all was judged, 3 where something was not (no face, unreadable, skipped). No exit code means fake.
    """
    from mmidd.cli.progress import Steps
    from mmidd.reference import detect as detected

    try:
        found = detected(
            paths, model,
            corpus=corpus, rates=rates, rule=rule, stills=stills, region=region, explain=explain, out=out, csv=csv,
            settings=settings or (), workers=workers, device=device.value, watch=NOBODY if as_json else Steps(err),
        )  # fmt: skip
    except KeyboardInterrupt:
        if written := [plain(shell_word(str(each))) for each in (out, csv) if each is not None and each.exists()]:
            err.print(f"{' and '.join(written)}: not all media are in it. Remove it first: the same command begins anew")
        raise
    say(found, as_json=as_json)
    return COMPLETE if found.complete else WITH_FAILURES


VERBS = (detect,)
