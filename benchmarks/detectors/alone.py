"""One measure in a process of its own: `python -m benchmarks.detectors.alone WHAT JSON`, which prints JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.detectors import files, steps


def main() -> int:
    """Measure what is asked, on one thread."""
    torch.set_num_threads(1)
    what, given = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(MEASURES[what](given)))
    return 0


def _paths(given: Mapping[str, Any]) -> tuple[Path, Path]:
    return Path(given["peers"]), Path(given["folder"])


MEASURES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "compared": lambda given: steps.compared(given["case"], *_paths(given), given["rounds"]),
    "alone": lambda given: steps.alone(given["case"], given["role"], *_paths(given)),
    "start_up": lambda given: steps.start_up(Path(given["peers"]), given["times"]),
    "their_files": lambda given: files.theirs(Path(given["peers"]), Path(given["listed"]), Path(given["folder"]), given),
    "our_files": lambda given: files.ours(Path(given["corpus"]), Path(given["folder"]), given),
}


if __name__ == "__main__":
    sys.exit(main())
