"""What a part of the GPU benchmark is given, and how it says what it found."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


class Skipped(Exception):
    """Something that a part needs is not here; the text says what."""


def missing(error: ImportError) -> Skipped:
    """The skip for a package that is not here. Raises the error itself where it is our own code that is not."""
    if (error.name or "").split(".")[0] in ("benchmarks", "mmidd"):
        raise error
    return Skipped(str(error)[:300])


@dataclass
class Context:
    """What a part runs with.

    `device`: cpu is for trying the code, at `toy` size. `seconds`: the part is ended after so many; `left` says how many
    remain. `media`: a folder of real videos and images, `models`: a folder with detectors' weights; None: none.
    `scratch`: an empty folder of the part's own.
    """

    device: Literal["cpu", "cuda"]
    toy: bool
    seconds: float
    media: Path | None
    models: Path | None
    scratch: Path
    results: Path
    found: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    def note(self, name: str, value: Any) -> None:
        """Keep a figure. What is kept stays when the part is ended early or breaks afterwards."""
        self.found[name] = value
        text = json.dumps(self.found, indent=1, default=_plain)
        after = time.monotonic() - self.began
        print(f"  {after:5.1f} s  {name}: {_short(value)}"[:300], file=sys.stderr, flush=True)
        whole = self.results.with_suffix(".new")
        whole.write_text(text, encoding="utf-8")
        whole.replace(self.results)

    def check(self, name: str, right: bool, **figures: Any) -> None:
        """Keep whether something is as it must be, and the figures that show it. A part with a wrong one is wrong."""
        self.note(name, {"right": bool(right), **figures})

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """What breaks in the block is kept as a check that is wrong, and costs nothing but the block."""
        try:
            yield
        except Skipped:
            raise
        except Exception as error:
            traceback.print_exc()
            self.check(name, False, why=f"{type(error).__name__}: {error}"[:600])


def _short(value: Any) -> str:
    """A figure as it is told while a part runs: four digits of each number. The results have it whole."""
    told = json.dumps(value, default=_plain)
    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", lambda number: f"{float(number[0]):.4g}", told)


def _plain(value: Any) -> Any:
    """numpy's and torch's numbers as Python's, anything else as text: a figure must not break a part."""
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else str(value)
