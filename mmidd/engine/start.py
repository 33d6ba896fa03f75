"""What a process of mmidd's own does first; never in a process that only imports mmidd."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


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
