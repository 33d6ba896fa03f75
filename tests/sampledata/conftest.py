from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(sample_data: Path) -> Path:
    """The tiny sample; tests only read it."""
    return sample_data
