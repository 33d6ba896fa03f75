"""The embedded detector against the implementation whose weights it takes, and the reading of those weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mmidd.errors import WrongWeights
from mmidd.faces import mtcnn_nets, weights
from mmidd.faces.choose import make_detector
from mmidd.faces.detector import DetectorConfig, Faces, Reduced, gather, reduce
from mmidd.networks.network import Model
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.video import frame_plan, open_video
from mmidd.video.picture import Picture, Pixels

from .conftest import Image, read_rgb

torch = pytest.importorskip("torch")
reference = pytest.importorskip("facenet_pytorch")


@pytest.fixture(scope="module")
def original() -> Callable[[Picture, DetectorConfig], Faces]:
    """facenet-pytorch's own finds on a working frame."""
    torch.set_num_threads(1)
    models: dict[int, Any] = {}

    def find(picture: Picture, config: DetectorConfig) -> Faces:
        made = models.setdefault(
            config.min_face, reference.MTCNN(min_face_size=config.min_face, keep_all=True, select_largest=False)
        )
        frame: Reduced = reduce(picture, config.size)
        (boxes,), (scores,), (points,) = made.detect(frame.image[None], landmarks=True)
        if boxes is None:
            return Faces.empty()
        return gather(boxes.tolist(), points.tolist(), scores.tolist(), config, frame)

    return find


def close(found: Faces, expected: Faces) -> bool:
    pairs = ((found.boxes, expected.boxes, 0.01), (found.landmarks, expected.landmarks, 0.01))
    same = all(a.shape == b.shape and np.allclose(a, b, rtol=0, atol=most) for a, b, most in pairs)
    return same and np.allclose(found.scores, expected.scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "min_face"), [(640, 20), (320, 20), (160, 20), (512, 33)])
def test_finds_what_facenet_pytorch_finds(
    original: Callable[[Picture, DetectorConfig], Faces], hopper: Image, astronaut: Image, size: int, min_face: int
) -> None:
    config = DetectorConfig("mtcnn", size=size, min_face=min_face, enough=0)
    edge = hopper[150:, 200:]  # a face that the picture cuts: candidates reach over its border
    beside = np.concatenate([astronaut, cv2.resize(hopper, (512, 512))], axis=1)
    pictures = [Pixels(np.ascontiguousarray(image)) for image in (hopper, astronaut, edge, beside, hopper[::-1])]
    expected = [original(picture, config) for picture in pictures]
    assert sum(map(len, expected)) >= 3
    found = make_detector(config).detect(pictures)
    assert [close(a, b) for a, b in zip(found, expected, strict=True)] == [True] * len(pictures)


def test_finds_what_facenet_pytorch_finds_in_real_media(
    original: Callable[[Picture, DetectorConfig], Faces], media: Path
) -> None:
    pictures: list[Picture] = [Pixels(read_rgb(path)) for path in sorted((media / "images").glob("*.jpg"))[::4]]
    for path in sorted((media / "videos").glob("*.mp4"))[::3]:
        with open_video(path, "pyav") as video:
            pictures += [
                frame.picture for frame in video.frames(frame_plan(video.clip.frame_count, 2, "even")) if frame.picture
            ]
    config = DetectorConfig("mtcnn", enough=0)
    expected = [original(picture, config) for picture in pictures]
    assert sum(map(len, expected)) >= len(pictures) / 2
    found = make_detector(config).detect(pictures)
    assert [close(a, b) for a, b in zip(found, expected, strict=True)] == [True] * len(pictures)


@pytest.mark.parametrize(
    ("number", "name", "make", "side"),
    [
        (0, "PNet", mtcnn_nets.proposals, 41),
        (1, "RNet", mtcnn_nets.refinement, 24),
        (2, "ONet", mtcnn_nets.output, 48),
    ],
)
def test_each_network_computes_what_torch_s_does(number: int, name: str, make: Callable[[bytes], Model], side: int) -> None:
    state = weights.read_packaged(weights.MTCNN[number])
    data = np.random.default_rng(0).standard_normal((3, 3, side, side)).astype(np.float32)
    theirs = getattr(reference.models.mtcnn, name)()
    with torch.no_grad():
        expected = [output.numpy() for output in theirs(torch.from_numpy(data))]
    names = ("box", "points", "score") if name == "ONet" else ("box", "score")
    found = OnnxNetwork(replace(make(state), outputs=names))(data)
    assert all(a.shape == b.shape and np.abs(a - b).max() < 1e-5 for a, b in zip(found, expected, strict=True))


def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    from types import SimpleNamespace

    (tmp_path / "data").mkdir()
    data = bytearray(weights.read_packaged(weights.MTCNN[0]))
    data[5000] ^= 1
    (tmp_path / "data" / "pnet.pt").write_bytes(data)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    with pytest.raises(WrongWeights, match="not the pinned model"):
        weights.read_packaged(weights.MTCNN[0])
