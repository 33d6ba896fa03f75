"""What a corpus of a million media costs where nothing is decoded: every step's own code, and a null decoder.

Run as `python -m benchmarks.scale FOLDER [--media N ...] [--json FILE]`. FOLDER is made new, on a disk with a free inode for
every medium; what a size leaves there is removed when it is measured. Each command is a process of its own, in which
extraction's function alone is replaced: it reads no medium, makes up its samples, and reads the track record of the real
that a fake follows, as extraction does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from benchmarks.processes import BenchmarkError, Cost, Ended, commit, hardware, must, run, versions
from mmidd import cli
from mmidd.curation.quality import Quality
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Item, Outcome, Resources, Result, Task
from mmidd.extraction.medium import MediumSamples
from mmidd.extraction.records import SCHEMA, outcome_of, row_of, track_of
from mmidd.extraction.sample import ExtractConfig, Fix, Sample, TrackRecord
from mmidd.flow import finish, steps
from mmidd.stages import extract

FORMAT = 1
SIZES = (10_000, 100_000, 1_000_000)
METHODS = ("Deepfakes", "Face2Face")
SHOTS = 9
PERSON = (1 + SHOTS) * (1 + len(METHODS))
"""Media of one person: a clip and nine photographs, and of each a fake by each method."""
FRAMES = 2
"""Frames, and so samples, of a clip."""
MANIFEST = r"""
name: Scale
slug: scale
year: 2026
folders: [Scale]
summary: names of media that were never taken
access: made by benchmarks/scale.py
citation: none
licence: {id: other, name: none, url: "https://example.org", redistributable: false}
verified: false
verified_note: invented
type_basis: stated
join_identities: true
fields: {part: '\d{2}', person: '\d{6}', shot: '\d', ext: [jpg, mp4], method: [Deepfakes, Face2Face]}
rules:
  - id: real
    path: "real/{part}/{person}_{shot}.{ext}"
    label: real
    target_id: "{person}"
  - id: fake
    path: "{method}/{part}/{person}_{shot}.{ext}"
    label: fake
    method: "{method}"
    target_id: "{person}"
    pair: "real/{part}/{person}_{shot}.{ext}"
"""
RECIPE = f"""
name: scale
datasets: [Scale]
frames: {{count: {FRAMES}}}
captioner: none
shards: {{max_bytes: 20000000}}
"""
"""A shard of 20 MB holds as many of these samples as one of 500 MB does of real ones."""
_MIB = 1 << 20


def names(count: int) -> Iterator[str]:
    """The paths of so many media, person by person, a real before its fakes; one in ten is a clip."""
    for number in range(count):
        person, place = divmod(number, PERSON)
        shot, version = divmod(place, 1 + len(METHODS))
        kind = ("real", *METHODS)[version]
        yield f"{kind}/{person % 100:02d}/{person:06d}_{shot}.{'mp4' if shot == SHOTS else 'jpg'}"


def make(root: Path, count: int) -> None:
    """The dataset on disk: empty files."""
    for folder in sorted({name.rpartition("/")[0] for name in names(min(count, 100 * PERSON))}):
        (root / folder).mkdir(parents=True)
    for name in names(count):
        (root / name).touch()


# In a command's own process: the null decoder, and what its steps took.


def null(task: Task, config: ExtractConfig, resources: Resources) -> Result:
    """Extraction's function without a decoder: samples that are made up from the media's names."""
    made = [_made(item) for item in task.items]
    rows = [row for rows, _ in made for row in rows]
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(outcome for _, outcome in made))


def _made(item: Item) -> tuple[list[dict[str, Any]], Outcome]:
    payload: extract.ExtractPayload = item.payload
    sha256 = hashlib.sha256(f"{item.dataset}/{item.media}".encode()).hexdigest()
    track = track_of(payload.real) if payload.real else None
    planned = track.planned if track else tuple(range(payload.frames))
    clip = payload.file.kind == "video"
    samples = tuple(_sample(frame, hashlib.sha256(f"{sha256}/{frame}".encode()).digest(), track) for frame in planned)
    crops = MediumSamples(planned, samples, (), 25.0 if clip else None, "h264" if clip else "jpeg", None if clip else 95)
    rows = [row_of(item, sha256, sample, crops) for sample in samples]
    return rows, outcome_of(item, payload.inputs(sha256), crops, rows, {"sha256": sha256})


def _sample(frame: int, lot: bytes, track: TrackRecord | None) -> Sample:
    x, y = float(lot[0]), float(lot[1])
    face = ((x + 60, y + 60), (x + 100, y + 60), (x + 80, y + 80), (x + 60, y + 100), (x + 100, y + 100))
    own = Fix(640, 480, (x + 30, y + 30, x + 130, y + 130), face, (1.9, 0.0, -x, 0.0, 1.9, -y), 0, score=0.9, found=1)
    quality = Quality(lot[2] * 7.5 + lot[3] / 256, lot[4] + lot[5] / 256, lot[6:14].hex())
    image = b"\xff\xd8" + lot * 10
    if track is not None:
        return Sample(frame, None, 640, 480, track.fixes[frame][0], "shared", image, quality)
    return Sample(frame, None, 640, 480, own, "own", image, quality)


SPANS: tuple[tuple[ModuleType, str], ...] = (
    (steps, "index_media"), (steps, "extract_samples"), (steps, "curate_samples"), (steps, "write_shards"),
    (extract, "plan"), (finish, "media_table"),
)  # fmt: skip
"""The functions whose cost is noted by itself."""


def command(note: Path, words: Sequence[str]) -> int:
    """Run one command of mmidd with the null decoder; `note` says how many media that one was asked for, and what the
    steps took. A process that is killed leaves no note."""
    asked = 0

    def counted(task: Task, config: ExtractConfig, resources: Resources) -> Result:
        nonlocal asked
        asked += len(task.items)
        return null(task, config, resources)

    extract.STAGE = replace(extract.STAGE, function=counted)
    spans: list[dict[str, Any]] = []
    for module, name in SPANS:
        setattr(module, name, _spanned(name, getattr(module, name), spans))
    try:
        cli.main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    note.write_text(json.dumps({"asked": asked, "spans": spans}), encoding="utf-8")
    return code


def _spanned(name: str, function: Callable[..., Any], spans: list[dict[str, Any]]) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        wall, cpu = time.monotonic(), time.process_time()
        found = function(*args, **options)
        cost = Cost(time.monotonic() - wall, time.process_time() - cpu, _peak_mib())
        spans.append({"what": name, "size": len(found) if isinstance(found, list | dict) else None, **cost.as_json()})
        return found

    return timed


def _peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


# In the process that measures: one command after the other, and what each left behind.


@dataclass(frozen=True)
class Place:
    """The folders of one size."""

    root: Path

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        (self.root / "manifests").mkdir()
        (self.root / "manifests" / "scale.yaml").write_text(MANIFEST, encoding="utf-8")
        (self.root / "recipe.yaml").write_text(RECIPE, encoding="utf-8")

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def out(self) -> Path:
        return self.root / "corpus"

    @property
    def note(self) -> Path:
        return self.root / "note.json"

    def words(self, verb: str) -> list[str]:
        """The words of a command, without the interpreter's."""
        if verb == "verify":
            return [verb, str(self.out)]
        words = [verb, str(self.root / "recipe.yaml"), "--data", str(self.root / "data"), "--work", str(self.work)]
        words += ["--device", "cpu"] if verb != "index" else []
        words += ["--workers", "0"] if verb not in ("index", "curate") else []
        return [*words, "--out", str(self.out)] if verb in ("plan", "shard", "build") else words

    def run(self, verb: str, *, killed_after: int | None = None) -> Ended:
        """One command in a process of its own; `killed_after` so many commits of extraction it dies."""
        self.note.unlink(missing_ok=True)
        line = [sys.executable, "-m", "benchmarks.scale", "--command", str(self.note), *self.words(verb)]
        env = {"MMIDD_MANIFESTS": str(self.root / "manifests"), "OMP_NUM_THREADS": "1"}
        env |= {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # as `mmidd` itself does, before Arrow is there
        if killed_after is None:
            ended = run(line, env=env)
            if ended.code:
                raise BenchmarkError(f"mmidd {verb} ended with {ended.code}: {ended.err.strip()[-800:]}")
            return ended
        tally = self.root / "tally"
        ended = run(line, env={**env, "MMIDD_FAULT": f"recorded@records/extract/:{killed_after}:kill:{tally}"})
        if ended.code != -signal.SIGKILL:
            raise BenchmarkError(f"mmidd {verb} was to be killed and ended with {ended.code}: {ended.err.strip()[-800:]}")
        return ended

    def noted(self) -> dict[str, Any]:
        """What the last command noted of itself."""
        found: dict[str, Any] = json.loads(self.note.read_text(encoding="utf-8"))
        return found

    def records(self, stage: str) -> list[Record]:
        return list(Store(self.work).records(stage))


def measure(root: Path, count: int) -> Iterator[dict[str, Any]]:
    """Every command once over so many media: what it cost, and what there was after it. Raises BenchmarkError where a
    count is not as it has to be."""
    place = Place(root)
    data = root / "data" / "Scale"
    made = must([sys.executable, "-m", "benchmarks.scale", "--make", str(data), str(count)])
    yield _told("make the files", made, place, {"media": count})
    yield _told("index", place.run("index"), place, {"media": count})
    yield _told("plan, all to do", place.run("plan"), place, {"media": count})
    units = sum(span["size"] for span in place.noted()["spans"] if span["what"] == "plan")
    ended = place.run("extract", killed_after=max(1, units // 2))
    before = place.records("extract")
    kept = sum(record.counts["media"] for record in before)
    yield _told("extract, killed at half of the units", ended, place, {"units": len(before), "media": kept})
    yield _told("plan, half done", place.run("plan"), place, {"media": count})
    ended = place.run("extract")
    after = place.records("extract")
    _check("units after the resume", len(after), units)
    _check("media in them", sum(record.counts["media"] for record in after), count)
    _check("media that the resume extracted", place.noted()["asked"], count - kept)
    _check("records of before that are there", len({r.key for r in before} & {r.key for r in after}), len(before))
    rows = sum(record.counts["rows"] for record in after)
    yield _told("extract, resumed", ended, place, {"units": units - len(before), "media": count - kept})
    yield _told("curate", place.run("curate"), place, {"media": count, "rows": rows})
    yield _told("shard", place.run("shard"), place, {"rows": rows, "files": len(place.records("shard"))})
    corpus = _state(place.out)
    yield _told("verify", place.run("verify"), place, {"rows": rows, "media": count})
    yield _told("plan, nothing to do", place.run("plan"), place, {"media": count})
    ended = place.run("build")
    _check("media that a build with nothing to do extracted", place.noted()["asked"], 0)
    if _state(place.out) != corpus:
        raise BenchmarkError("a build with nothing to do changed the corpus")
    yield _told("build, nothing to do", ended, place, {"media": count, "rows": rows})


def _check(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise BenchmarkError(f"{what}: {found:,}, should be {wanted:,}")


def _told(what: str, ended: Ended, place: Place, counts: dict[str, int]) -> dict[str, Any]:
    spans = place.noted()["spans"] if place.note.exists() else []
    files, size = _size(place.work)
    return {"what": what, "counts": counts, **ended.cost.as_json(), "work_files": files, "work_bytes": size, "spans": spans}


def _size(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes."""
    found = [(Path(top) / name).stat().st_size for top, _, files in os.walk(folder) for name in files]
    return len(found), sum(found)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder: its inode and time."""
    stats = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (about.st_ino, about.st_mtime_ns) for path, about in stats}


def table(found: dict[int, list[dict[str, Any]]]) -> str:
    """The costs as a Markdown table; and how they grow from each size to the next."""
    lines = ["| media | | counts | wall | CPU | peak | files in the work folder | bytes |", "|" + " --- |" * 8]
    for count, phases in found.items():
        for phase in phases:
            counts = ", ".join(f"{number:,} {name}" for name, number in phase["counts"].items())
            lines.append(
                f"| {count:,} | {phase['what']} | {counts} | {phase['wall_s']:.1f} s | {phase['cpu_s']:.1f} s | "
                f"{phase['peak_mib']:,.0f} MiB | {phase['work_files']:,} | {phase['work_bytes'] / 1e6:,.0f} MB |"
            )
            for span in phase["spans"]:
                cost = f"{span['wall_s']:.1f} s | {span['cpu_s']:.1f} s | {span['peak_mib']:,.0f} MiB | | |"
                lines.append(f"| | of which {span['what']} | | {cost}")
    sizes = list(found)
    for less, more in pairwise(sizes):
        lines += ["", f"| from {less:,} to {more:,} ({more / less:g} times) | wall | CPU | peak |", "|" + " --- |" * 4]
        for small, large in zip(found[less], found[more], strict=True):
            factors = " | ".join(f"{large[key] / max(small[key], 1e-3):.1f}" for key in ("wall_s", "cpu_s", "peak_mib"))
            lines.append(f"| {small['what']} | {factors} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure each size, print the table, write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the media and all folders are made")
    parser.add_argument("--media", type=int, nargs="+", default=list(SIZES), help="how many (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results are written")
    arguments = parser.parse_args()
    about = {
        "format": FORMAT, "made": datetime.now(UTC).date().isoformat(), "hardware": hardware(), "versions": versions(),
        "commit": commit(),
    }  # fmt: skip
    found: dict[int, list[dict[str, Any]]] = {}
    try:
        for count in arguments.media:
            for phase in measure(arguments.folder / str(count), count):
                found.setdefault(count, []).append(phase)
                print(json.dumps({"of": count, **phase}), file=sys.stderr, flush=True)
            shutil.rmtree(arguments.folder / str(count))
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.json is not None:
            document = {**about, "sizes": [{"media": count, "phases": phases} for count, phases in found.items()]}
            arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(found), end="")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--command"]:
        sys.exit(command(Path(sys.argv[2]), sys.argv[3:]))
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
        sys.exit(0)
    sys.exit(main())
