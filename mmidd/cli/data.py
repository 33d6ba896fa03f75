"""The verbs about what there is to read: datasets, and the sample to try mmidd on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, FINDINGS, err, out, say
from mmidd.cli.options import Json
from mmidd.show import document, plain, plain_lines


def sample(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")]) -> int:
    """Lay out small raw datasets, made here from two free pictures, to try mmidd on. No benchmark."""
    from mmidd.sampledata import write_sample
    from mmidd.show.data import sampled

    def report(dataset: str, done: int, total: int) -> None:
        if done == total:
            err.print(f"  {plain(dataset)}: {total} files")

    sampled(err, str(folder), write_sample(folder, report=report))
    return COMPLETE


def datasets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="All about this one.", autocompletion=complete.datasets)
    ] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="ROOT", help="Say which are there.")] = None,
    as_json: Json = False,
) -> int:
    """List the datasets that mmidd can read; with NAME, how to get one and how it must lie."""
    from mmidd.manifest.catalogue import describe, rows

    if name is not None:
        about = describe(name)
        if as_json:
            document(out, [about])
        else:
            out.print(plain_lines(about["text"]))
        return COMPLETE
    found = rows(data)
    if as_json:
        document(out, found)
    else:
        from mmidd.show.data import datasets as table

        table(out, found, found=data is not None)
    return COMPLETE


def plugins(as_json: Json = False) -> int:
    """List the face detectors, captioners, decoders, datasets and exporters that can be chosen, also of other packages."""
    from mmidd.plugins import plugins as listed

    say(listed(), as_json=as_json)
    return COMPLETE


def doctor(
    data: Annotated[
        str | None, typer.Option("--data", metavar="ROOT", help="Look at this data root: a folder, or its s3://... address.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--out", metavar="CORPUS", help="Look at the disk where this corpus is to be.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Look at this work folder (default: CORPUS.work).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Look at what a build would use: packages, models, GPU, disk, data, limits. Exit with 4 on problems."""
    from mmidd.doctor import examine

    report = examine(data, corpus, work)
    say(report, as_json=as_json)
    return COMPLETE if report.sound else FINDINGS


VERBS = (sample, datasets, plugins, doctor)
