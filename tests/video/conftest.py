from __future__ import annotations

from pathlib import Path

import pytest

MEDIA = Path(__file__).parents[3] / "shared" / "media"


@pytest.fixture(scope="session")
def media() -> Path:
    if not MEDIA.is_dir():
        pytest.skip("real media (../shared/media) is not here")
    return MEDIA
