"""Compare loaders over the same crops. `--markdown` prints the tables of a result."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.loaders import make
from benchmarks.loaders.alone import STARTED
from benchmarks.loaders.cases import CASES, LEFT_OUT, STARTS, Case
from benchmarks.loaders.place import BATCH, Place
from benchmarks.loaders.table import tables
from benchmarks.processes import ROOT, BenchmarkError, commit, hardware, must, versions
from mmidd.engine.start import ONE_THREAD
from mmidd.errors import MmiddError

FORMAT = 1


@dataclass(frozen=True)
class Bench:
    """What was asked, and where."""

    asked: argparse.Namespace
    place: Place
    million: Place | None

    def run(self, case: Case, mode: str, workers: int) -> dict[str, Any]:
        """One measure in a process of its own."""
        place = self.million if mode == "first" else self.place
        assert place is not None
        python = self.asked.streaming_python if case.streaming else sys.executable
        offline = {"HF_HOME": str(place.root / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(ROOT / "build" / "bytecode")}
        env = {**ONE_THREAD, **offline, **bytecode, "PYTHONPATH": str(ROOT), STARTED: str(time.monotonic())}
        words = [python, "-m", "benchmarks.loaders.alone", case.name, str(place.root), mode, str(workers)]
        try:
            found: dict[str, Any] = json.loads(must(words, env=env).out.strip().splitlines()[-1])
        finally:
            shutil.rmtree(place.cold, ignore_errors=True)
        return found


def lacking(case: Case, asked: argparse.Namespace) -> str | None:
    """Why a case cannot be had; None where it can."""
    if case.streaming:
        if asked.streaming_python is None:
            return "needs an interpreter of its own (--streaming-python)"
        code = f"import importlib.util as u, sys; sys.exit(any(u.find_spec(n) is None for n in {case.needs!r}))"
        try:
            must([asked.streaming_python, "-c", code])
        except (BenchmarkError, OSError):
            return f"the interpreter of --streaming-python lacks one of {', '.join(case.needs)}"
        return None
    missing = [name for name in case.needs if not _there(name)]
    return f"not installed: {', '.join(missing)}" if missing else None


def _there(module: str) -> bool:
    if module == "mmidd.training":
        import mmidd.training

        return hasattr(mmidd.training, "Loader")
    return importlib.util.find_spec(module) is not None


def measured(bench: Bench, document: dict[str, Any]) -> None:
    """Check every loader once, then all in turn, round by round; every other round the other way round."""
    asked = bench.asked
    cases = list(_asked(CASES, asked, document)) if asked.workers else []
    for case in cases:
        check = bench.run(case, "check", 0)
        _tell(f"check, {case.name}", check)
        if check["wrong"]:
            document["wrong"].append(f"{case.name}: {', '.join(check['wrong'])}")
        told = {"name": case.name, "decoder": case.decoder, "as_it_comes": case.as_it_comes, "order": case.order}
        document["cases"].append({**told, "check": check, "workers": {}})
    starts = list(_asked(STARTS, asked, document)) if bench.million else []
    document["starts"] = [{"name": case.name, "order": case.order, "rounds": []} for case in starts]
    if any(case.name == "datasets, Arrow, again" for case in starts):
        bench.run(next(case for case in starts if case.name == "datasets, Arrow, again"), "first", 0)
    for number in range(asked.rounds):
        document["load_average"].append(round(os.getloadavg()[0], 2))
        for workers in asked.workers:
            turn = list(zip(cases, document["cases"], strict=True))
            for case, entry in turn[:: -1 if number % 2 else 1]:
                if workers in case.workers:
                    found = bench.run(case, "rate", workers)
                    _count(case, entry["check"], found)
                    entry["workers"].setdefault(str(workers), []).append(found)
                    _tell(f"round {number + 1}, {workers} workers, {case.name}", found)
        begun = list(zip(starts, document["starts"], strict=True))
        for case, entry in begun[:: -1 if number % 2 else 1]:
            entry["rounds"].append(bench.run(case, "first", 0))
            _tell(f"round {number + 1}, first batch, {case.name}", entry["rounds"][-1])
        _keep(bench.asked, document)


def _keep(asked: argparse.Namespace, document: dict[str, Any]) -> None:
    """What there is so far: a run of half an hour may be ended."""
    if asked.json is not None:
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _count(case: Case, check: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises BenchmarkError where a rate would be of other images than those that were checked."""
    if any(found[key] != check[key] for key in ("images", "distinct")):
        raise BenchmarkError(f"{case.name}: {found['images']:,} images, {found['distinct']:,} distinct; checked were "
                             f"{check['images']:,}, {check['distinct']:,}; no rate can be given")  # fmt: skip


def _asked(cases: Iterable[Case], asked: argparse.Namespace, document: dict[str, Any]) -> Iterable[Case]:
    for case in cases:
        if asked.only and not any(fnmatch(case.name, pattern) for pattern in asked.only):
            continue
        if why := lacking(case, asked):
            print(f"{case.name}: {why}", file=sys.stderr)
            document["absent"][case.name] = why
        else:
            yield case


def _tell(what: str, found: dict[str, Any]) -> None:
    short = {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}
    print(f"{what}: {short}", file=sys.stderr, flush=True)


def _places(asked: argparse.Namespace) -> tuple[Place, Place | None]:
    """The crops in all formats, and the million; what is there is kept."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    source = asked.corpus or make.sample_corpus(asked.folder / "sample")
    place = make.crops(source, asked.folder / f"crops-{asked.rows}", asked.rows)
    if asked.streaming_python and not place.mds.is_dir():
        shutil.rmtree(place.root / "mds.half", ignore_errors=True)
        must([asked.streaming_python, "-m", "benchmarks.loaders.mosaic", str(place.root)], env={"PYTHONPATH": str(ROOT)})
    return place, make.million(source, asked.folder / f"rows-{asked.million}", asked.million) if asked.million else None


def _other_versions(python: str | None) -> dict[str, str]:
    if python is None:
        return {}
    names = ("mosaicml-streaming", "torch", "numpy", "pillow", "simplejpeg")
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    found: dict[str, str] = json.loads(must([python, "-c", code]).out)
    return found


def main(words: list[str] | None = None) -> int:
    """Make the crops, measure, print the tables, write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loaders", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("build/loaders"), help="where the crops are made and kept"
    )
    parser.add_argument(
        "--corpus", type=Path, help="whose crops are taken (default: that of `make sample`, built in FOLDER)"
    )
    parser.add_argument("--rows", type=int, default=20_000, help="crops (default: %(default)s)")
    parser.add_argument("--million", type=int, default=1_000_000, metavar="ROWS", help="of the start-up; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2], help="none: start-up alone")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="loaders by name; * stands for anything")
    parser.add_argument(
        "--streaming-python", metavar="PYTHON", help="an interpreter that has mosaicml-streaming and simplejpeg"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results are written")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="print the tables of these results; measure nothing")
    asked = parser.parse_args(words)
    try:
        if asked.markdown:
            print(tables(json.loads(asked.markdown.read_text(encoding="utf-8"))), end="")
            return 0
        return _bench(asked)
    except (BenchmarkError, MmiddError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def _bench(asked: argparse.Namespace) -> int:
    for pattern in asked.only:
        if not any(fnmatch(case.name, pattern) for case in (*CASES, *STARTS)):
            raise BenchmarkError(
                f"--only {pattern}: there is no such loader; there are: " + "; ".join(c.name for c in CASES)
            )
    if asked.rows < BATCH + 1 or asked.rounds < 1:
        raise BenchmarkError(f"--rows {asked.rows} --rounds {asked.rounds}: from {BATCH + 1} and from 1")
    place, million = _places(asked)
    document: dict[str, Any] = {
        "format": FORMAT, "made": datetime.now(UTC).date().isoformat(), "hardware": hardware(), "versions": versions(),
        "other_versions": _other_versions(asked.streaming_python), "commit": commit(), "rows": asked.rows, "batch": BATCH,
        "size": place.size, "rounds": asked.rounds, "million": asked.million, "absent": dict(LEFT_OUT), "wrong": [],
        "load_average": [], "cases": [], "starts": [],
    }  # fmt: skip
    try:
        measured(Bench(asked, place, million), document)
    finally:
        _keep(asked, document)
    print(tables(document), end="")
    for wrong in document["wrong"]:
        print(f"benchmarks: {wrong}", file=sys.stderr)
    return 1 if document["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
