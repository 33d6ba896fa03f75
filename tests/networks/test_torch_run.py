"""Networks on torch: pixels bit for bit as numpy, faces as with onnxruntime, pictures that do not hear of each other, and
what a capture does with all but its few calls to CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from mmidd.faces import mtcnn_nets, scrfd, weights, yunet
from mmidd.faces.dense import suppress
from mmidd.networks import torch_run
from mmidd.networks.network import Model, NetworkFault, Pixels
from mmidd.networks.onnx_runtime import as_input
from mmidd.networks.pictures import for_any_number
from mmidd.networks.torch_run import Prepared, TorchNetwork

from .graphs import Array, Line, by_onnxruntime, graph, model, noise

torch = pytest.importorskip("torch")
SHARED = Path(__file__).parents[3] / "shared"
YUNET, SCRFD = Pixels(bgr=True), Pixels(mean=127.5, spread=128.0)
SIZES = ((64, 96), (96, 64), (192, 256), (320, 320))
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def detector(kind: str) -> Model:
    """YuNet or SCRFD, its outputs in the order in which its decoder wants them."""
    name, pixels = {
        "yunet": ("face_detection_yunet_2023mar", YUNET),
        "yunet_s": ("yunet_s_dynamic", YUNET),
        "scrfd": ("scrfd_500m_kps", SCRFD),
    }[kind]
    path = SHARED / "models" / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} is not at hand")
    net = for_any_number(path.read_bytes(), any_size=True)
    outputs = tuple(f"out{at}" for at in range(9)) if kind == "scrfd" else tuple(yunet.OUTPUTS)
    return Model(kind, net, outputs, pixels)


def photos(height: int, width: int, count: int) -> Array:
    paths = sorted((SHARED / "media" / "images").glob("*.jpg"))[-count:]
    if len(paths) < count:
        pytest.skip("real media (../shared/media) is not here")
    read = [cv2.resize(cv2.imread(str(path)), (width, height), interpolation=cv2.INTER_AREA)[..., ::-1] for path in paths]
    return np.stack(read)


def faces(kind: str, outputs: list[Array], shape: tuple[int, int]) -> Array:
    """(n,15) boxes, points and scores of one picture, after suppression."""
    module: Any = scrfd if kind == "scrfd" else yunet
    boxes, points, scores = module.decode(outputs, shape, 0.5)
    keep = suppress(boxes, scores, module.NMS_IOU)
    return np.concatenate([boxes[keep], points[keep], scores[keep, None]], axis=1)


@pytest.mark.parametrize("kind", ["yunet", "yunet_s", "scrfd"])
def test_detectors_find_the_faces_that_they_find_on_onnxruntime(kind: str) -> None:
    made = detector(kind)
    assert made.pixels is not None
    network = TorchNetwork(made, "cpu")
    found_any = 0
    for height, width in SIZES:
        pictures = photos(height, width, 3)
        wanted = dict(zip(model(made.onnx).outputs, by_onnxruntime(made.onnx, as_input(pictures, made.pixels)), strict=True))
        found = [each.numpy() for each in network(torch.from_numpy(pictures))]
        assert network.shapes((height, width, 3)) == tuple(each.shape[1:] for each in found)
        for name, output in zip(made.outputs, found, strict=True):
            np.testing.assert_allclose(output, wanted[name], **CLOSE)
        for at in range(len(pictures)):
            here = faces(kind, [output[at] for output in found], (height, width))
            there = faces(kind, [wanted[name][at] for name in made.outputs], (height, width))
            assert here.shape == there.shape
            np.testing.assert_allclose(here, there, atol=1e-2, rtol=0)
            found_any += len(here)
    assert found_any >= 8


@pytest.mark.parametrize(
    ("maker", "weight", "shapes"),
    [
        (mtcnn_nets.proposals, 0, [(3, 12, 12), (3, 13, 40), (3, 101, 67)]),
        (mtcnn_nets.refinement, 1, [(3, 24, 24)]), (mtcnn_nets.output, 2, [(3, 48, 48)]),
    ],
)  # fmt: skip
def test_mtcnn_says_what_it_says_on_onnxruntime(
    maker: Callable[[bytes], Model], weight: int, shapes: list[tuple[int, ...]]
) -> None:
    pytest.importorskip("facenet_pytorch")
    made = maker(weights.read_packaged(weights.MTCNN[weight]))
    net = made.onnx
    assert by_onnxruntime(for_any_number(net), noise((2, *shapes[0])))[0].shape[0] == 2
    network = TorchNetwork(made, "cpu")
    for shape in shapes:
        for count in (1, 5):
            data = noise((count, *shape)) / 3
            for found, wanted in zip(network(torch.from_numpy(data)), by_onnxruntime(net, data), strict=True):
                assert found.shape == wanted.shape
                np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_several_pictures_are_as_single_ones_and_know_nothing_of_each_other() -> None:
    network = TorchNetwork(detector("scrfd"), "cpu")
    pictures = photos(96, 128, 4)
    together = network(torch.from_numpy(pictures))
    for at in range(4):
        for found, alone in zip(together, network(torch.from_numpy(pictures[at : at + 1])), strict=True):
            np.testing.assert_allclose(found[at].numpy(), alone[0].numpy(), **CLOSE)
    order = [2, 0, 3, 1]
    others = network(torch.from_numpy(pictures[order]))
    blank = pictures.copy()
    blank[1:] = 0
    beside_nothing = network(torch.from_numpy(blank))
    for found, moved, lonely in zip(together, others, beside_nothing, strict=True):
        assert torch.equal(found[order], moved) and torch.equal(found[0], lonely[0])


@pytest.mark.parametrize("pixels", [YUNET, SCRFD, Pixels(), Pixels(bgr=True, mean=104.1, spread=57.3)])
def test_pixels_are_fed_with_the_bits_of_numpy(pixels: Pixels) -> None:
    pictures = np.arange(2 * 32 * 64 * 3, dtype=np.int64).reshape(2, 32, 64, 3).astype(np.uint8)
    turned = pictures[..., ::-1] if pixels.bgr else pictures
    wanted = turned.transpose(0, 3, 1, 2).astype(np.float32)
    if pixels.mean or pixels.spread != 1:
        wanted = (wanted - np.float32(pixels.mean)) / np.float32(pixels.spread)
    (found,) = TorchNetwork(model(graph([("Identity", ["x"], "y", {})]), pixels), "cpu")(torch.from_numpy(pictures))
    assert found.is_contiguous() and np.array_equal(found.numpy().view(np.int32), wanted.view(np.int32))
    assert np.array_equal(found.numpy(), as_input(pictures, pixels))


def test_what_the_network_does_not_take_is_a_fault() -> None:
    network = TorchNetwork(model(graph([("MaxPool", ["x"], "y", {"kernel_shape": [9, 9]})]), Pixels()), "cpu")
    fed = TorchNetwork(model(graph([("Relu", ["x"], "y", {})], dims=("n", 5))), "cpu")
    faults: list[tuple[Callable[[], object], str]] = [
        (lambda: network.shapes((8, 8, 3)), "net fails at MaxPool y"),
        (lambda: network(torch.zeros((1, 8, 8, 3), dtype=torch.uint8)), "net fails at MaxPool y"),
        (lambda: network.shapes((12, 12)), r"takes pictures \(H,W,3\)"),
        (lambda: network(torch.zeros((1, 12, 12, 4), dtype=torch.uint8)), r"takes pictures \(H,W,3\)"),
        (lambda: network(torch.zeros((1, 12, 12, 3))), "takes torch.uint8, not torch.float32"),
        (lambda: fed(torch.zeros((2, 6))), r"takes no input of \(2, 6\)"),
    ]
    for call, told in faults:
        with pytest.raises(NetworkFault, match=told):
            call()
    assert fed.shapes((5,)) == ((5,),)


@pytest.mark.parametrize("shape", [[-1, 4], [2, -1, 4]])
def test_a_network_that_mixes_pictures_with_cells_is_a_fault(shape: list[int]) -> None:
    network = TorchNetwork(model(graph([("Reshape", ["x", "s"], "y", {})], {"s": shape}, ("n", 4, 4))), "cpu")
    with pytest.raises(NetworkFault, match="does not give its outputs by picture"):
        network.shapes((4, 4))


def small() -> TorchNetwork:
    net = graph([("Conv", ["x", "w"], "c", {}), ("Sqrt", ["c"], "y", {})], {"w": noise((2, 3, 3, 3))})  # some are NaN
    return TorchNetwork(model(net, Pixels()), "cpu")


def test_a_prepared_batch_is_what_lies_in_its_input() -> None:
    network = small()
    prepared = Prepared(network, (8, 9, 3), 4, graph=False)
    assert (tuple(prepared.input.shape), prepared.input.dtype, prepared.captured) == ((4, 8, 9, 3), torch.uint8, False)
    assert prepared.refused is None and not prepared.input.any()
    for seed in range(2):
        pictures = np.random.default_rng(seed).integers(0, 256, (4, 8, 9, 3), np.uint8)
        prepared.input.copy_(torch.from_numpy(pictures), non_blocking=True)
        assert torch.equal(prepared.run()[0].view(torch.int32), network(torch.from_numpy(pictures))[0].view(torch.int32))
    fed = TorchNetwork(model(graph([("Relu", ["x"], "y", {})], dims=("n", 5))), "cpu")
    assert Prepared(fed, (5,), 2, graph=False).input.dtype == torch.float32
    with pytest.raises(NetworkFault, match="fails at Conv"):
        Prepared(network, (1, 1, 3), 4, graph=False)


def test_a_cpu_has_no_graphs_and_says_so() -> None:
    prepared = Prepared(small(), (8, 9, 3), 2, graph=True)
    assert (prepared.captured, prepared.refused) == (False, "cpu has no CUDA graphs")
    assert prepared.run()[0].shape == (2, 2, 6, 7)


class Recorded:
    """In the place of `captured`: a graph whose replay runs into tensors that stay the same."""

    def __init__(self, change: float = 0.0, fault: str = "") -> None:
        self.change, self.fault, self.replays = change, fault, 0

    def __call__(self, run: Callable[[], list[Any]], device: Any) -> Callable[[], list[Any]]:
        if self.fault:
            raise RuntimeError(self.fault)
        outputs = [each.clone() for each in run()]

        def replay() -> list[Any]:
            self.replays += 1
            for kept, now in zip(outputs, run(), strict=True):
                kept.copy_(now + self.change)
            return outputs

        return replay


@pytest.mark.parametrize(
    ("graphs", "refused"),
    [
        (Recorded(), None),
        (Recorded(change=1e-6), "its graph gave other bits than the network run step by step"),
        (Recorded(fault="operation not permitted when stream is capturing\n/a/b/c.cpp:7"),
         "it could not be captured: operation not permitted when stream is capturing c.cpp:7"),
    ],
    ids=["the same", "other bits", "cannot"],
)  # fmt: skip
def test_a_graph_is_used_only_where_it_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, graphs: Recorded, refused: str | None
) -> None:
    """All of `Prepared` but the capture itself, as if the CPU could."""
    network = small()
    monkeypatch.setattr(torch_run, "captured", graphs)
    monkeypatch.setattr(torch_run, "has_graphs", lambda device: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    prepared = Prepared(network, (8, 9, 3), 2, graph=True)
    assert (prepared.refused, prepared.captured) == (refused, refused is None)
    assert not prepared.input.any()
    before = graphs.replays
    pictures = torch.from_numpy(np.random.default_rng(7).integers(0, 256, (2, 8, 9, 3), np.uint8))
    prepared.input.copy_(pictures)
    (found,) = prepared.run()
    assert torch.equal(found.view(torch.int32), network(pictures)[0].view(torch.int32))
    assert graphs.replays - before == (refused is None)


class Card:
    """As much of `torch.cuda` as a capture takes; one that is broken ends as torch's does: it never leaves its stream."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams, self.ended = ["lane"], list[Any]()
        mine = {
            "device": lambda device: nullcontext(), "current_device": lambda: 0, "synchronize": lambda: None,
            "current_stream": lambda: SimpleNamespace(cuda_stream=7, wait_stream=lambda other: None),
            "Stream": lambda: SimpleNamespace(wait_stream=lambda other: None), "stream": self.stream, "graph": self.graph,
            "graph_pool_handle": lambda: (0, 1), "CUDAGraph": object,
        }  # fmt: skip
        for name, each in mine.items():
            monkeypatch.setattr(torch.cuda, name, each)
        end = lambda device, pool: self.ended.append((device, pool))  # noqa: E731
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before = self.streams[:]
        self.streams.append("side")
        try:
            yield
        finally:
            self.streams = before

    @contextmanager
    def graph(self, *_: Any, **__: Any) -> Iterator[None]:
        self.streams.append("capture")
        try:
            yield
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")


def test_a_broken_capture_leaves_its_stream_and_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch)
    monkeypatch.setattr(torch_run, "_SHARED", {})
    with pytest.raises(RuntimeError, match="during capture"):
        torch_run.captured(list, torch.device("cuda:0"))
    assert (card.streams, card.ended, torch_run._SHARED) == (["lane"], [(0, (0, 1))], {})


EXACT = """
import sys, warnings
warnings.simplefilter("error")
import torch
from mmidd.networks.network import Model
from mmidd.networks.torch_run import TorchNetwork, exact
exact(); exact()
assert torch.get_num_threads() == torch.get_num_interop_threads() == 1
flags = torch.backends.cudnn
assert flags.deterministic and not flags.benchmark
network = TorchNetwork(Model("net", sys.stdin.buffer.read(), ("y",)), "cpu")
assert network.shapes((3, 9, 9)) == ((5,),) and network(torch.ones(2, 3, 9, 9))[0].shape == (2, 5)
assert "torch._dynamo" not in sys.modules  # seconds of every start, and hundreds of megabytes
warnings.simplefilter("ignore")
assert not flags.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32  # reading raises where old and new ways disagree
assert torch.get_float32_matmul_precision() == "highest"
if hasattr(flags, "conv"):
    assert {flags.conv.fp32_precision, flags.rnn.fp32_precision, torch.backends.cuda.matmul.fp32_precision} == {"ieee"}
"""


def test_exact_turns_tf32_off_without_a_warning_and_a_network_starts_without_torchs_compiler() -> None:
    lines: list[Line] = [
        ("Conv", ["x", "w"], "c", {}), ("PRelu", ["c", "a"], "p", {}), ("MaxPool", ["p"], "m", {"kernel_shape": [2, 2]}),
        ("Upsample", ["m"], "u", {"scales": [1.0, 1.0, 2.0, 2.0]}), ("Transpose", ["u"], "t", {"perm": [0, 3, 2, 1]}),
        ("Flatten", ["t"], "f", {}), ("Gemm", ["f", "d", "e"], "g", {}), ("Softmax", ["g"], "y", {}),
    ]  # fmt: skip
    constants = {"w": noise((2, 3, 3, 3)), "a": noise((2, 1, 1)), "d": noise((288, 5)), "e": noise((5,))}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", EXACT], input=graph(lines, constants, opset=7),
        env={**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.decode()) == (0, "")


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh", "Exp", "Relu", "Softmax", "LeakyRelu"])
@pytest.mark.parametrize("shape", [(1, 3, 5), (1, 1, 7), (2, 5, 9)])
def test_the_last_numbers_of_a_batch_are_computed_as_the_others(kind: str, shape: tuple[int, ...]) -> None:
    """Libraries take many numbers at once, and a few at the end by other code: a picture there would get other bits."""
    network = TorchNetwork(model(graph([(kind, ["x"], "y", {})], dims=("n", *shape))), "cpu")
    data = torch.from_numpy(noise((16, *shape)))
    (found,) = network(data)
    for step in range(1, 16):
        (turned,) = network(torch.roll(data, step, 0))
        assert torch.equal(torch.roll(turned, -step, 0), found)


@pytest.mark.parametrize("kind", ["yunet", "scrfd"])
def test_what_is_said_of_a_picture_depends_neither_on_its_place_nor_on_its_neighbours(kind: str) -> None:
    network = TorchNetwork(detector(kind), "cpu")
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (16, 96, 160, 3), np.uint8))
    found = network(pictures)
    for step in (1, 7, 15):
        turned = network(torch.roll(pictures, step, 0))
        assert all(torch.equal(torch.roll(a, -step, 0), b) for a, b in zip(turned, found, strict=True))
    alone = torch.zeros_like(pictures)
    alone[5] = pictures[5]
    assert all(torch.equal(a[5], b[5]) for a, b in zip(network(alone), found, strict=True))
