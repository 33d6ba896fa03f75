"""A reader that never stops: whatever it can see of a work folder and a corpus while they are written has to be whole."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from mmidd.corpus.verify import verify
from mmidd.engine.start import without_pandas
from mmidd.engine.store import Store
from mmidd.engine.tables import read_outcomes, sound
from mmidd.errors import MmiddError

STAGES = ("index", "extract", "caption", "curate", "shard")


def look(work: Path, out: Path) -> Iterator[str]:
    """One look at everything; what is not whole."""
    store = Store(work)
    for note in (*work.glob("*.json"), *work.glob("archives/*.json")):
        try:
            json.loads(note.read_bytes())
        except ValueError as error:
            yield f"{note}: {error}"
    for stage in STAGES:
        for record in store.records(stage):
            try:
                for name in record.files:
                    sound(store.path(record, name))
                if not all(outcome.conserved() for outcome in read_outcomes(store, record)):
                    yield f"{stage} {record.unit}: not conserved"
            except MmiddError as error:
                yield str(error)
    yield from _corpus(out)


def _corpus(out: Path) -> Iterator[str]:
    """A corpus that stays the same folder while it is read is sound."""
    if not out.exists():
        return
    before = out.stat().st_ino
    try:
        problems = [f"{finding.where[0]}: {finding.what}" for finding in verify(out).findings]
    except (MmiddError, OSError) as error:
        problems = [f"{type(error).__name__}: {error}"]
    if out.exists() and out.stat().st_ino == before:
        yield from problems


def main(work: Path, out: Path) -> None:
    """Say that it begins; look until told to stop; then say how often, and what was not whole."""
    without_pandas()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    os.nice(5)  # it never rests: what it watches goes first
    print("ready", flush=True)
    looks, problems = 0, list[str]()
    while not stopped:
        problems += look(work, out)
        looks += 1
    print(json.dumps({"looks": looks, "problems": problems[:20]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
