"""The contract of every face detector: one set of promises, checked on each that can run here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mmidd.engine.device import gpus
from mmidd.errors import MissingExtra, MmiddError
from mmidd.faces import weights
from mmidd.faces.choose import detector_identity, make_detector
from mmidd.faces.detector import Detector, DetectorConfig, Faces, reduce, scores_of
from mmidd.faces.registry import DETECTORS
from mmidd.video.picture import Pixels

from .conftest import PACK, Image, read_rgb, use_pack, use_weights

KINDS = tuple(row.name for row in DETECTORS.rows)
HOPPER_FACE = (178, 119, 353, 335)
ASTRONAUT_FACE = (180, 63, 269, 175)


def config(kind: str, **more: Any) -> DetectorConfig:
    """A row's configuration with all that it needs."""
    own: dict[str, Any] = {"pack": PACK} if kind == "insightface" else {}
    return DetectorConfig(kind, **own, **more)


def prepare(kind: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    if kind == "mtcnn":
        pytest.importorskip("facenet_pytorch")
    elif kind == "insightface":
        use_pack(monkeypatch, folder)
    else:
        use_weights(monkeypatch, weights.of_detector(kind))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepare(request.param, monkeypatch, tmp_path_factory.mktemp("models"))
        yield request.param


@pytest.fixture(scope="module")
def detector(kind: str) -> Detector:
    return make_detector(config(kind))


def find(detector: Detector, images: Sequence[Image]) -> list[Faces]:
    return detector.detect([Pixels(image) for image in images])


def same(a: Faces, b: Faces) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.boxes, b.boxes), (a.landmarks, b.landmarks), (a.scores, b.scores)))


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    area = [float((x[2] - x[0]) * (x[3] - x[1])) for x in (a, b)]
    return common / (sum(area) - common)


def test_finds_the_one_face_where_it_is(detector: Detector, hopper: Image, astronaut: Image) -> None:
    for image, expected in ((hopper, HOPPER_FACE), (astronaut, ASTRONAUT_FACE)):
        (faces,) = find(detector, [image])
        assert len(faces) == 1
        assert iou(tuple(faces.boxes[0].tolist()), expected) > 0.75


def test_landmarks_are_eyes_nose_mouth_from_the_images_left(detector: Detector, hopper: Image, astronaut: Image) -> None:
    for faces in find(detector, [hopper, astronaut]):
        left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks[0]
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        low, high = faces.boxes[0, :2], faces.boxes[0, 2:]
        assert ((faces.landmarks[0] > low) & (faces.landmarks[0] < high)).all()


def test_finds_nothing_where_nothing_is(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    gradient = np.repeat(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], 240, 0).repeat(3, 2)
    frames = [np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8), gradient, noise]
    assert [len(faces) for faces in find(detector, frames)] == [0, 0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (19, 19), (20, 20), (31, 33), (1, 640), (4, 5000), (5000, 4)])
def test_odd_frame_sizes_are_no_fault(detector: Detector, shape: tuple[int, int]) -> None:
    assert [len(faces) for faces in find(detector, [np.full((*shape, 3), 128, np.uint8)])] == [0]


def test_no_frames_give_no_results(detector: Detector) -> None:
    assert find(detector, []) == []


def test_a_huge_frame_gives_faces_in_its_own_pixels(detector: Detector, hopper: Image) -> None:
    frame = np.zeros((4320, 7680, 3), np.uint8)
    frame[1000:3400, 2000:4048] = cv2.resize(hopper, (2048, 2400))
    (faces,) = find(detector, [frame])
    expected = tuple(x * 4 + shift for x, shift in zip(HOPPER_FACE, (2000, 1000) * 2, strict=True))
    assert len(faces) == 1
    assert iou(tuple(faces.boxes[0].tolist()), expected) > 0.7


def test_frames_of_different_sizes_go_together_and_do_not_touch_each_other(
    detector: Detector, hopper: Image, astronaut: Image
) -> None:
    frames = [hopper, np.zeros((8, 8, 3), np.uint8), astronaut, cv2.resize(hopper, (256, 300)), hopper[:, ::-1]]
    alone = [find(detector, [np.asarray(frame, np.uint8)])[0] for frame in frames]
    together = find(detector, [np.asarray(frame, np.uint8) for frame in frames])
    backwards = find(detector, [np.asarray(frame, np.uint8) for frame in reversed(frames)])[::-1]
    assert [len(faces) for faces in together] == [1, 0, 1, 1, 1]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(alone, together, backwards, strict=True))


def test_a_second_detector_gives_the_same_bits(detector: Detector, hopper: Image) -> None:
    again = make_detector(config(detector.kind))
    assert same(find(detector, [hopper])[0], find(again, [hopper])[0])


def test_channels_are_read_as_rgb(detector: Detector, hopper: Image, astronaut: Image) -> None:
    for image in (hopper, astronaut):
        right, swapped = find(detector, [image, image[..., ::-1]])
        assert right.scores[0] > swapped.scores[0]


def test_the_given_frames_stay_as_they_are(detector: Detector, astronaut: Image) -> None:
    frame = astronaut.copy()
    find(detector, [frame])
    assert np.array_equal(frame, astronaut)


def test_min_score_decides_what_is_found(kind: str, hopper: Image) -> None:
    (found,) = find(make_detector(config(kind, enough=0)), [hopper])
    score = float(found.scores[0])
    assert score >= scores_of(kind).least
    assert len(find(make_detector(config(kind, min_score=score - 1e-4, enough=0)), [hopper])[0]) == 1
    higher = make_detector(config(kind, min_score=score + 1e-4, enough=0))
    assert len(find(higher, [hopper])[0]) == 0


def test_a_small_working_frame_is_enough_for_a_large_face_and_a_larger_one_is_taken_for_a_small_face(
    kind: str, hopper: Image
) -> None:
    """Hopper's face has 215 of 600 pixels: 57 at a long side of 160, 115 at 320."""
    full = make_detector(config(kind, enough=0))
    for enough, size in ((40, 160), (80, 320), (200, 640)):
        stepwise, at_once = (
            make_detector(config(kind, enough=enough)), make_detector(config(kind, size=size, enough=0)),
        )  # fmt: skip
        assert same(find(stepwise, [hopper])[0], find(at_once, [hopper])[0])
    beside = np.concatenate([hopper, np.zeros((600, 2000, 3), np.uint8)], axis=1)
    assert same(find(make_detector(config(kind)), [beside])[0], find(full, [beside])[0])


def test_min_face_decides_what_is_found(kind: str, astronaut: Image) -> None:
    counts = [len(find(make_detector(config(kind, min_face=m)), [astronaut])[0]) for m in (80, 160)]
    assert counts == [1, 0]


def test_the_working_size_is_honoured(kind: str, hopper: Image) -> None:
    frame = np.zeros((2400, 3200, 3), np.uint8)
    frame[:600, :512] = hopper  # a face of 215 pixels: 43 at a long side of 640, 13 at 192
    counts = [len(find(make_detector(config(kind, size=size, min_face=20)), [frame])[0]) for size in (640, 192)]
    assert counts == [1, 0]


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
    ids=["grey", "rgba", "float", "empty"],
)
def test_what_is_no_frame_is_an_error(detector: Detector, frame: Image) -> None:
    with pytest.raises(ValueError, match="picture must be"):
        find(detector, [frame])


@pytest.mark.parametrize(
    ("name", "least", "most"), [("multiface.jpg", 6, 6), ("selfie-many-people.jpg", 4, 8), ("person_img11.jpg", 1, 1)]
)
def test_finds_the_faces_of_real_photographs(detector: Detector, media: Path, name: str, least: int, most: int) -> None:
    (faces,) = find(detector, [read_rgb(media / "images" / name)])
    assert least <= len(faces) <= most


def test_finds_the_people_of_a_street(detector: Detector, media: Path) -> None:
    with av.open(str(media / "videos" / "several_people_1080p.mp4")) as container:
        frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)][6::26]
    counts = [len(faces) for faces in find(detector, frames)]
    assert max(counts) >= 5
    assert min(counts) >= 3


def test_finds_the_speaker_in_every_sampled_frame(detector: Detector, media: Path) -> None:
    for name in ("d19.mp4", "d20.mp4"):
        with av.open(str(media / "videos" / name)) as container:
            frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)][20::60]
        assert [len(faces) for faces in find(detector, frames)] == [1] * len(frames)


def test_identity_names_weights_libraries_and_licence(kind: str) -> None:
    identity = detector_identity(config(kind))
    assert identity.kind == kind
    assert all(len(digest) == 64 for digest in identity.weights.values())
    assert all(version != "unknown" for version in identity.libraries.values())
    wanted = {"mtcnn": "onet.pt", "yunet": weights.YUNET.name, "scrfd": weights.SCRFD.name, "insightface": "det_500m.onnx"}
    assert wanted[kind] in identity.weights and "onnxruntime" in identity.libraries
    bound = kind in ("scrfd", "insightface")
    assert ("non-commercial" in identity.licence) == (identity.licence_note is not None) == bound


@pytest.mark.parametrize(("ask", "loaded"), [("detector_identity", []), ("make_detector", ["onnxruntime"])])
def test_the_embedded_detector_is_named_without_loading_anything_and_runs_without_torch(ask: str, loaded: list[str]) -> None:
    pytest.importorskip("facenet_pytorch")
    code = (
        f"import sys; from mmidd.faces.choose import *; from mmidd.faces.detector import *; {ask}(DetectorConfig('mtcnn'));"
        "print([m for m in ('torch', 'onnxruntime', 'facenet_pytorch', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)


def test_a_missing_extra_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "facenet_pytorch" else real(name))
    for ask in (make_detector, detector_identity):
        with pytest.raises(MissingExtra, match=r"mmidd\[faces\]"):
            ask(DetectorConfig("mtcnn"))


def test_torch_in_the_device_process_finds_what_onnxruntime_finds(
    kind: str, hopper: Image, astronaut: Image, media: Path
) -> None:
    """The way of a GPU, on torch's CPU device: the same faces up to float error, and to the bit whatever comes together."""
    pytest.importorskip("torch")
    several = read_rgb(media / "images" / "multiface.jpg")
    images = [hopper, several, astronaut, hopper[::-1], np.zeros_like(hopper), hopper[100:, 150:], astronaut]
    images = [np.ascontiguousarray(image) for image in images]
    here, there = (make_detector(config(kind, size=320, runtime=runtime)) for runtime in ("onnxruntime", "torch"))
    expected, found = find(here, images), find(there, images)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected] and sum(map(len, found)) >= 5
    for ours, theirs in zip(found, expected, strict=True):
        assert np.allclose(ours.boxes, theirs.boxes, atol=1e-2) and np.allclose(ours.landmarks, theirs.landmarks, atol=1e-2)
        assert np.allclose(ours.scores, theirs.scores, atol=1e-4)
    assert all(same(a, b) for a, b in zip(find(there, images[::-1])[::-1], found, strict=True))
    assert same(find(there, images[1:2])[0], found[1])


@pytest.mark.parametrize("kind_", KINDS)
def test_cuda_where_there_is_none_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, kind_: str, tmp_path: Path) -> None:
    prepare(kind_, monkeypatch, tmp_path)
    if gpus():
        pytest.skip("there is a GPU")
    for runtime in ("onnxruntime", "torch"):
        with pytest.raises(MmiddError, match="--device cpu"):
            make_detector(config(kind_, runtime=runtime), "cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "dlib"}, "no detector is called"),
        ({"size": 10}, "size"),
        ({"size": 10_000}, "size"),
        ({"min_face": 1}, "min_face"),
        ({"min_face": 700}, "min_face"),
        ({"min_score": 1.5}, "min_score"),
        ({"pack": "buffalo_s"}, "takes no pack"),
        ({"kind": "insightface"}, "needs a pack"),
    ],
)
def test_an_impossible_config_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectorConfig(**{"kind": "mtcnn", **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((1080, 1920), 640, (360, 640)),
        ((480, 480), 640, (480, 480)),
        ((641, 3), 640, (640, 3)),
        ((3, 9000), 640, (1, 640)),
    ],
)
def test_working_frames_are_reduced_never_enlarged(shape: tuple[int, int], size: int, expected: tuple[int, int]) -> None:
    reduced = reduce(Pixels(np.zeros((*shape, 3), np.uint8)), size)
    assert reduced.image.shape == (*expected, 3)
    assert (expected[1] * reduced.scale[0], expected[0] * reduced.scale[1]) == pytest.approx(shape[::-1])


def three(scores: list[float], x: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.array([[v, 0, v + 10, 10] for v in x], np.float32)
    return boxes, np.zeros((len(x), 5, 2), np.float32), np.array(scores, np.float32)


def test_faces_are_ordered_by_score_then_place() -> None:
    faces = Faces.ordered(*three([0.5, 0.9, 0.5], [7, 8, 3]))
    assert faces.boxes[:, 0].tolist() == [8, 3, 7]
    assert len(faces) == 3
    assert len(Faces.empty()) == 0


@pytest.mark.parametrize(
    ("boxes", "landmarks", "scores", "message"),
    [
        (*three([0.5, 0.9], [1, 2]), "ordered"),
        (*three([0.9, 0.9], [2, 1]), "ordered"),
        (*three([1.2], [0]), "scores"),
        (np.zeros((1, 4), np.float32), *three([0.5], [0])[1:], "x1 > x0"),
        (np.zeros((2, 4), np.float32), *three([0.5], [0])[1:], "boxes must be"),
        (three([0.5], [0])[0].astype(np.float64), *three([0.5], [0])[1:], "float32"),
        (three([0.5], [0])[0], np.full((1, 5, 2), np.nan, np.float32), three([0.5], [0])[2], "finite"),
    ],
    ids=["score order", "place order", "score range", "flat box", "count", "dtype", "nan"],
)
def test_faces_that_break_the_type_are_refused(
    boxes: np.ndarray, landmarks: np.ndarray, scores: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Faces(boxes, landmarks, scores)
