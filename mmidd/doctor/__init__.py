"""What `mmidd doctor` looks at: the machine, what is installed, the folders that a build would use. No network is used.

Nothing is left behind but what a look at a file system needs for a moment (a temporary folder, removed again).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from mmidd import __version__
from mmidd.doctor import disk, environment, gpu, limits, models, packages, raw, work
from mmidd.doctor.report import Check, Examination, attempt
from mmidd.errors import MmiddError
from mmidd.options import work_beside

__all__ = ["Check", "Examination", "examine"]


def examine(data: str | Path | None = None, out: str | Path | None = None, work: str | Path | None = None) -> Examination:
    """Look at everything; of `data`, `out` and `work` only at those that are given (`work` None: OUT.work, where `out` is
    given). Never raises for what it finds: a check that fails itself is a problem."""
    out, place = (None if each is None else Path(each) for each in (out, work))
    if place is None and out is not None:
        with suppress(MmiddError, OSError, ValueError, RuntimeError):  # the checks of `out` meet the same fault and tell it
            place = work_beside(out)
    return Examination(__version__, tuple(_checks(data, out, place)))


def _checks(data: str | Path | None, out: Path | None, place: Path | None) -> Iterator[Check]:
    environ = dict(os.environ)
    yield from attempt("python", "interpreter", packages.interpreter)
    yield from attempt("python", "mmidd", packages.installation)
    yield from attempt("packages", "requirements", packages.requirements)
    yield from attempt("packages", "clashes", packages.clashes)
    yield from attempt("packages", "imports", packages.imports)
    yield from attempt("extras", "extras", packages.extras)
    yield from attempt("models", "models", partial(models.models, environ))
    yield from attempt("gpu", "gpu", gpu.gpu)
    yield from attempt("disk", "disks", partial(disk.disks, out, place, environ))
    if data is not None:
        yield from attempt("data", "root", partial(raw.root, data))
    yield from attempt("limits", "limits", limits.limits)
    yield from attempt("environment", "environment", partial(environment.environment, environ))
    if place is not None:
        yield from attempt("work", "folder", partial(work.folder, place))
