"""Beside the peers: equal losses, then the step, start-up, memory, what is stored, and images a second from files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.detectors import files, steps
from benchmarks.processes import ROOT, must
from mmidd.engine.start import ONE_THREAD

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """From files to a network: which one (None: read alone), how many steps are counted."""

    network: str | None
    augmented: bool
    workers: int
    steps: int


WAYS = (
    Way(None, False, 0, 12),
    Way(None, True, 0, 12),
    Way(None, True, 1, 12),
    Way("tiny", True, 0, 12),
    Way("tiny", True, 1, 12),
    Way("small", True, 0, 3),
)


def measure(what: str, **given: Any) -> Any:
    """One measure in a process of its own, on one thread."""
    words = [sys.executable, "-m", "benchmarks.detectors.alone", what, json.dumps(given, default=str)]
    env = {**ONE_THREAD, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    return json.loads(must(words, env=env).out.strip().splitlines()[-1])


def beside(peers: Path, corpus: Path, made: Path, rounds: int, tell: Tell) -> dict[str, Any]:
    """All of it. `made`: a folder that keeps what the measures are made over."""
    folder = steps.backbone(made)
    found: dict[str, Any] = {"batch": steps.BATCH, "shape": steps.SHAPE, "step": {}, "alone": {}, "files": []}
    for name in steps.CASES:
        found["step"][name] = measure("compared", case=name, peers=peers, folder=folder, rounds=rounds)
        tell(f"{name}: losses of three steps at most {found['step'][name]['apart']:.1e} apart; {rounds} rounds timed")
        found["alone"][name] = {
            role: measure("alone", case=name, role=role, peers=peers, folder=folder) for role in steps.ROLES
        }
        tell(f"{name}: alone {found['alone'][name]}")
    found["start_up"] = measure("start_up", peers=peers, times=2 * rounds)
    tell("start-up: measured")
    found["files"] = from_files(peers, corpus, made, rounds, tell)
    return found


def from_files(peers: Path, corpus: Path, made: Path, rounds: int, tell: Tell) -> list[dict[str, Any]]:
    """Each way, theirs (with either processor) and ours in turn, every other round the other way round."""
    folders = {"tiny": steps.backbone(made, files.TINY), "small": steps.backbone(made)}
    listed, found = files.png_list(corpus, made / "png"), []
    for way in WAYS:
        given = {"folder": folders[way.network or "tiny"], "train": way.network is not None, **asdict(way)}
        turns: dict[str, Callable[[], Any]] = {
            "theirs, Pillow": partial(measure, "their_files", peers=peers, listed=listed, pillow=True, **given),
            "theirs, torchvision": partial(measure, "their_files", peers=peers, listed=listed, pillow=False, **given),
            "ours": partial(measure, "our_files", corpus=corpus, **given),
        }
        rates: dict[str, list[Any]] = {name: [] for name in turns}
        for number in range(rounds):
            for name in list(turns)[:: -1 if number % 2 else 1]:
                rates[name].append(turns[name]())
        found.append({**asdict(way), "rounds": rates})
        tell(f"{way}: " + "; ".join(f"{name} {rate(each[-1]):.1f} images/s" for name, each in rates.items()))
    return found


def rate(measured: dict[str, Any]) -> float:
    """Images a second."""
    return float(measured["images"] / measured["wall_s"])
