"""Real faces that ship inside installed packages, cut by fixed boxes, and the shared pictures where present."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

SHARED_IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "media" / "images"


def packaged(package: str, relative: str) -> npt.NDArray[np.uint8]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed, which ships the picture")
    with Image.open(Path(spec.origin).parent / relative) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="session")
def faces() -> dict[str, npt.NDArray[np.uint8]]:
    hopper = packaged("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    astronaut = packaged("skimage", "data/astronaut.png")
    return {"hopper": hopper[99:355, 140:396], "astronaut": astronaut[50:190, 153:293]}


@pytest.fixture(scope="session")
def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    if not SHARED_IMAGES.is_dir():
        pytest.skip("no ../shared/media beside the project")
    found = {}
    for path in sorted(SHARED_IMAGES.iterdir()):
        with Image.open(path) as image:
            found[path.stem] = np.asarray(image.convert("RGB"))
    return found
