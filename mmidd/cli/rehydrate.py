"""The verb that makes a corpus again from its publication."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmidd.cli.console import COMPLETE, WITH_FAILURES, err, say, tell
from mmidd.cli.options import Data, FollowLinks, Json, Only, Workers
from mmidd.errors import UsageError
from mmidd.watch import NOBODY


class Accepted(StrEnum):
    """The worst that a row may be to be written."""

    exact = "exact"
    pixels = "pixels"
    within_1 = "within-1"
    any = "any"


def rehydrate(
    where: Annotated[
        str, typer.Argument(metavar="WHERE", help="ORG/NAME[@REVISION] on the Hub, hf://datasets/..., or a folder.")
    ],
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="CORPUS", help="The corpus folder to make; a killed run goes on. --check needs none."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what can be made, by paths and sizes; reads no medium.")
    ] = False,
    digests: Annotated[bool, typer.Option("--digests", help="With --check: read files, to be sure.")] = False,
    only: Only = None,
    accept: Annotated[
        Accepted, typer.Option("--accept", help="The worst that a row may be to be written.")
    ] = Accepted.within_1,
    manifests: Annotated[
        list[str] | None,
        typer.Option("--manifests", metavar="FOLDER", help="A folder of manifests of one's own (repeatable)."),
    ] = None,
    follow_links: FollowLinks = None,
    workers: Workers = None,
    as_json: Json = False,
) -> int:
    """Make a published corpus again from your own copies of its media: no detector, no GPU.

    Ends with 0 where all rows are there, 3 where some are missing or differ.
    """
    from mmidd.cli.progress import Steps
    from mmidd.share.rehydrate import rehydrate as room

    if digests and not check:
        raise UsageError("--digests goes with --check")
    watch = NOBODY if as_json else Steps(err)
    wanted, own, follow = only or (), manifests or (), follow_links or ()
    if check:
        possible = room.check(
            where, data, out, only=wanted, manifests=own, follow_links=follow, digests=digests, watch=watch
        )
        say(possible, as_json=as_json)
        return COMPLETE if possible.complete else WITH_FAILURES
    if out is None:
        raise UsageError("--out CORPUS is missing: the folder to make (--check alone needs none)")
    found = room.rehydrate(
        where, data, out,
        only=wanted, accept=accept.value, manifests=own, follow_links=follow, workers=workers, watch=watch, tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return COMPLETE if found.complete else WITH_FAILURES


VERBS = (rehydrate,)
