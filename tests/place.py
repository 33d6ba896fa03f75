"""A place on disk where tests build: a recipe with raw data, a corpus and its work folder; and how a command there ended."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.engine.files import sha256_file

RECIPE = """\
name: small
datasets: [FaceForensics++, CelebA, FFHQ]
frames: {{count: 2}}
detector: {{kind: {detector}, size: 128}}
"""
MEDIA = (
    "CelebA/**/*.*",
    "FaceForensics++/dataset/splits/*.json",
    "FaceForensics++/original_sequences/youtube/c23/videos/00[03].mp4",
    "FaceForensics++/manipulated_sequences/Deepfakes/c23/videos/*.mp4",
)
"""Two of the recipe's three datasets: four videos (two pairs) and seven images."""


@dataclass(frozen=True)
class Place:
    """A corpus and its work folder in `root`; raw data, with the recipe beside them, there or in another place."""

    root: Path
    data: Path

    @classmethod
    def whole(cls, root: Path) -> Place:
        """A place that has all of its own."""
        return cls(root, root / "data")

    @property
    def recipe(self) -> Path:
        return self.data.parent / "recipe.yaml"

    @property
    def out(self) -> Path:
        return self.root / "corpus"

    @property
    def work(self) -> Path:
        return self.root / "corpus.work"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    def words(self, verb: str, *more: str) -> list[str]:
        """A command on this place that takes recipe, data and corpus (or work folder)."""
        where = ["--work", str(self.work)] if verb in ("index", "extract", "caption", "curate") else ["--out", str(self.out)]
        words = [verb, str(self.recipe), "--data", str(self.data), *where]
        return [*words, *(["--workers", "0"] if verb in ("build", "extract", "caption") else []), *more]

    def building(self, workers: int, *more: str) -> list[str]:
        """A build of this place that may remove rows."""
        where = ["--data", str(self.data), "--out", str(self.out), "--workers", str(workers), "--allow-removals"]
        return ["build", str(self.recipe), *where, *more]

    def told(self) -> str:
        """What was said into the log."""
        return self.log.read_text() if self.log.exists() else ""

    def digests(self) -> dict[str, str]:
        """Every file of the corpus."""
        return digests(self.out)


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, and its sha256."""
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def lay(place: Place, sample: Path, detector: str = "mtcnn") -> None:
    """Put the small data set and its recipe into a place."""
    for pattern in MEDIA:
        for path in sample.glob(pattern):
            target = place.data / path.relative_to(sample)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    place.recipe.write_text(RECIPE.format(detector=detector))


def moved(source: Path, target: Path) -> Path:
    """A copy of a folder with a build in it, whose notes know where they are now."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for note in target.glob("*.work/*.json"):
        note.write_text(note.read_text().replace(str(source), str(target)))
    return target


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)
