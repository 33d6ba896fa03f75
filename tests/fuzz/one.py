"""One target under the fuzzer, in a process of its own: `python -m tests.fuzz.one TARGET TALLY [libFuzzer's words]`."""

from __future__ import annotations

import mmap
import random
import struct
import sys
import time
from importlib import import_module
from pathlib import Path

import atheris

from .guard import limit_memory, sandbox, watched
from .mutate import change_lines

TALLY = struct.Struct("<QQd")
_INSTRUMENT = {"names": "markdown_it", "archives": "tarfile", "stills": "PIL", "crops": "PIL"}


def main(name: str, tally: Path, words: list[str]) -> None:
    """Fuzz until libFuzzer has had its runs or its seconds, or something breaks."""
    with atheris.instrument_imports(include=["mmidd", "yaml", *_INSTRUMENT.get(name, "").split()]):
        target = import_module("tests.fuzz.targets").TARGETS[name]
    sandbox()
    seeds = list(target.seeds().values())
    for data in seeds:  # what is imported late is imported now
        target.run(data)
    limit_memory()
    tally.write_bytes(bytes(TALLY.size))
    with tally.open("r+b") as file:
        counts = mmap.mmap(file.fileno(), TALLY.size)

    def one(data: bytes) -> None:
        taken, refused, slowest = TALLY.unpack(counts[:])
        start = time.monotonic()
        with watched():
            found = target.run(data)
        slowest = max(slowest, time.monotonic() - start)
        counts[:] = TALLY.pack(taken + found, refused + (not found), slowest)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        by_lines = target.lines and chance.random() < 0.5
        base = chance.choice(seeds) if chance.random() < 0.5 else data
        changed = change_lines(base, target.words, chance) if by_lines else bytes(atheris.Mutate(data, most))
        return (target.mend(changed) if target.mend and chance.random() < 0.8 else changed)[:most]

    options = {"custom_mutator": mutated} if target.lines or target.mend else {}
    atheris.Setup([sys.argv[0], f"-max_len={target.most_bytes}", *words], one, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
