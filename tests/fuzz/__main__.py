"""Fuzz the targets, each in a process of its own, and print a table: `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import hashlib
import os
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import FINDS
from .guard import SANDBOX, new_sandbox
from .target import Target
from .targets import TARGETS

_WORDS = (
    "-timeout=10",
    "-rss_limit_mb=4096",
    "-malloc_limit_mb=2048",
    "-print_final_stats=0",
    "-verbosity=0",
    "-close_fd_mask=0",
)
_MOST_FINDS = 10
TALLY = struct.Struct("<QQd")
"""Inputs taken, inputs refused, seconds of the slowest: what a target's process leaves in a file."""


@dataclass
class Tally:
    """What became of a target's inputs."""

    target: str
    taken: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    finds: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.taken + self.refused


def main(words: Sequence[str] | None = None) -> int:
    """Exit with 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is named")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, over all targets")
    parser.add_argument("--seconds", type=int, default=0, help="at most, over all targets; 0: no limit")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="where inputs that reached new code stay")
    options = parser.parse_args(words)
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    shares = sum(target.share for target in chosen)
    tallies = []
    for target in chosen:
        part = target.share / shares
        tallies.append(fuzz(target, round(options.inputs * part), options.seconds * part, options.folder / target.name))
        print(_line(tallies[-1]), flush=True)
    total = Tally("all", sum(t.taken for t in tallies), sum(t.refused for t in tallies), sum(t.seconds for t in tallies))
    total.slowest, total.finds = max(t.slowest for t in tallies), [find for t in tallies for find in t.finds]
    print("\n" + table([*tallies, total]))
    return 1 if total.finds else 0


def fuzz(target: Target, inputs: int, seconds: float, folder: Path) -> Tally:
    """Run one target until it has had its inputs or its time, beginning anew behind every find."""
    corpus, finds = folder / "corpus", folder / "finds"
    for place in (corpus, finds):
        place.mkdir(parents=True, exist_ok=True)
    known = sorted((FINDS / target.name).glob("*"))
    for data in (*target.seeds().values(), *(path.read_bytes() for path in known)):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    dictionary = folder / "words"
    dictionary.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words))
    tally = Tally(target.name)
    start = time.monotonic()
    while tally.inputs < inputs and len(tally.finds) < _MOST_FINDS and not 0 < seconds <= time.monotonic() - start:
        left = [f"-runs={inputs - tally.inputs}", *([f"-dict={dictionary}"] if target.words else [])]
        left += [f"-max_total_time={max(1, round(seconds - time.monotonic() + start))}"] if seconds else []
        before = tally.inputs
        ended = _run(target, [*left, f"-artifact_prefix={finds}/", str(corpus)], folder, tally)
        tally.seconds = time.monotonic() - start
        if ended is None:
            break
        tally.finds.append(ended)
        if tally.inputs == before:  # the seeds alone break it
            break
    return tally


def _quoted(word: str) -> str:
    return "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in word.encode())


def _run(target: Target, words: list[str], folder: Path, tally: Tally) -> str | None:
    """One run of the fuzzer: None where it came to its end, else what it said of the find, its log beside it."""
    counts = folder / "tally"
    counts.unlink(missing_ok=True)
    log = folder / f"log-{len(tally.finds)}"
    with log.open("wb") as out, new_sandbox() as sandbox:
        command = [sys.executable, "-m", "tests.fuzz.one", target.name, str(counts), *_WORDS, *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", SANDBOX: sandbox}
        ended = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if counts.is_file():
        taken, refused, slowest = TALLY.unpack(counts.read_bytes())
        tally.taken, tally.refused = tally.taken + taken, tally.refused + refused
        tally.slowest = max(tally.slowest, slowest)
    return None if ended == 0 else f"{target.name}: exit {ended}, {_told(log)} ({log})"


def _told(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if "Error" in line or "Fault" in line or "ERROR" in line]
    return (said or lines or ["nothing was said"])[0][:300]


def _line(tally: Tally) -> str:
    rate = tally.inputs / tally.seconds if tally.seconds else 0.0
    told = f"{tally.inputs:,} inputs, {tally.taken:,} taken, {rate:,.0f}/s, slowest {tally.slowest:.2f} s"
    return "\n".join([f"{tally.target}: {told}, {len(tally.finds)} finds", *(f"  {find}" for find in tally.finds)])


def table(tallies: Sequence[Tally]) -> str:
    """The tallies in Markdown."""
    head = ["| target | inputs | taken | refused | per second | slowest, s | finds |", "|---|---|---|---|---|---|---|"]
    rows = (
        f"| {t.target} | {t.inputs:,} | {t.taken:,} | {t.refused:,} | {t.inputs / max(t.seconds, 1e-9):,.0f} "
        f"| {t.slowest:.2f} | {len(t.finds)} |"
        for t in tallies
    )
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    sys.exit(main())
