from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from mmidd.faces import weights
from mmidd.faces.weights import Weights

Image = npt.NDArray[np.uint8]
SHARED = Path(__file__).parents[3] / "shared"


def read_rgb(path: Path) -> Image:
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def packaged(package: str, name: str) -> Image:
    """An image that ships inside an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return read_rgb(Path(spec.origin).parent / name)


def use_weights(monkeypatch: pytest.MonkeyPatch, pinned: Weights) -> None:
    """Point MMIDD_MODELS at a folder that holds the file, or skip: tests never download."""
    named = os.environ.get(weights.FOLDER_VARIABLE)
    for folder in (Path(named) if named else None, SHARED / "models", weights.cache_folder()):
        if folder is not None and (folder / pinned.name).is_file():
            monkeypatch.setenv(weights.FOLDER_VARIABLE, str(folder))
            return
    pytest.skip(f"the model file {pinned.name} is not at hand (MMIDD_MODELS or ../shared/models)")


PACK = "tiny_pack"


def use_pack(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A model pack with our one SCRFD, named as InsightFace names it, in a folder that MMIDD_MODELS then names."""
    use_weights(monkeypatch, weights.SCRFD)
    pack = folder / PACK
    pack.mkdir()
    shutil.copy(weights.find(weights.SCRFD.name), pack / "det_500m.onnx")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(folder))
    return pack


@pytest.fixture(scope="session")
def hopper() -> Image:
    return packaged("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def astronaut() -> Image:
    return packaged("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def media() -> Path:
    folder = SHARED / "media"
    if not folder.is_dir():
        pytest.skip("real media (../shared/media) is not here")
    return folder
