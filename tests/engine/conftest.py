from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmidd.engine.local import Inline, Local
from mmidd.engine.units import Resources

from .toy import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def inline() -> Inline:
    return Inline()


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    """Two real workers, shared by a module's tests: each of them leaves the engine fit for the next."""
    engine = Local(2, Resources())
    yield engine
    engine.close()
