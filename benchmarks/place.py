"""The throw-away dataset of a run, and what a measure is."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkError

KINDS = {
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"), "videos"),
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"), "images"),
}
_MANIFEST = r"""
name: Benchmark
slug: benchmark
year: 2026
folders: [benchmark]
summary: the media of one run of the benchmarks
access: made for the run
citation: none
licence: {id: other, name: none, url: "https://example.org", redistributable: false}
verified: false
verified_note: made for one run
type_basis: unknown
fields: {number: '\d{6}', suffix: '[A-Za-z0-9]+'}
rules:
  - {id: video, path: "videos/{number}.{suffix}", kind: video, label: real}
  - {id: image, path: "images/{number}.{suffix}", kind: image, label: real}
"""
Found = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """The throw-away place of a run, and what was asked for."""

    asked: argparse.Namespace
    place: Path
    media: dict[str, Any]
    files: tuple[Path, ...]

    @property
    def rounds(self) -> int:
        return int(self.asked.rounds)

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def recipe(self) -> Path:
        return self.place / "recipe.yaml"

    @property
    def videos(self) -> tuple[str, ...]:
        return tuple(str(file) for file in self.files if file.parent.name == "videos")

    @contextmanager
    def round(self) -> Iterator[Path]:
        """An empty folder for the work of a round, gone when it ends."""
        with tempfile.TemporaryDirectory(prefix="round-", dir=self.place) as folder:
            yield Path(folder)


@dataclass(frozen=True)
class Measure:
    """One thing to measure. `what` is the command in words, `rate_of` the count that its rate is of; `run` takes the
    round's folder."""

    name: str
    what: str
    rate_of: str
    run: Callable[[Path], Found]

    def as_json(self, rounds: Sequence[Found]) -> dict[str, Any]:
        head = {"name": self.name, "what": self.what, "rate_of": self.rate_of, "counts": rounds[0]["counts"]}
        parts = {"parts": [found["parts"] for found in rounds]} if "parts" in rounds[0] else {}
        return {**head, "rounds": [found["cost"] for found in rounds], **parts}


@contextmanager
def arranged(asked: argparse.Namespace) -> Iterator[Bench]:
    """Lay the media out as a dataset in a temporary folder (links where the disk allows, else copies)."""
    if not asked.media.is_dir():
        raise BenchmarkError(f"{asked.media} is no folder; give one that holds videos or images")
    given = sorted(path for path in asked.media.rglob("*") if path.is_file())
    taken = [path for path in given if path.suffix.lower() in KINDS]
    if not taken:
        raise BenchmarkError(f"no video or image lies in {asked.media}")
    with tempfile.TemporaryDirectory(prefix="mmidd-benchmarks-") as folder:
        place = Path(folder)
        files = tuple(_lay_out(taken * asked.repeat, place / "data" / "benchmark"))
        (place / "manifests").mkdir()
        (place / "manifests" / "benchmark.yaml").write_text(_MANIFEST, encoding="utf-8")
        recipe = {"name": "benchmark", "datasets": ["Benchmark"], "frames": {"count": asked.frames}}
        (place / "recipe.yaml").write_text(json.dumps({**recipe, "captioner": "attributes"}), encoding="utf-8")
        digests = sorted(_sha256(path) for path in taken)
        media = {
            "videos": sum(file.parent.name == "videos" for file in files),
            "images": sum(file.parent.name == "images" for file in files),
            "bytes": sum(file.stat().st_size for file in files),
            "distinct_files": len(taken),
            "ignored_files": len(given) - len(taken),
            "sha256_of_sha256s": hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        }
        yield Bench(asked, place, media, files)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lay_out(paths: Sequence[Path], root: Path) -> Iterator[Path]:
    for number, path in enumerate(paths):
        target = root / KINDS[path.suffix.lower()] / f"{number:06d}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target)
        except OSError:
            shutil.copyfile(path, target)
        yield target
