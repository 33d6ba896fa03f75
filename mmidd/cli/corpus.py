"""The verbs that read a finished corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, FINDINGS, progress, say, tell
from mmidd.cli.options import Json
from mmidd.errors import UsageError

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus folder.")]


def verify(
    where: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A corpus folder, a publication, or hf://datasets/ORG/NAME[@REVISION].")
    ],
    exclude: Annotated[
        Path | None, typer.Option("--exclude", metavar="FILE", help="Find also rows that this takedown list covers.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check a corpus or a publication from its files alone: checksums, schema, counts, ids, and every row's medium."""
    from mmidd.corpus.verify import verify as checked
    from mmidd.engine.start import without_pandas
    from mmidd.share.publication.verify import published
    from mmidd.share.publication.verify import verify as checked_publication

    without_pandas()
    place = published(where)
    if place is not None and exclude is not None:
        raise UsageError(
            f"{where} is a publication; --exclude looks at a corpus: take its rows out there, and publish it again"
        )
    found = checked(where) if place is None else checked_publication(place)
    if exclude is not None:
        from mmidd.flow.kept import names_nobody, read_list
        from mmidd.flow.traces import check_takedown

        listed = read_list(exclude)
        if not listed.lines():
            tell(f"note: {names_nobody(exclude)}")
        found = replace(found, findings=(*found.findings, *check_takedown(Path(where), listed)))
    say(found, as_json=as_json)
    return FINDINGS if found.findings else COMPLETE


def audit(
    corpus: CorpusFolder,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this audit: captions.", autocompletion=complete.audits),
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", metavar="MODEL", help="Rank captions by this CLIP model.")] = None,
    attributes: Annotated[
        Path | None, typer.Option("--attributes", metavar="FILE", help="CelebA's list_attr_celeba.txt, to compare with.")
    ] = None,
    review: Annotated[
        Path | None, typer.Option("--review", metavar="DIR", help="Put a page here on which people judge a sample.")
    ] = None,
    review_results: Annotated[
        Path | None, typer.Option("--review-results", metavar="FILE", help="Only read back what that page saved.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of samples and intervals.")] = 0,
    report: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The report (default: CORPUS.audit.json, CORPUS.review.json)."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Look for what a corpus gives away: leaks, repetition and errors in captions. Exit with 4 on findings."""
    from mmidd.audit.captions import AuditOptions
    from mmidd.audit.run import run
    from mmidd.engine.start import without_pandas

    without_pandas()
    options = AuditOptions(clip, attributes, review is not None, seed)
    place = report or _beside(corpus, "audit.json" if review_results is None else "review.json")
    done = run(corpus, only or (), options, place, review, review_results)
    say(done, as_json=as_json)
    return FINDINGS if any(audit.findings for audit in done.audits) else COMPLETE


def _beside(corpus: Path, ending: str) -> Path:
    place = corpus.resolve()
    return place.with_name(f"{place.name}.{ending}")


def export(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus folder, or hf://datasets/ORG/NAME.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="LAYOUT",
            help="How: webdataset, imagefolder, deepfakebench, labels, workbench.",
            autocompletion=complete.exporters,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new folder; nothing is overwritten.")],
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Only this split: train, validation, test.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME", help="Only this dataset.", autocompletion=complete.datasets),
    ] = None,
    as_json: Json = False,
) -> int:
    """Write a corpus in another layout, and check every file of it. Run it again to go on after a kill."""
    from mmidd.corpus.read import Corpus
    from mmidd.engine.start import without_pandas
    from mmidd.share.export.run import export as write

    without_pandas()
    watching = progress(quiet=as_json)
    say(write(Corpus(corpus).part(split, dataset), to, out, progress=watching, tell=tell), as_json=as_json)
    return COMPLETE


VERBS = (verify, audit, export)
