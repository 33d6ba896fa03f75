"""The command line: it parses, calls the Python API, prints what came of it, and decides how the command ends.

`options.py` has every option once; a verb is a function in the file of its subject.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from gc import set_threshold
from pathlib import Path
from typing import Annotated

import typer

from mmidd import __version__
from mmidd.cli import (
    build,
    complete,
    corpus,
    data,
    detect,
    evaluation,
    explained,
    publish,
    rehydrate,
    scores,
    train,
    validate,
)
from mmidd.cli.console import COMPLETE, ERROR, INTERRUPTED, USAGE, err, out
from mmidd.cli.interrupt import STOPPED, Interrupts, at_once
from mmidd.errors import NO_MEMORY, MmiddError, is_memory, reason, without_secrets
from mmidd.show import plain, plain_lines, printable

app = typer.Typer(
    name="mmidd",
    help="Turns licensed face-forgery datasets into one corpus that is safe to train on and easy to share.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
PANELS = (
    ("Build a corpus", (build,)),
    ("Look at a corpus", (corpus,)),
    ("Share a corpus, and make a shared one again", (publish, rehydrate)),
    ("Detectors", (train, scores, evaluation, validate, explained, detect)),
    ("Datasets, and what there is to choose from", (data,)),
)
"""The groups of `mmidd --help`, in its order."""
for panel, rooms in PANELS:
    for room in rooms:
        for verb in room.VERBS:
            app.command(name=verb.__name__.rstrip("_"), rich_help_panel=panel)(verb)  # `import` is a word of Python


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with the exit codes of `cli/console.py`; no traceback for what we know."""
    set_threshold(100_000, 50, 50)  # of millions of objects none is garbage: looking for some took a quarter of the time
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # its own allocator keeps what was freed: a seventh more
    code, interrupts = ERROR, Interrupts()
    interrupts.hear()
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
    except BaseException:
        if not interrupts.count:  # an import that is interrupted fails in many ways
            raise
    at_once(code)
    if interrupts.count and code not in (COMPLETE, INTERRUPTED):
        code = INTERRUPTED
        err.print(STOPPED)
    if interrupts.count:  # nobody who asks for an end waits for the interpreter's, in which Ctrl-C has its own way again
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    code = _run(arguments)
    if code == INTERRUPTED:
        err.print(STOPPED)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(list(arguments), standalone_mode=False, prog_name=complete.NAME)
        for line in complete.undetected(arguments) if code else ():
            err.print(f"mmidd: {plain(line)}", style="red")
        return code if isinstance(code, int) else COMPLETE
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):  # the parser makes an exit code of it, if it hears of it first
        return INTERRUPTED
    except MmiddError as error:
        err.print("mmidd: " + plain_lines(without_secrets(str(error))), style="red")
        return error.exit_code
    except BrokenPipeError:  # who read our output has seen enough; rich ends with 1 as well
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (the interpreter flushes it at its end)
        return ERROR
    except OSError as error:
        place = f" ({plain(str(error.filename))})" if error.filename is not None else ""
        why = reason(error)
        way_out = f"; {why}" if why is not None and why != (error.strerror or "").lower() else ""
        err.print(f"mmidd: the system says: {plain(error.strerror or str(error))}{place}{way_out}", style="red")
        return ERROR
    except Exception as error:
        usage = getattr(error, "show", None)  # a usage error of the parser knows how to show itself
        if is_memory(error):
            err.print(f"mmidd: {NO_MEMORY}", style="red")
            return ERROR
        if not callable(usage):
            raise
        if isinstance(message := getattr(error, "message", None), str):
            error.message = printable(message)  # type: ignore[attr-defined]
        usage()
        return USAGE


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        out.print(f"mmidd {__version__}")
        raise typer.Exit
