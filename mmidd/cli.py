"""The command line: one verb a function; it parses, calls and prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from mmidd import __version__
from mmidd.errors import MmiddError

if TYPE_CHECKING:
    from mmidd.corpus.folder import Corpus
    from mmidd.engine.run import Progress
    from mmidd.site import Site

COMPLETE, ERROR, USAGE, WITH_FAILURES, FINDINGS, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    name="mmidd",
    help="Turns licensed face-forgery datasets into one corpus that is safe to train on and easy to share.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out_console = Console(highlight=False, soft_wrap=True)
err_console = Console(stderr=True, highlight=False, soft_wrap=True)


class Device(StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file, or a bundled one: sample, ff++, mmi-dd.")]
Data = Annotated[Path, typer.Option("--data", metavar="ROOT", help="The folder that holds the datasets' folders.")]
Out = Annotated[Path, typer.Option("--out", metavar="CORPUS", help="The corpus folder to make or to update.")]
Work = Annotated[Path | None, typer.Option("--work", metavar="DIR", help="The work folder [default: CORPUS.work].")]
StageWork = Annotated[Path, typer.Option("--work", metavar="DIR", help="The work folder.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Worker processes [default: one a core]; 0: this process alone.")
]
On = Annotated[Device, typer.Option("--device", help="auto takes a GPU where the detector can use one.")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="DATASET", help="Only this dataset (repeatable).")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe.")]
Exclude = Annotated[
    Path | None,
    typer.Option("--exclude", metavar="FILE", help="Takedown list (sha256:, media:, identity: lines), kept for good."),
]
RequireAll = Annotated[bool, typer.Option("--require-all", help="Fail if a dataset of the recipe is not there.")]
AllowRemovals = Annotated[bool, typer.Option("--allow-removals", help="Let rows of the existing corpus go.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with DESIGN's exit codes; no traceback for what we know."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        code = app(list(arguments), standalone_mode=False)
        return code if isinstance(code, int) else COMPLETE
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        err_console.print("\nStopped. Nothing that was committed is lost; run the same command to go on.")
        return INTERRUPTED
    except MmiddError as error:
        err_console.print(f"mmidd: {escape(str(error))}", style="red")
        return error.exit_code
    except Exception as error:
        show = getattr(error, "show", None)  # a click usage error knows how to show itself
        if not callable(show):
            raise
        show()
        return USAGE


@app.callback(invoke_without_command=True)
def _top(version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    if version:
        out_console.print(f"mmidd {__version__}")
        raise typer.Exit


@app.command()
def build(
    recipe: RecipeName,
    data: Data,
    out: Out,
    work: Work = None,
    workers: Workers = None,
    device: On = Device.auto,
    only: Only = None,
    settings: Set = None,
    exclude: Exclude = None,
    require_all: RequireAll = False,
    allow_removals: AllowRemovals = False,
) -> int:
    """Build a corpus from raw datasets, or bring it up to date: only what is missing or stale is done."""
    from mmidd import build as building

    place = work or default_work(out)
    site = _site(recipe, data, place, workers, device, only, settings, exclude, require_all)
    corpus = _claim(out, data, place)
    return _closing(site, lambda: _report(building.build(site, corpus, workers=workers, allow_removals=allow_removals), place))
