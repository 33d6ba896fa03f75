"""InsightFace model packs: how one is found, what its files are known by, what is refused, and what their models say.

Only the detection model is real here (scrfd_500m_kps). The models of 106 landmarks and of embeddings are made on the spot:
networks of the right inputs and outputs that compute something simple, so that what goes in can be told from what comes out.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmidd.errors import MissingWeights, MmiddError, WrongWeights
from mmidd.faces import pack as packs
from mmidd.faces import weights
from mmidd.faces.choose import detector_identity, make_detector
from mmidd.faces.detector import DetectorConfig, Faces
from mmidd.faces.insightface import PackModels
from mmidd.faces.pack import folder_name, open_pack
from mmidd.recipe import parse
from mmidd.stages import extract
from mmidd.video.picture import Pixels

from .conftest import PACK, Image, read_rgb, use_pack, use_weights


def network(path: Path, side: int, length: int, *, normalised: bool = False, bias: Sequence[float] = ()) -> None:
    """A network of one square picture that gives `bias` and, in its first number, the mean of the picture as it came in (or
    after its own first layers, where it is `normalised`)."""
    nodes, name = [], "data"
    fixed = {
        "minus": np.array([127.5], np.float32), "times": np.array([1 / 128], np.float32),
        "weight": np.eye(1, length, dtype=np.float32), "bias": np.array([*bias, *[0] * (length - len(bias))], np.float32),
    }  # fmt: skip
    if normalised:
        nodes = [helper.make_node("Sub", ["data", "minus"], ["a"]), helper.make_node("Mul", ["a", "times"], ["b"])]
        name = "b"
    nodes += [
        helper.make_node("ReduceMean", [name], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["shown"]),
        helper.make_node("Add", ["shown", "bias"], ["fc1"]),
    ]
    constants = [numpy_helper.from_array(value, key) for key, value in fixed.items()]
    constants.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "shape"))
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["None", 3, side, side])
    found = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, length])
    graph = helper.make_graph(nodes, "net", [given], [found], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A whole pack under names that tell nothing, but for the detection model."""
    folder = use_pack(monkeypatch, tmp_path)
    network(folder / "a.onnx", 192, 212, normalised=True)
    network(folder / "b.onnx", 112, 512)
    network(folder / "c.onnx", 96, 3)
    return folder


def test_files_are_known_by_what_their_networks_take_and_give(pack: Path) -> None:
    (pack / "det_500m.onnx").rename(pack / "zzz.onnx")
    roles = {file.path.name: (file.role, file.normalised) for file in open_pack(PACK).files}
    assert roles == {
        "a.onnx": ("landmarks106", True), "b.onnx": ("embedding", False), "c.onnx": ("other", False),
        "zzz.onnx": ("detection", False),
    }  # fmt: skip


@pytest.mark.parametrize("size", [160, 640])
def test_the_faces_are_those_of_scrfd_bit_by_bit(
    pack: Path, media: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    mine = make_detector(DetectorConfig("insightface", size, pack=str(pack)))
    use_weights(monkeypatch, weights.SCRFD)
    theirs = make_detector(DetectorConfig("scrfd", size))
    images = [Pixels(read_rgb(path)) for path in sorted((media / "images").glob("*.jpg"))]
    found = list(zip(mine.detect(images), theirs.detect(images), strict=True))
    assert sum(len(faces) for faces, _ in found) >= 20
    for a, b in found:
        assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.landmarks, b.landmarks)
        assert np.array_equal(a.scores, b.scores)


def test_a_detection_model_of_open_size_is_taken_as_it_is(pack: Path, hopper: Image) -> None:
    model = onnx.load(pack / "det_500m.onnx")
    for place in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = "?"
    (fixed,) = make_detector(DetectorConfig("insightface", pack=PACK)).detect([Pixels(hopper)])
    (pack / "det_500m.onnx").write_bytes(model.SerializeToString())
    assert open_pack(PACK).the("detection").any_size
    (open_,) = make_detector(DetectorConfig("insightface", pack=PACK)).detect([Pixels(hopper)])
    assert len(open_) == 1 and np.array_equal(open_.boxes, fixed.boxes)


def test_a_pack_is_found_by_name_in_our_folder_then_in_insightfaces_or_by_its_path(
    pack: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    theirs = home / ".insightface" / "models" / "theirs"
    shutil.copytree(pack, theirs)
    monkeypatch.setenv("HOME", str(home))
    assert open_pack(PACK).folder == pack
    assert open_pack("theirs").folder == theirs
    assert open_pack("~/.insightface/models/theirs").folder == theirs
    monkeypatch.delenv(weights.FOLDER_VARIABLE)
    assert open_pack(str(pack)).folder == pack
    with pytest.raises(MissingWeights, match=r"mmidd downloads none: accept InsightFace's terms"):
        open_pack(PACK)


def _two(folder: Path) -> None:
    shutil.copy(folder / "det_500m.onnx", folder / "det_10g.onnx")


def _without_points(folder: Path) -> None:
    model = onnx.load(folder / "det_500m.onnx")
    del model.graph.output[6:]
    (folder / "det_500m.onnx").write_bytes(model.SerializeToString())


def _other_strides(folder: Path) -> None:
    """Its outputs have the right lengths, but come in another order."""
    model = onnx.load(folder / "det_500m.onnx")
    outputs = [*model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend([outputs[2], outputs[1], outputs[0], *outputs[3:]])
    (folder / "det_500m.onnx").write_bytes(model.SerializeToString())


def _weights_elsewhere(folder: Path) -> None:
    model = onnx.load(folder / "det_500m.onnx")
    onnx.save_model(model, folder / "det_500m.onnx", save_as_external_data=True, location="secret", size_threshold=0)


def _unknown_layer(folder: Path) -> None:
    model = onnx.load(folder / "det_500m.onnx")
    model.graph.node[0].domain, model.graph.node[0].op_type = "evil", "Run"
    (folder / "det_500m.onnx").write_bytes(model.SerializeToString())


def _many(folder: Path) -> None:
    for number in range(packs.MOST_FILES):
        (folder / f"{number}.onnx").write_bytes(b"")


def _huge(folder: Path) -> None:
    with (folder / "huge.onnx").open("wb") as file:
        file.truncate(packs.MOST_BYTES + 1)  # a hole: it takes no disk


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda folder: (folder / "det_500m.onnx").unlink(), "has no .onnx file"),
    ("no detection", lambda folder: network((folder / "det_500m.onnx").rename(folder / "b.onnx"), 112, 512),
     r"has no face detection model with five points .*its models are: b\.onnx"),
    ("two", _two, r"more than one face detection model .*det_10g\.onnx, det_500m\.onnx; leave one"),
    ("broken", lambda folder: (folder / "x.onnx").write_bytes(b"\x08\x07 not a model"), r"x\.onnx is no ONNX model"),
    ("empty file", lambda folder: (folder / "x.onnx").write_bytes(b""), r"x\.onnx is no ONNX model"),
    ("a pickle", lambda folder: (folder / "x.onnx").write_bytes(b"\x80\x04cos\nsystem\n"), r"x\.onnx is no ONNX model"),
    ("folder", lambda folder: (folder / "x.onnx").mkdir(), r"x\.onnx is no regular file"),
    ("no points", _without_points, "has no face detection model with five points"),
    ("another order", _other_strides, "is no SCRFD with five points that takes frames of any size"),
    ("weights elsewhere", _weights_elsewhere, "keeps its weights in other files"),
    ("unknown layer", _unknown_layer, "does not load"),
    ("many", _many, "33 .onnx files, a pack at most 32"),
    ("huge", _huge, r"huge\.onnx has 1,073,741,825 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_pack_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: Callable[[Path], object], told: str
) -> None:
    change(use_pack(monkeypatch, tmp_path))
    with pytest.raises(WrongWeights, match=told):
        make_detector(DetectorConfig("insightface", pack=PACK))


@pytest.mark.parametrize(
    ("named", "kind", "told"),
    [
        ("/etc/hostname", WrongWeights, "is no folder"),
        ("./nowhere", MissingWeights, "the pack ./nowhere is not there"),
        ("..", WrongWeights, "has no .onnx file"),
        ("buffalo s", WrongWeights, "is no name of a pack"),
        ("buffalo_q", MissingWeights, "is not in"),
    ],
)
def test_what_is_no_pack_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, kind: type[MmiddError], told: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for ask in (detector_identity, make_detector):
        with pytest.raises(kind, match=told):
            ask(DetectorConfig("insightface", pack=named))


def test_the_identity_has_every_file_of_the_pack_and_changes_with_it(pack: Path) -> None:
    config = DetectorConfig("insightface", pack=PACK)
    found = detector_identity(config)
    assert found.weights == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pack.glob("*.onnx")}
    network(pack / "b.onnx", 112, 512, bias=[1])
    assert detector_identity(config).weights["b.onnx"] != found.weights["b.onnx"]


def test_neither_a_key_nor_what_is_published_knows_where_the_pack_lies(pack: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / PACK
    shutil.copytree(pack, moved)
    text = "name: t\ndatasets: [CelebA]\ndetector: {kind: insightface, pack: PACK}\n"
    here, there, named = (parse(text.replace("PACK", name), "r.yaml") for name in (f"{pack}/", str(moved), PACK))
    assert extract.ingredients(here, "cpu") == extract.ingredients(there, "cpu") == extract.ingredients(named, "cpu")
    assert here.published() == there.published() == named.published()
    assert here.published()["detector"]["pack"] == folder_name(str(pack)) == PACK


def faces_at(*boxes: tuple[float, float, float, float]) -> Faces:
    count = len(boxes)
    points = np.zeros((count, 5, 2), np.float32)
    return Faces.ordered(np.array(boxes, np.float32).reshape(-1, 4), points, np.linspace(1, 0.5, count, dtype=np.float32))


def test_landmarks_lie_in_pixels_of_the_image_about_the_middle_of_the_box(pack: Path, hopper: Image) -> None:
    """The network gives (0, 0), the middle of what it sees, for every point but the last two: a corner and the other."""
    corners = [0.0] * 208 + [-1, -1, 1, 1]
    network(pack / "a.onnx", 192, 212, normalised=True, bias=corners)
    grey = np.full_like(hopper, 255)
    grey[...] = 127
    faces = faces_at((100, 100, 300, 200), (40, 60, 80, 140))
    found = PackModels(PACK).landmarks106(grey, faces)
    assert found.shape == (2, 106, 2) and found.dtype == np.float32
    assert found[0, 1:104] == pytest.approx(np.tile([200, 150], (103, 1)), abs=1e-3)
    assert found[:, -2:] == pytest.approx(np.array([[[50, 0], [350, 300]], [[0, 40], [120, 160]]]), abs=1e-3)
    assert PackModels(PACK).landmarks106(grey, Faces.empty()).shape == (0, 106, 2)


@pytest.mark.parametrize(("own", "seen"), [(True, 255.0), (False, 1.0)])
def test_a_network_gets_the_pixels_that_it_wants(pack: Path, own: bool, seen: float) -> None:
    """White is 255 for one that begins with layers of its own (which make of it 127.5/128), and about 1 for another."""
    network(pack / "b.onnx", 112, 512, normalised=own)
    white = np.full((2, 112, 112, 3), 255, np.uint8)
    found = PackModels(pack).embed(white)
    assert found.shape == (2, 512) and found[:, 0] == pytest.approx((seen - 127.5) / 128 if own else seen, abs=1e-4)
    assert not found[:, 1:].any()


def test_a_pack_without_a_model_says_so_when_it_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_pack(monkeypatch, tmp_path)
    models = PackModels(PACK)
    with pytest.raises(WrongWeights, match=r"has no model of 106 landmarks .*its models are: det_500m\.onnx"):
        models.landmarks106(np.zeros((8, 8, 3), np.uint8), faces_at((0, 0, 4, 4)))
    with pytest.raises(WrongWeights, match="has no face embedding"):
        models.embed(np.zeros((1, 112, 112, 3), np.uint8))


def test_what_is_no_crop_is_an_error(pack: Path) -> None:
    for crops in (np.zeros((112, 112, 3), np.uint8), np.zeros((1, 112, 112, 3), np.float32)):
        with pytest.raises(ValueError, match="crops must be"):
            PackModels(PACK).embed(crops)  # type: ignore[arg-type]


def test_the_room_opens_nothing_that_can_run_code() -> None:
    rooms = Path(packs.__file__).parents[1]
    for path in (*(rooms / "faces").glob("*.py"), *(rooms / "networks").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not any(
            word in text
            for word in ("import pickle\n", "pickle.load", "torch.load", "np.load", "allow_pickle", "trust_remote")
        )


def test_the_picture_that_landmarks_see_is_cut_as_opencv_does(pack: Path, hopper: Image) -> None:
    """The mean of what the network sees is that of a crop cut by hand."""
    box = (178.0, 119.0, 353.0, 335.0)
    found = PackModels(PACK).landmarks106(hopper, faces_at(box))
    side = 216 * 1.5
    left, top = 265.5 - side / 2, 227 - side / 2
    grid = np.stack(np.meshgrid(np.arange(192), np.arange(192)), -1) * side / 192 + (left, top)
    seen = cv2.remap(hopper, grid.astype(np.float32), None, cv2.INTER_LINEAR, borderValue=0)
    shown = found[0, 0, 0] * (192 / side) - left * 192 / side
    assert shown / 96 - 1 == pytest.approx((float(seen.mean()) - 127.5) / 128, abs=0.01)


def test_a_detector_is_made_of_the_files_that_the_key_names_or_not_at_all(pack: Path) -> None:
    """A pack that is replaced between the two would put its faces under the other one's key."""
    recipe = parse(f"name: x\ndatasets: [CelebA]\ndetector: {{kind: insightface, pack: {pack}}}\n", "x.yaml")
    models = extract.ingredients(recipe, "cpu")["models"]
    assert make_detector(extract.config(recipe, models).detector).kind == "insightface"
    original = (pack / "c.onnx").read_bytes()
    network(pack / "c.onnx", 96, 4)
    with pytest.raises(WrongWeights, match="changed while the build was under way"):
        make_detector(extract.config(recipe, models).detector)
    assert extract.ingredients(recipe, "cpu")["models"] != models
    (pack / "c.onnx").write_bytes(original)
    assert make_detector(extract.config(recipe, models).detector).kind == "insightface"


def test_a_later_build_of_this_process_does_not_take_the_detector_of_the_one_before(pack: Path) -> None:
    recipe = parse(f"name: x\ndatasets: [CelebA]\ndetector: {{kind: insightface, pack: {pack}}}\n", "x.yaml")

    def detector() -> object:
        models = extract.ingredients(recipe, "cpu")["models"]
        return extract._detector(extract.config(recipe, models).detector, "cpu")

    before = detector()
    assert detector() is before
    network(pack / "c.onnx", 96, 4)
    assert detector() is not before
