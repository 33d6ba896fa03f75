"""How processes of mmidd's own start, and what they do first; never in a process that only imports mmidd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What makes a process's numeric libraries use one thread each."""


class _Hidden:
    """Makes pandas be not found while it stands first in the way."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError(f"no module named {name!r}")
        return None


def without_pandas() -> None:
    """Let pyarrow believe that there is no pandas: else it imports it, only to tell apart arrays that nobody here makes.

    That costs a second of CPU time in every process. Others may import pandas all the same.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([])  # the question is asked once, and its answer kept
    finally:
        sys.meta_path.remove(hidden)


@contextmanager
def children_with(variables: Mapping[str, str]) -> Iterator[None]:
    """Python processes that start meanwhile have these variables of the environment, and import nothing from the current
    folder: it may hold anybody's data, such as a `pickle.py`. Restored afterwards."""
    path = os.pathsep.join(part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part)
    wanted = {**variables, "PYTHONSAFEPATH": "1", "PYTHONPATH": path or None}
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
