from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

MEDIA = Path(__file__).parents[3] / "shared" / "media"


@pytest.fixture(scope="module")
def face() -> npt.NDArray[np.uint8]:
    """A real face that fills the picture, (96, 96, 3) RGB."""
    if not MEDIA.is_dir():
        pytest.skip("real media (../shared/media) is not here")
    with Image.open(MEDIA / "images" / "liveportrait_s12.jpg") as image:
        return np.asarray(image.convert("RGB").resize((96, 96)), np.uint8)
