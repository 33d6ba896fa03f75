"""Publications of the built sample, staged once: of seven datasets one, FFHQ, lets its pixels go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Build
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.share.publication.stage import stage

REPOSITORY = "my-lab/faces"
KINDS: dict[str, dict[str, Any]] = {
    "mixed": {},
    "labels": {"labels_only": True},
    "complete": {"only": ["FFHQ"]},
    "redacted": {"redact": ["identities", "paths", "captions"]},
}


def staged(built: Build, once: Once, kind: str) -> Path:
    def make(folder: Path) -> None:
        stage(Corpus(built.out), folder / kind, name="sample", repository=REPOSITORY, workers=1, **KINDS[kind])

    return once(f"card-{kind}", make) / kind


@pytest.fixture(scope="session", params=["mixed", "labels", "complete"])
def published(request: pytest.FixtureRequest, built: Build, once: Once) -> Path:
    """A folder of each kind: some pixels, none, all."""
    return staged(built, once, request.param)


@pytest.fixture(scope="session")
def mixed(built: Build, once: Once) -> Path:
    return staged(built, once, "mixed")


@pytest.fixture(scope="session")
def redacted(built: Build, once: Once) -> Path:
    return staged(built, once, "redacted")


@pytest.fixture(scope="session")
def complete(built: Build, once: Once) -> Path:
    return staged(built, once, "complete")
