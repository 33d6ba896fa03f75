"""What tests of rehydration share: publications of a small corpus, and its media in a place of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Build
from once import Once
from place import Place

from mmidd.corpus.read import Corpus
from mmidd.share.publication.stage import stage


@pytest.fixture(scope="session")
def labels(small: Place, once: Once) -> Path:
    """The small corpus's publication without a pixel."""
    return once("labels", lambda to: stage(Corpus(small.out), to / "p", name="small", labels_only=True, workers=0)) / "p"


@pytest.fixture(scope="session")
def whole(built: Build, once: Once) -> Path:
    """The tiny sample's publication without a pixel: all datasets, masks."""
    return once("whole", lambda to: stage(Corpus(built.out), to / "p", name="tiny", labels_only=True, workers=0)) / "p"


@pytest.fixture(scope="session")
def mixed(built: Build, once: Once) -> Path:
    """Its publication with the pixels that may go: those of FFHQ."""
    return once("mixed", lambda to: stage(Corpus(built.out), to / "p", name="tiny", workers=0)) / "p"


@pytest.fixture
def data(small: Place, tmp_path: Path) -> Path:
    """The media, as an own copy."""
    return Path(shutil.copytree(small.data, tmp_path / "data"))
