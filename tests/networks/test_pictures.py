"""A network for one picture becomes one for any number: the same numbers, by picture, in both runtimes, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmidd.errors import MmiddError
from mmidd.faces.onnx import of_any_size
from mmidd.networks.pictures import for_any_number
from mmidd.networks.torch_run import TorchNetwork

from .graphs import Array, Line, by_onnxruntime, graph, model, noise

torch = pytest.importorskip("torch")
MODELS = Path(__file__).parents[3] / "shared" / "models"


def published_as_insightface_does(path: Path) -> bytes:
    """Our SCRFD with the heads of InsightFace's own: (h,w,n,c) laid out in rows, so that pictures come in turn."""
    network = onnx.load(path)
    producers = {node.output[0]: node for node in network.graph.node}
    for node in network.graph.node:
        if node.op_type == "Reshape":
            turn = producers[node.input[0]]
            last = numpy_helper.to_array(next(
                each for each in network.graph.initializer if each.name == producers[node.input[1]].input[-1]
            )).tolist()  # fmt: skip
            turn.attribute[0].CopyFrom(helper.make_attribute("perm", [2, 3, 0, 1]))
            name = f"shape of {node.output[0]}"
            network.graph.initializer.append(numpy_helper.from_array(np.array([-1, *last], np.int64), name))
            node.input[1] = name
    for place in (2, 3):
        network.graph.input[0].type.tensor_type.shape.dim[place].dim_param = "?"
    for output in network.graph.output:
        output.type.tensor_type.ClearField("shape")
    return bytes(network.SerializeToString())


def each_alone(net: bytes, data: Array) -> list[Array]:
    alone = [by_onnxruntime(net, one[None]) for one in data]
    return [np.concatenate(of_all) for of_all in zip(*alone, strict=True)]


@pytest.mark.parametrize("name", ["scrfd_500m_kps", "face_detection_yunet_2023mar", "yunet_s_dynamic"])
def test_the_published_detectors(name: str) -> None:
    path = MODELS / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} is not at hand")
    data = noise((3, 3, 64, 96)) * (40 if "yunet" in name else 1)
    nets = [for_any_number(path.read_bytes(), any_size=True)]
    if "scrfd" in name:
        merged = published_as_insightface_does(path)
        nets.append(for_any_number(merged))
        for old, new in zip(by_onnxruntime(merged, data[:1]), by_onnxruntime(nets[1], data[:1]), strict=True):
            assert old.ndim == 2 and new.shape == (1, *old.shape) and np.array_equal(new[0], old)
    for net in nets:
        wanted = each_alone(nets[0], data)
        for together in (by_onnxruntime(net, data), TorchNetwork(model(net), "cpu")(torch.from_numpy(data))):
            for found, alone in zip(together, wanted, strict=True):
                assert found.shape == alone.shape and len(found) == 3
                np.testing.assert_allclose(np.asarray(found), alone, rtol=1e-4, atol=1e-4)
        if "dynamic" not in name:
            whole = noise((1, 3, 640, 640))
            for old, new in zip(
                by_onnxruntime(of_any_size(path.read_bytes()), whole), by_onnxruntime(net, whole), strict=True
            ):
                assert np.array_equal(old, new)


HEAD: list[Line] = [("Transpose", ["x"], "t", {"perm": [2, 3, 0, 1]})]
ROWS: list[Line] = [("Reshape", ["x", "s"], "y", {})]
TAKEN: dict[str, tuple[Sequence[Line], Mapping[str, Any]]] = {
    "rows, then a score": ([*HEAD, ("Reshape", ["t", "s"], "r", {}), ("Sigmoid", ["r"], "y", {})], {"s": [-1, 3]}),
    "rows of one picture": ([*HEAD, ("Reshape", ["t", "s"], "y", {})], {"s": [1, -1, 3]}),
    "all in one row": (ROWS, {"s": [-1]}),
    "rows at once": (ROWS, {"s": [-1, 3]}),
    "one picture": (ROWS, {"s": [1, 3, -1]}),
    "as many as there are": (ROWS, {"s": [0, 3, -1]}),
    "a dense layer": ([("Flatten", ["x"], "f", {}), ("Gemm", ["f", "w"], "y", {})], {"w": noise((60, 2))}),
    "normalised": ([("Sub", ["x", "a"], "b", {}), ("Mul", ["b", "c"], "y", {})], {"a": [0.5], "c": noise((1, 3, 1, 1))}),
    "softmax": ([("Softmax", ["x"], "y", {"axis": 1})], {}),
    "joined": ([("Relu", ["x"], "r", {}), ("Concat", ["x", "r"], "y", {"axis": 1})], {}),
    "mean": ([("ReduceMean", ["x"], "y", {"axes": [2, 3], "keepdims": 0})], {}),
    "enlarged": ([("Upsample", ["x"], "y", {"scales": [1.0, 1.0, 2.0, 2.0]})], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_can_be_given_several_pictures(name: str) -> None:
    lines, constants = TAKEN[name]
    opset = 7 if name == "enlarged" else 12
    one = graph(lines, constants, (1, 3, 4, 5), opset=opset)
    net = for_any_number(one)
    data = noise((3, 3, 4, 5))
    (found,) = by_onnxruntime(net, data)
    for at, picture in enumerate(data):
        (alone,) = by_onnxruntime(one, picture[None])
        np.testing.assert_allclose(found[at].reshape(-1), alone.reshape(-1), rtol=1e-6, atol=1e-6)
    (by_torch,) = TorchNetwork(model(net), "cpu")(torch.from_numpy(data))
    np.testing.assert_allclose(by_torch.numpy(), found, rtol=1e-5, atol=1e-5)


REFUSED: dict[str, tuple[Sequence[Line], Mapping[str, Any], str]] = {
    "pictures in the midst": ([*HEAD, ("Relu", ["t"], "y", {})], {}, "Relu y: it takes what is being merged"),
    "an output in the midst": ([("Transpose", ["x"], "y", {"perm": [2, 3, 0, 1]})], {}, "y does not begin with them"),
    "moved": ([("Transpose", ["x"], "y", {})], {}, "it moves the pictures"),
    "channels before pictures": ([("Transpose", ["x"], "y", {"perm": [1, 0, 2, 3]})], {}, "it moves the pictures"),
    "a shape for another": (ROWS, {"s": [3, -1]}, "it does not leave the pictures first"),
    "flat": ([("Flatten", ["x"], "y", {"axis": 2})], {}, "it merges the pictures"),
    "softmax over pictures": ([("Softmax", ["x"], "y", {"axis": 0})], {}, "it goes along the pictures"),
    "joined pictures": ([("Concat", ["x", "x"], "y", {"axis": 0})], {}, "it goes along the pictures"),
    "a mean of pictures": ([("ReduceMean", ["x"], "y", {})], {}, "it goes along the pictures"),
    "products of pictures": ([("MatMul", ["x", "x"], "y", {})], {}, "pictures with pictures"),
    "a constant for each": ([("Add", ["x", "c"], "y", {})], {"c": noise((2, 3, 4, 5))}, "differs by picture"),
    "more pictures": ([("Upsample", ["x", "s"], "y", {})], {"s": [2.0, 1.0, 1.0, 1.0]}, "leave the pictures as they are"),
    "a constant output": ([("Constant", [], "y", {"value_float": 1.0})], {}, "y does not begin with them"),
    "rows, then a dense layer": ([("Reshape", ["x", "s"], "r", {}), ("Gemm", ["r", "w"], "y", {})],
                                 {"s": [-1, 3], "w": noise((3, 2))}, "takes pictures in another way"),
    "unknown": ([("LRN", ["x"], "y", {"size": 3})], {}, "what it does to several pictures is not known"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_mix_pictures_is_refused(name: str) -> None:
    lines, constants, told = REFUSED[name]
    net = graph(lines, constants, (1, 3, 4, 5), opset=9 if name == "more pictures" else 12)
    with pytest.raises(MmiddError, match=f"does not take several pictures: .*{told}"):
        for_any_number(net)
    with pytest.raises(MmiddError, match="does not take several pictures: it is no ONNX model"):
        for_any_number(b"\x08\x07 no")
