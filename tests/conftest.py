"""What several rooms' tests share: real media where they are at hand, a tiny sample, and what is built of it once."""

from __future__ import annotations

import os

# Numeric libraries of this process and of its children use one thread, as the engine's workers do. They read this when they
# are imported, so it cannot wait for a fixture; two threads that spin at a barrier starve whoever else has work.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hub.fixture import hub as hub
from hypothesis import settings
from once import Once
from place import Place as Place
from place import Said as Said
from place import lay, moved

from mmidd import cli
from mmidd.flow.report import Report
from mmidd.flow.setup import Setup, open_setup
from mmidd.flow.walk import Walked, walk
from mmidd.flow.walkers import Build as DoIt
from mmidd.manifest import folders
from mmidd.options import Options
from mmidd.project import Project
from mmidd.recipe import Recipe, read
from mmidd.sampledata import write_sample

settings.register_profile("mmidd", deadline=None)  # no test asserts a time
settings.load_profile("mmidd")
SHARED = Path(__file__).parents[2] / "shared"

WAITING = (
    "engine/test_local.py",
    "engine/conformance/",
    "crash/",
    "e2e/test_kill.py",
    "networks/test_device_process.py",
    "raw/test_clusters.py",
)
"""Files whose tests wait for clocks and for processes that they start: two at a time would starve each other."""


def group_of(nodeid: str) -> str:
    """The tests of one group run in one process, one after the other: all that wait, else those of a file."""
    file = nodeid.partition("::")[0]
    return "waiting" if file.removeprefix("tests/").startswith(WAITING) else file


@pytest.fixture(autouse=True, scope="module")
def _no_manifests_of_other_files() -> Iterator[None]:
    """What recipes of one file of tests name is not known in the next one, whatever runs in the same process."""
    yield
    folders.forget()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where there are several processes (`make test`): hand out group by group."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits comes first: it takes long, and the rest fills the other process meanwhile."""
    items.sort(key=lambda item: group_of(item.nodeid) != "waiting")


def build_here(recipe: Recipe, data: Path, out: Path, work: Path) -> Report:
    """A whole build in this process, as `mmidd build --workers 0` does it."""
    return Project(Options(recipe, str(data), out, work, workers=0)).build()


def walk_here(
    recipe: Recipe, data: Path | str, work: Path, until: Literal["index", "extract", "caption"], *, run: bool, **options: Any
) -> tuple[Setup, Walked]:
    """The steps of a build in this process; without `run` they must be up to date. `options` are those of `Options`."""
    setup = open_setup(Options(recipe, str(data), work=work, workers=0, **options))
    return setup, walk(setup, DoIt() if run else DoIt("index"), until)


@dataclass(frozen=True)
class Build:
    """A finished build of the tiny sample, its samples and its media by outcome: tests read it and change nothing."""

    recipe: Recipe
    data: Path
    work: Path
    out: Path
    samples: int
    media: Mapping[str, int]


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


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Once]:
    """Makes what is expensive once for all processes; at the end nothing of it may have changed."""
    made = Once.of(tmp_path_factory)
    yield made
    made.check()


@pytest.fixture(scope="session")
def sample_data(once: Once) -> Path:
    """The tiny sample's raw datasets; tests only read them."""
    return once("sample", lambda folder: write_sample(folder / "data", size="tiny")) / "data"


@pytest.fixture(scope="session")
def built(sample_data: Path, once: Once) -> Build:
    """The tiny sample, built in one process by the bundled recipe, without interruption."""
    recipe = read("sample")

    def make(folder: Path) -> None:
        told = build_here(recipe, sample_data, folder / "corpus", folder / "corpus.work").built
        (folder / "told.json").write_text(json.dumps({"samples": told.samples, "media": dict(told.media)}))

    folder = once("built", make)
    return Build(
        recipe, sample_data, folder / "corpus.work", folder / "corpus", **json.loads((folder / "told.json").read_text())
    )


@pytest.fixture(scope="session")
def small(sample_data: Path, once: Once) -> Place:
    """A place built through the command line, to be copied: four videos (two pairs) and seven images."""

    def make(folder: Path) -> None:
        place = Place.whole(folder)
        lay(place, sample_data)
        assert cli.run(place.words("build")) == 0

    return Place.whole(once("small", make))


@pytest.fixture
def place(small: Place, tmp_path: Path) -> Place:
    """A built place of the test's own."""
    return Place.whole(moved(small.root, tmp_path / "place"))


@dataclass(frozen=True)
class Ground:
    """Raw data with a recipe; a finished corpus of them, and one that was made with other settings, to be updated."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def finished(self) -> Place:
        return Place(self.root / "straight", self.data)

    @property
    def older(self) -> Place:
        return Place(self.root / "older", self.data)


OLDER = ("--set", "captioner=none", "--set", "seed=5")
"""How the corpus was made that some builds find: its crops can be taken over, its captions, verdicts and shards not."""


@pytest.fixture(scope="session")
def ground(sample_data: Path, once: Once) -> Ground:
    """The small data once more, for builds that start fast: yunet finds the faces where its weights are at hand, without
    torch. The commands on it are to find them too: `models_here`."""

    def make(folder: Path) -> None:
        made = Ground(folder)
        lay(made.finished, sample_data, "yunet" if models_here() else "mtcnn")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in models_here().items():
                patch.setenv(name, value)
            for place, more in ((made.finished, ()), (made.older, OLDER)):
                place.root.mkdir()
                assert cli.run(place.building(0, *more)) == 0
        assert made.older.digests() != made.finished.digests()

    return Ground(once("ground", make))


def models_here() -> dict[str, str]:
    """The environment in which commands find the detectors' weights beside the checkout; empty where there are none."""
    return {"MMIDD_MODELS": str(SHARED / "models")} if (SHARED / "models").is_dir() else {}


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
