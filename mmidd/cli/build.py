"""The verbs that make a corpus, and those that tell of its making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmidd.cli import complete
from mmidd.cli.console import COMPLETE, FINDINGS, WITH_FAILURES, err, progress, say, tell
from mmidd.cli.options import CORPUS, REMOVING, STAGE, Json, MovedData, MovedOut, WorkFolder, early, takes
from mmidd.options import Options

if TYPE_CHECKING:
    from mmidd.flow.indexing import Indexed
    from mmidd.flow.report import Outcomes, Report
    from mmidd.project import Project


@takes(*REMOVING)
def build(
    options: Options,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do and take, as mmidd plan does.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Build a corpus from raw datasets, or bring it up to date: only what is missing or stale is done."""
    if dry_run:
        return _planned(options, as_json=as_json)
    with early(options) as engine:
        from mmidd.project import Project

        project = Project(options, progress=progress(quiet=as_json), tell=tell, early=engine)
        return _built(project.build(_notices), as_json=as_json)


def _notices(indexed: Indexed) -> None:
    from mmidd.show.build import notices

    notices(err, indexed)


def _built(report: Report, *, as_json: bool) -> int:
    say(report, as_json=as_json, words=err)
    return WITH_FAILURES if report.failed else COMPLETE


@takes(*STAGE)
def index(
    options: Options,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the official releases; exit with 4 on findings.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Account for every file of the recipe's datasets: medium, label file, sidecar, or unmatched."""
    project = _project(options, as_json=as_json)
    if not check and not as_json:
        indexed = project.index()
        say(indexed, as_json=False)
        return FINDINGS if indexed.barren else COMPLETE
    checks = project.check()
    say(checks, as_json=as_json)
    return FINDINGS if check and not checks.clean else COMPLETE


@takes(*STAGE)
def extract(options: Options, as_json: Json = False) -> int:
    """Decode, detect, choose, align and encode the faces of the indexed media."""
    with early(options) as engine:
        from mmidd.project import Project

        return _ended(Project(options, progress=progress(quiet=as_json), tell=tell, early=engine).extract(), as_json=as_json)


@takes(*STAGE)
def caption(options: Options, as_json: Json = False) -> int:
    """Describe every crop and its surroundings, label-blind. Extraction must be up to date."""
    return _ended(_project(options, as_json=as_json).caption(), as_json=as_json)


@takes(*STAGE)
def curate(options: Options, as_json: Json = False) -> int:
    """Judge all samples: duplicates, groups, splits, pairs. Extraction must be up to date."""
    say(_project(options, as_json=as_json).curate(), as_json=as_json)
    return COMPLETE


@takes(*REMOVING)
def shard(options: Options, as_json: Json = False) -> int:
    """Write the corpus from what the other stages committed. They must be up to date."""
    return _built(_project(options, as_json=as_json).shard(), as_json=as_json)


@takes(*CORPUS)
def plan(options: Options, as_json: Json = False) -> int:
    """Say what a build would do, and what disk and time it needs. Changes nothing."""
    return _planned(options, as_json=as_json)


def _planned(options: Options, *, as_json: bool) -> int:
    from mmidd.project import Project

    say(Project(options, tell=tell if not as_json else lambda line: None).plan(), as_json=as_json)
    return COMPLETE


def status(work: WorkFolder, data: MovedData = None, out: MovedOut = None, as_json: Json = False) -> int:
    """Say how far the last build on a work folder is, and how its media ended. Reads that folder alone."""
    from mmidd.project import Project

    say(Project.of(work, data=data, out=out).status(), as_json=as_json)
    return COMPLETE


def failures(
    work: WorkFolder,
    retry: Annotated[bool, typer.Option("--retry", help="Do the failed media again, and no others.")] = False,
    data: MovedData = None,
    out: MovedOut = None,
    as_json: Json = False,
) -> int:
    """List what failed, with path, stage, error, message and attempts. Reads the work folder alone, but for --retry."""
    from mmidd.project import Project

    project = Project.of(work, data=data, out=out, progress=progress(quiet=as_json), tell=tell)
    if retry:
        retried = project.retry()
        retried.tell(err)
        found = retried.after
    else:
        found = project.failures()
    say(found, as_json=as_json)
    return WITH_FAILURES if found.serious else COMPLETE


def gc(
    work: WorkFolder,
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE]...",
            help="Keep what these read (default: the last build of every corpus).",
            autocompletion=complete.recipes,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    data: MovedData = None,
    out: MovedOut = None,
    as_json: Json = False,
) -> int:
    """Remove from a work folder what no build reads: old commits, left-over files, digests of files that are gone."""
    from mmidd.project import Project

    say(Project.of(work, data=data, out=out, tell=tell).gc(recipes or (), dry_run=dry_run), as_json=as_json)
    return COMPLETE


def _project(options: Options, *, as_json: bool) -> Project:
    from mmidd.project import Project

    return Project(options, progress=progress(quiet=as_json), tell=tell)


def _ended(outcomes: Outcomes, *, as_json: bool) -> int:
    say(outcomes, as_json=as_json)
    return WITH_FAILURES if outcomes.failed else COMPLETE


VERBS = (build, index, extract, caption, curate, shard, plan, status, failures, gc)
