"""A throw-away dataset of the media, and mmidd's commands on it as whole processes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gpu.context import Context
from benchmarks.place import KINDS, Bench, arranged
from benchmarks.processes import Ended, must

_ENDS = (0, 3)


@contextmanager
def laid(context: Context, files: Sequence[Path], *, repeat: int, frames: int) -> Iterator[Bench]:
    """These files, each so many times, as a dataset of which a recipe takes `frames` of a clip."""
    chosen = context.scratch / "chosen"
    shutil.rmtree(chosen, ignore_errors=True)
    for number, file in enumerate(files):
        target = chosen / KINDS[file.suffix.lower()] / f"{number:03d}{file.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file.resolve())
    with arranged(argparse.Namespace(media=chosen, repeat=repeat, frames=frames)) as bench:
        yield bench


def mmidd(
    bench: Bench,
    verb: str,
    *words: str,
    device: str,
    workers: int,
    settings: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command on the dataset. Raises BenchmarkError with its last words where it fails."""
    flags = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-P", "-m", "mmidd", verb, str(bench.recipe), "--data", str(bench.data)]
    command += ["--device", device, "--workers", str(workers), *words, *flags]
    given = {**os.environ, "MMIDD_MANIFESTS": str(bench.place / "manifests"), **(environment or {})}
    return must(command, cwd=bench.place, env=given, accept=_ENDS)
