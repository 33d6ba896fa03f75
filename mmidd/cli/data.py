"""The verbs about what there is to read: datasets, and the sample to try mmidd on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, FINDINGS, WITH_FAILURES, err, out, progress, say
from mmidd.cli.options import Json
from mmidd.show import document, plain, plain_lines


class Faces(StrEnum):
    """How faces are had (docs/manifests.md)."""

    detect = "detect"
    padded = "padded"
    keep = "keep"
    whole = "whole"


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


def detectors(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="All about this one.", autocompletion=complete.detectors)
    ] = None,
    as_json: Json = False,
) -> int:
    """List the reference detectors, which find forgeries; with NAME, all about one. Face detectors: `mmidd plugins`."""
    from mmidd.detectors import listing

    say(listing.detectors() if name is None else listing.about(name), as_json=as_json)
    return COMPLETE


def plugins(as_json: Json = False) -> int:
    """List the face detectors, captioners, decoders, datasets, exporters, importers, reference detectors and rewards that
    there are to choose from, others' packages too."""
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


def import_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What it is: deepfakebench or csv.", autocompletion=complete.importers)
    ],
    lists: Annotated[list[Path], typer.Argument(metavar="LIST...", help="Its JSON lists, or tables of path,label[,...].")],
    images: Annotated[Path, typer.Option("--images", metavar="ROOT", help="The folder that the listed files lie below.")],
    dataset: Annotated[Path, typer.Option("--out", metavar="DATASET", help="The dataset to make; nothing is overwritten.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the dataset is called (default: as its folder).")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", metavar="ID", help="Its licence, as SPDX names it.")] = "other",
    faces: Annotated[
        Faces | None,
        typer.Option("--faces", help="Crops to keep, or pictures to look for faces in (deepfakebench: keep; csv: detect)."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=real|fake", help="What a label name means (repeatable).")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="NAME=FS|FR|EFS|FE", help="The type of a method of your own (repeatable)."),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Make hard links where the disk can, instead of copies.")] = False,
    as_json: Json = False,
) -> int:
    """Make a dataset that a recipe can name of files with lists of labels. Exit with 3 if something listed is lost."""
    from mmidd.share.imports.run import Choices, import_dataset, labels_of, types_of

    choices = Choices(
        dataset.resolve().name if name is None else name, None if faces is None else faces.value, licence,
        labels_of(label or ()), types_of(method or ()), link,
    )  # fmt: skip
    done = import_dataset(kind, lists, images, dataset, choices, progress(quiet=as_json))
    say(done, as_json=as_json)
    return WITH_FAILURES if done.lost else COMPLETE


VERBS = (sample, datasets, detectors, plugins, doctor, import_)
