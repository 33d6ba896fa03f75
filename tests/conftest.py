"""What several rooms' tests share: real media where they are at hand, a tiny sample, and one corpus built from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmidd.build import Report, build
from mmidd.progress import Silent
from mmidd.recipe import Recipe, read
from mmidd.sample import write_sample
from mmidd.site import claim_corpus, open_site

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
    corpus = claim_corpus(out, sample_data, work)
    site = open_site(recipe, sample_data, work, progress=Silent(), workers=0)
    report = build(site, corpus, allow_removals=False)
    site.engine.close()
    return Build(recipe, sample_data, work, out, report)
