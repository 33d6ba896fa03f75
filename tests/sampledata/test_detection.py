"""The detectors that the pipeline uses find the sample's people, in reals and fakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmidd.errors import MissingExtra, MissingWeights
from mmidd.faces.choose import make_detector
from mmidd.faces.detector import Detector, DetectorConfig
from mmidd.video.picture import Pixels as Still

MODELS = Path(__file__).parents[3] / "shared/models"
EVERY = 5  # frames of a clip between two that are looked at

Pixels = npt.NDArray[np.uint8]


def _detector(kind: str, monkeypatch: pytest.MonkeyPatch) -> Detector:
    if kind == "yunet" and MODELS.is_dir():
        monkeypatch.setenv("MMIDD_MODELS", str(MODELS))
    elif kind == "yunet":
        pytest.skip("no ../shared/models with YuNet's weights")
    try:
        return make_detector(DetectorConfig(kind, size=640, min_face=24))
    except (MissingExtra, MissingWeights) as error:
        pytest.skip(str(error))


def _clips(root: Path) -> Iterator[tuple[str, list[Pixels]]]:
    for path in sorted(root.rglob("*.mp4")):
        if "masks" in path.parts:
            continue
        with av.open(str(path)) as container:
            frames = [frame for i, frame in enumerate(container.decode(video=0)) if i % EVERY == 0]
        upright = [np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) for frame in frames]
        yield path.relative_to(root).as_posix(), [np.ascontiguousarray(frame) for frame in upright]
    for path in sorted([*root.rglob("*.jpg"), *root.rglob("*.png")]):
        with Image.open(path) as image:
            yield path.relative_to(root).as_posix(), [np.asarray(image.convert("RGB"))]


@pytest.mark.parametrize("kind", ["mtcnn", "yunet"])
def test_one_face_is_found_in_nearly_every_frame(tiny: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, frames = _detector(kind, monkeypatch), 0
    faceless: list[str] = []
    crowded: list[str] = []
    for name, clip in _clips(tiny):
        for index, found in enumerate(detector.detect([Still(image) for image in clip])):
            frames += 1
            if len(found) != 1:
                (crowded if len(found) else faceless).append(f"{name}#{index}: {len(found)}")
    assert frames > 80
    assert faceless == []
    assert len(crowded) <= 0.02 * frames, crowded
