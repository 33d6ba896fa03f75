"""What several rooms' tests share: real media where they are at hand, a tiny sample, and one corpus built from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmidd import cli
from mmidd.flow.report import Report
from mmidd.options import Options
from mmidd.project import Project
from mmidd.recipe import Recipe, read
from mmidd.sampledata import write_sample

SHARED = Path(__file__).parents[2] / "shared"


@dataclass(frozen=True)
class Build:
    """A finished build of the tiny sample: tests read it and change nothing."""

    recipe: Recipe
    data: Path
    work: Path
    out: Path
    report: Report


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Real images and videos beside the checkout; the test is skipped where they are not."""
    return _beside("media")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Model files beside the checkout; the test is skipped where they are not."""
    return _beside("models")


def _beside(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"../shared/{name} is not here")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Numeric libraries of this process and of its children use one thread, as the engine's workers do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        yield


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny sample's raw datasets, made once; tests only read them."""
    root = tmp_path_factory.mktemp("sample") / "data"
    write_sample(root, size="tiny")
    return root


@pytest.fixture(scope="session")
def built(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The tiny sample, built once in this process by the bundled recipe, without interruption."""
    folder = tmp_path_factory.mktemp("built")
    recipe, work, out = read("sample"), folder / "corpus.work", folder / "corpus"
    report = Project(Options(recipe, str(sample_data), out, workers=0)).build()
    return Build(recipe, sample_data, work, out, report)


SMALL = """\
name: small
datasets: [FaceForensics++, CelebA, FFHQ]
frames: {count: 2}
detector: {kind: mtcnn, size: 128}
"""
SMALL_FILES = (
    "CelebA/**/*.*",
    "FaceForensics++/dataset/splits/*.json",
    "FaceForensics++/original_sequences/youtube/c23/videos/00[03].mp4",
    "FaceForensics++/manipulated_sequences/Deepfakes/c23/videos/*.mp4",
)


@dataclass(frozen=True)
class Place:
    """A folder with raw data (two of the recipe's three datasets), a recipe, and a corpus built from them."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def out(self) -> Path:
        return self.root / "corpus"

    @property
    def work(self) -> Path:
        return self.root / "corpus.work"

    def words(self, verb: str, *more: str) -> list[str]:
        """A command on this place that takes recipe, data and corpus (or work folder)."""
        where = ["--work", str(self.work)] if verb in ("index", "extract", "caption", "curate") else ["--out", str(self.out)]
        words = [verb, str(self.root / "small.yaml"), "--data", str(self.data), *where]
        return [*words, *(["--workers", "0"] if verb in ("build", "extract", "caption") else []), *more]


@pytest.fixture(scope="session")
def small(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place built through the command line, to be copied: four videos (two pairs) and seven images."""
    place = Place(tmp_path_factory.mktemp("small"))
    for pattern in SMALL_FILES:
        for path in sample_data.glob(pattern):
            target = place.data / path.relative_to(sample_data)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    (place.root / "small.yaml").write_text(SMALL)
    assert cli.run(place.words("build")) == 0
    return place


@pytest.fixture
def place(small: Place, tmp_path: Path) -> Place:
    """A built place of the test's own."""
    copied = Place(Path(shutil.copytree(small.root, tmp_path / "place")))
    for note in (copied.work / "build.json", copied.work / "builds.json"):
        note.write_text(note.read_text().replace(str(small.root), str(copied.root)))
    return copied


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


@pytest.fixture
def mmidd(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command in this process."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = cli.run(words)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run
