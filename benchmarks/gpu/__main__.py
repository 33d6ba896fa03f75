"""Everything worth knowing of mmidd on this machine's GPU, as JSON; or what must travel to a machine that has one."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu.alone import Asked, adopt_orphans, checks, run_part
from benchmarks.gpu.carry import wheels_command
from benchmarks.gpu.pack import COMMIT, FOLDER, pack
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.said import headlines
from benchmarks.processes import ROOT, BenchmarkError, commit, hardware, versions

FORMAT = 1
BUDGET = 460
LEAST = 0.5
"""Of its limit: a part is not begun with less time than that."""
SLACK = 2
"""Toys have so many times the time: where they run others work, too, and nothing waits for the end."""
WRONG, BROKE = 4, 1
SHARED = ROOT.parent / "shared"


def main(parts: Sequence[Part] = PARTS) -> int:
    """Do what the command line asks for: 0, 4 where a check is wrong, 1 where a part broke or nothing could be done."""
    arguments = _parser(parts).parse_args()
    try:
        if arguments.wheels:
            print(wheels_command())
            return 0
        if arguments.pack is not None:
            media, models = (_folder(given, name, (SHARED,)) for given, name in _given(arguments))
            return pack(arguments.pack, media, models)
        return _bench(arguments, parts)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return BROKE


def _parser(parts: Sequence[Part]) -> argparse.ArgumentParser:
    told = "\n".join(f"  {part.name:<11} {part.seconds:>3} s  {part.tells}" for part in parts)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"parts, in the order in which they run, and after how long each is ended (toys: twice that):\n{told}\n\n"
        "exit codes: 0 all right, 4 a check is wrong, 1 a part broke or ran late, or nothing could be done",
    )
    add = parser.add_argument
    add("--device", choices=["cuda", "cpu"], help="cpu is for trying the command (default: cuda)")
    add("--toy", action="store_true", help="toy sizes, as with --device cpu")
    add("--parts", nargs="+", choices=[part.name for part in parts], metavar="NAME", help="these alone (default: all)")
    add("--json", type=Path, metavar="FILE", help="where the results are written, after every part (default: printed)")
    add("--seconds", type=float, default=BUDGET, metavar="N", help=f"for all parts together (default: {BUDGET})")
    add("--media", type=Path, metavar="FOLDER", help="real videos and images (default: .gpu/media, ../shared/media)")
    add("--models", type=Path, metavar="FOLDER", help="detectors' weights (default: .gpu/models, ../shared/models)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--wheels", action="store_true", help="print the command that downloads what such a machine lacks")
    what.add_argument(
        "--pack", type=Path, nargs="?", const=ROOT / FOLDER, metavar="FOLDER",
        help=f"put everything that must travel to such a machine into FOLDER (default: {FOLDER})",
    )  # fmt: skip
    return parser


def _bench(arguments: argparse.Namespace, parts: Sequence[Part]) -> int:
    began = time.monotonic()
    if arguments.json is not None and not arguments.json.parent.is_dir():
        raise BenchmarkError(f"--json {arguments.json}: there is no such folder")
    device = arguments.device or "cuda"
    if device == "cuda" and (why := _no_cuda()):
        raise BenchmarkError(f"{why}; use --device cpu to try the command here, at toy size")
    media, models = (_folder(given, name, (ROOT / FOLDER, SHARED)) for given, name in _given(arguments))
    asked = Asked(device, arguments.toy or device == "cpu", media, models)
    document: dict[str, Any] = {
        "format": FORMAT, "made": datetime.now(UTC).isoformat(timespec="seconds"), "device": device, "toy": asked.toy,
        "budget": arguments.seconds, "media": media is not None, "models": models is not None, "hardware": hardware(),
        "versions": versions(), "commit": _commit(), "seconds": 0.0, "ended": False, "parts": [],
    }  # fmt: skip
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def write() -> None:
        document["seconds"] = round(time.monotonic() - began, 1)
        _write(document, arguments.json)

    wanted = [part for part in parts if not arguments.parts or part.name in arguments.parts]
    for part in wanted:
        row: dict[str, Any] = {"name": part.name, "tells": part.tells, "limit": part.seconds * (SLACK if asked.toy else 1)}
        document["parts"].append(row)
        _run(part, asked, row, arguments.seconds - (time.monotonic() - began), write)
        write()
    document["ended"] = True
    write()
    if arguments.json is None:
        print(json.dumps(document, indent=1))
    print(table(document), file=sys.stderr)
    if arguments.json is not None:
        print(f"all of it: {arguments.json} (the file to send)", file=sys.stderr)
    if any(row.get("wrong") for row in document["parts"]):
        return WRONG
    return BROKE if {row["state"] for row in document["parts"]} & {"broken", "late"} else 0


def _run(part: Part, asked: Asked, row: dict[str, Any], left: float, write: Any) -> None:
    """Run a part as far as the time goes, and keep in its row what comes of it."""
    limit = part.seconds * (SLACK if asked.toy else 1)
    if left < part.seconds * LEAST:
        row |= {"state": "skipped", "why": f"{max(left, 0):.0f} s are left, it may need {part.seconds}", "seconds": 0.0}
        return
    print(f"{part.name} (at most {min(limit, left):.0f} s): {part.tells}", file=sys.stderr, flush=True)

    def told(found: dict[str, Any]) -> None:
        row.update(state="running", found=found)
        write()

    row |= run_part(part, asked, min(limit, left), told)
    print(f"{part.name}: {row['state']}{', ' if row['why'] else ''}{row['why']} ({row['seconds']} s)", file=sys.stderr)


def _commit() -> dict[str, Any]:
    """The checkout's; where it came without its history, the one that it was packed from."""
    own, packed = commit(), ROOT / FOLDER / COMMIT
    if own["sha"] is None and packed.is_file():
        found: dict[str, Any] = json.loads(packed.read_text(encoding="utf-8"))
        return found
    return own


def _no_cuda() -> str | None:
    """Why there is no CUDA; asked in another process, for this one never loads torch."""
    code = "import torch, sys; print(torch.__version__, torch.version.cuda); sys.exit(0 if torch.cuda.is_available() else 3)"
    try:
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "torch did not answer in two minutes"
    if ended.returncode == 0:
        return None
    if ended.returncode == 3:
        torch, cuda = ended.stdout.split()[-2:]
        built = "built without CUDA" if cuda == "None" else f"built for CUDA {cuda}; nvidia-smi names the driver's"
        return f"torch {torch} sees no CUDA device ({built})"
    said = ended.stderr.strip().splitlines()[-1:]
    return said[0] if said else f"torch ended with {ended.returncode}"


def _given(arguments: argparse.Namespace) -> tuple[tuple[Path | None, str], ...]:
    return (arguments.media, "media"), (arguments.models, "models")


def _folder(given: Path | None, name: str, places: Sequence[Path]) -> Path | None:
    """The folder that was given, or the first of that name in `places`; None where there is none."""
    if given is not None:
        if not given.is_dir():
            raise BenchmarkError(f"--{name} {given}: there is no such folder")
        return given.resolve()
    return next(((place / name).resolve() for place in places if (place / name).is_dir()), None)


def _write(document: dict[str, Any], file: Path | None) -> None:
    if file is None:
        return
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    new.replace(file)


def table(document: dict[str, Any]) -> str:
    """The parts of a document for people."""
    rows = [f"{'part':<11} {'state':<8} {'seconds':>7}  what"]
    for row in document["parts"]:
        state = "ran" if row["state"] == "right" and not checks(row.get("found")) else row["state"]
        start = f"{row['name']:<11} {state:<8} {row['seconds']:>7.1f}  "
        found = headlines(row["name"], row.get("found", {}))
        lines = [line for line in (row["why"], *found) if line] or [row["tells"]]
        rows += [f"{start if not at else ' ' * len(start)}{line}" for at, line in enumerate(lines)]
    if document["toy"]:
        rows.append("toy sizes: no figure here says anything of the machine")
    rows.append(f"{'together':<11} {'':<8} {document['seconds']:>7.1f}")
    return "\n".join([*rows, *_verdict(document["parts"])])


def _verdict(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is not as it must be, or did not come to its end: the reason of the exit code."""
    named = {state: [row["name"] for row in rows if row["state"] == state] for state in ("broken", "late", "skipped")}
    named = {"wrong": [f"{row['name']} ({', '.join(row['wrong'])})" for row in rows if row.get("wrong")], **named}
    bad = [f"{state}: {', '.join(names)}" for state, names in named.items() if names]
    return bad or ["every part came to its end, and every check in it is right"]


if __name__ == "__main__":
    sys.exit(main())
