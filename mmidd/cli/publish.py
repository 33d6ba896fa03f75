"""The verb that publishes a corpus."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mmidd.cli.console import COMPLETE, err, say, tell
from mmidd.cli.options import Json, Only, Workers
from mmidd.watch import NOBODY


class Gated(StrEnum):
    """Who lets people in."""

    auto = "auto"
    manual = "manual"


class Verify(StrEnum):
    """How the Hub's files are compared."""

    served = "served"
    listed = "listed"


def publish(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="The corpus folder.")],
    repository: Annotated[
        str | None,
        typer.Argument(metavar="[ORG/NAME]", help="The Hub's dataset repository; without it only a folder is made."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The publication's folder (default: CORPUS.publication).")
    ] = None,
    labels_only: Annotated[bool, typer.Option("--labels-only", help="No pixels of any dataset.")] = False,
    only: Only = None,
    redact: Annotated[
        str,
        typer.Option(
            "--redact",
            metavar="WHAT,...",
            help="Leave out identities, paths, captions, or none (default: what the version before left out).",
        ),
    ] = "",
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="Who may see it: its owner alone (a new one is private), or all, still gated."
        ),
    ] = None,
    gated: Annotated[
        Gated | None, typer.Option("--gated", help="Who asks for access gets it at once, or when you say so (default).")
    ] = None,
    commit_bytes: Annotated[
        int, typer.Option("--commit-bytes", metavar="BYTES", help="The most that one commit sends.")
    ] = 10 * 10**9,
    verify: Annotated[
        Verify, typer.Option("--verify", help="Fetch and hash every file as it is served, or compare listed digests.")
    ] = Verify.served,
    squash_history: Annotated[
        bool, typer.Option("--squash-history", help="Then take away every other version, for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, --squash-history is meant.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent and what is withheld; send nothing.")
    ] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> int:
    """Publish a corpus: what its licences allow, with labels of the rest, in a folder or on the Hugging Face Hub."""
    from mmidd.cli.progress import Steps
    from mmidd.share.hub.publish import publish as published

    words: Any = tuple(word.strip() for word in redact.split(",") if word.strip()) or None
    words = () if words == ("none",) else words
    found = published(
        corpus, repository,
        out=out, labels_only=labels_only, only=only or (), redact=words, private=private,
        gated=None if gated is None else gated.value, dry_run=dry_run, commit_bytes=commit_bytes, verify=verify.value,
        squash_history=squash_history, yes=yes, workers=workers, watch=NOBODY if as_json else Steps(err), tell=tell,
    )  # fmt: skip
    say(found, as_json=as_json)
    return COMPLETE


VERBS = (publish,)
