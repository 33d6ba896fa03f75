from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.sampledata import write_sample


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny sample, made once; tests only read it."""
    root = tmp_path_factory.mktemp("tiny") / "sample"
    write_sample(root, size="tiny")
    return root
