"""The command line: measure, round after round, and write what was found; or make the page's tables of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measures import MEASURES, described, plan, ratios
from benchmarks.page import into, page
from benchmarks.place import Bench, arranged
from benchmarks.processes import BenchmarkError, commit, hardware, usable_cores, versions

FORMAT = 1


def main() -> int:
    """Run, and say in one line what is wrong if something is."""
    arguments = _parser().parse_args()
    try:
        return _page(arguments) if arguments.markdown else _bench(arguments)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("media", nargs="?", type=Path, help="folder of videos and images (searched through)")
    what.add_argument("--markdown", nargs="+", type=Path, metavar="JSON", help="print the tables of these results")
    add("--into", type=Path, metavar="PAGE", help="with --markdown: put them between the page's markers instead")
    add("--json", type=Path, metavar="FILE", help="where the results are written (default: printed)")
    add("--rounds", type=_positive, default=3, help="everything is run once a round, in turn (default: 3)")
    add("--repeat", type=_positive, default=1, help="take every medium so many times (default: 1)")
    add("--workers", type=_positive, default=usable_cores(), help="worker processes (default: one a core)")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--detector", choices=["yunet", "mtcnn", "scrfd"], default="yunet", help="of the stages and the build")
    add("--frames", type=_positive, default=32, help="frames a clip (default: 32)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe (repeatable)")
    add(
        "--measure",
        nargs="*",
        choices=MEASURES,
        default=list(MEASURES),
        help="beside the floor and extraction (default: all)",
    )
    add("--deepfakebench", type=Path, metavar="FOLDER", help="your copy of its preprocessing/ with the landmark model")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _page(arguments: argparse.Namespace) -> int:
    text = page([json.loads(file.read_text(encoding="utf-8")) for file in arguments.markdown])
    if arguments.into is None:
        print(text, end="")
    else:
        arguments.into.write_text(into(arguments.into.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.json is not None and not arguments.json.parent.is_dir():
        raise BenchmarkError(f"--json {arguments.json}: there is no such folder")
    with arranged(arguments) as bench:
        text = json.dumps(_measured(bench), indent=1, ensure_ascii=True) + "\n"
    if arguments.json is None:
        print(text, end="")
    else:
        arguments.json.write_text(text, encoding="utf-8")
    return 0


def _measured(bench: Bench) -> dict[str, Any]:
    """The document: what was measured where, every round of it, and what could not be."""
    measures, absent = plan(bench)
    for name, why in absent.items():
        print(f"{name}: {why}", file=sys.stderr)
    results: dict[str, list[dict[str, Any]]] = {measure.name: [] for measure in measures}
    machine, software, code = hardware(), versions(), commit()
    loads = []
    for number in range(bench.rounds):
        loads.append(round(os.getloadavg()[0], 2))
        with bench.round() as folder:
            for measure in measures:
                found = measure.run(folder)
                results[measure.name].append(found)
                _tell(number, measure.name, found)
                if found["counts"] != results[measure.name][0]["counts"]:
                    raise BenchmarkError(f"{measure.name}: other counts than in the first round; no rate can be given")
    return {
        "format": FORMAT,
        "made": datetime.now(UTC).date().isoformat(),
        "hardware": machine,
        "versions": software,
        "commit": code,
        "arguments": described(bench),
        "media": bench.media,
        "load_average": loads,
        "measures": [measure.as_json(results[measure.name]) for measure in measures],
        "ratios_to_floor": ratios(results, bench),
        "absent": absent,
        "gpu": machine["gpu"] and {name: [found["cost"]["gpu"] for found in rounds] for name, rounds in results.items()},
    }


def _tell(number: int, name: str, found: dict[str, Any]) -> None:
    cost = found["cost"]
    line = f"{cost['wall_s']:.2f} s, CPU {cost['cpu_s']:.2f} s, {cost['peak_mib']:.0f} MiB; {found['counts']}"
    print(f"round {number + 1}, {name}: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
