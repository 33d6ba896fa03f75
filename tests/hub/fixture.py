"""The fixture `hub`: a Hub of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on loopback; a request of no route, or one that breaks it, fails the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    made = Hub(tmp_path / "hub")
    yield made
    made.close()
    assert not made.wrong, "\n".join(made.wrong)
