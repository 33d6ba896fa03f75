"""ONNX graphs on torch: every operator says what onnxruntime says of it, and what is not known is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mmidd.errors import MmiddError
from mmidd.networks.network import Model, NetworkFault
from mmidd.networks.pictures import for_any_number
from mmidd.networks.torch_graph import compiled
from mmidd.networks.torch_operators import OPERATORS

from .graphs import Line, by_onnxruntime, graph, model, noise

torch = pytest.importorskip("torch")

CLOSE: dict[str, Any] = {"rtol": 2e-5, "atol": 2e-5}


def one(kind: str, inputs: str = "x", **attributes: Any) -> list[Line]:
    return [(kind, inputs.split(), "y", attributes)]


PICTURE = (2, 4, 7, 9)
WEIGHT = {"w": noise((6, 4, 3, 3), 1), "b": noise((6,), 2)}
DEEP = {"w": noise((4, 1, 3, 3), 1), "b": noise((4,), 2)}
NORM = {"s": noise((4,), 1), "b": noise((4,), 2), "m": noise((4,), 3), "v": np.abs(noise((4,), 4)) + 0.1}
SIZES: list[Line] = [
    ("Shape", ["x"], "shape", {}), ("Gather", ["shape", "two"], "h", {}), ("Gather", ["shape", "last"], "w", {}),
    ("Unsqueeze", ["h"], "h1", {"axes": [0]}), ("Unsqueeze", ["w"], "w1", {"axes": [-1]}),
    ("Mul", ["h1", "times"], "h2", {}), ("Cast", ["w1"], "wf", {"to": 1}), ("Mul", ["wf", "timesf"], "wg", {}),
    ("Floor", ["wg"], "wh", {}), ("Cast", ["wh"], "w2", {"to": 7}), ("Slice", ["shape", "zero", "two1"], "start", {}),
    ("Concat", ["start", "h2", "w2"], "sizes", {"axis": 0}),
    ("Resize", ["x", "none", "none", "sizes"], "y",
     {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
]  # fmt: skip
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
SCALES = {"scales": [1.0, 1.0, 2.0, 3.0]}

CASES: dict[str, tuple[Sequence[int], Sequence[Line], Mapping[str, Any], Sequence[int]]] = {
    "conv": (PICTURE, one("Conv", "x w b", pads=[1, 1, 1, 1]), WEIGHT, (7, 11, 17)),
    "conv without bias or attributes": (PICTURE, one("Conv", "x w"), WEIGHT, (13,)),
    "conv strided, dilated, uneven pads": (
        PICTURE, one("Conv", "x w b", pads=[2, 0, 1, 3], strides=[2, 1], dilations=[1, 2]), WEIGHT, (11,)),
    "conv same upper": (PICTURE, one("Conv", "x w b", auto_pad="SAME_UPPER", strides=[2, 2]), WEIGHT, (11,)),
    "conv same lower": ((1, 4, 8, 6), one("Conv", "x w b", auto_pad="SAME_LOWER", strides=[2, 3]), WEIGHT, (11,)),
    "conv valid": (PICTURE, one("Conv", "x w b", auto_pad="VALID"), WEIGHT, (11,)),
    "conv in groups": (PICTURE, one("Conv", "x w b", group=4, pads=[1, 1, 1, 1], strides=[2, 2]), DEEP, (11,)),
    "max pool": (PICTURE, one("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), {}, (8, 17)),
    "max pool steps of one": (PICTURE, one("MaxPool", kernel_shape=[3, 2]), {}, (11,)),
    "max pool to the end": (PICTURE, one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), {}, (11, 17)),
    "max pool even to the end": (PICTURE, one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), {}, (11,)),
    "max pool padded": (PICTURE, one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {}, (11,)),
    "max pool padded much": (PICTURE, one("MaxPool", kernel_shape=[3, 3], pads=[2, 0, 1, 2], dilations=[1, 2]), {}, (11,)),
    "max pool same": (PICTURE, one("MaxPool", kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"), {}, (11,)),
    "average pool": (PICTURE, one("AveragePool", kernel_shape=[2, 3], strides=[2, 2]), {}, (7, 11)),
    "average pool to the end": (PICTURE, one("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), {}, (11,)),
    "average pool, pads count": (
        PICTURE, one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 0, 1], count_include_pad=1), {}, (11,)),
    "average pool, pads do not": (PICTURE, one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), {}, (11,)),
    "global average": (PICTURE, one("GlobalAveragePool"), {}, (11,)),
    "global maximum": (PICTURE, one("GlobalMaxPool"), {}, (11,)),
    "mean": (PICTURE, one("ReduceMean", axes=[2, -1], keepdims=0), {}, (11,)),
    "batch norm": (PICTURE, one("BatchNormalization", "x s b m v", epsilon=1e-3), NORM, (9, 15)),
    "batch norm of mxnet": (PICTURE, one("BatchNormalization", "x s b m v", momentum=0.5, spatial=1), NORM, (8,)),
    "batch norm of rows": ((3, 4), one("BatchNormalization", "x s b m v"), NORM, (11,)),
    "prelu by channel": (PICTURE, one("PRelu", "x a"), {"a": noise((4, 1, 1), 1)}, (9,)),
    "prelu of rows": ((3, 4), one("PRelu", "x a"), {"a": noise((4,), 1)}, (11,)),
    "prelu of one": (PICTURE, one("PRelu", "x a"), {"a": [0.3]}, (11,)),
    "prelu of columns": (PICTURE, one("PRelu", "x a"), {"a": noise((9,), 1)}, (11,)),
    "leaky": (PICTURE, one("LeakyRelu", alpha=0.2), {}, (11,)),
    "leaky by default": (PICTURE, one("LeakyRelu"), {}, (11,)),
    "clip": (PICTURE, one("Clip", "x low high"), {"low": np.float32(0), "high": np.float32(0.6)}, (11,)),
    "clip above": (PICTURE, [("Clip", ["x", "", "high"], "y", {})], {"high": np.float32(0.6)}, (11,)),
    "clip of old": (PICTURE, one("Clip", min=-0.5, max=0.25), {}, (10,)),
    "softmax": (PICTURE, one("Softmax"), {}, (7, 11, 13)),
    "softmax of channels": (PICTURE, one("Softmax", axis=1), {}, (11, 13)),
    "softmax from the third": (PICTURE, one("Softmax", axis=-2), {}, (11, 13)),
    "gemm": ((3, 4), one("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1), {"w": noise((5, 4)), "b": noise((5,))}, (9, 11)),
    "gemm without c": ((3, 4), one("Gemm", "x w", alpha=0.5), {"w": noise((4, 5))}, (11,)),
    "gemm turned": ((3, 4), one("Gemm", "x w b", transA=1), {"w": noise((3, 5)), "b": noise((4, 1))}, (11,)),
    "matmul": (PICTURE, one("MatMul", "x w"), {"w": noise((9, 5))}, (11,)),
    "flatten": (PICTURE, one("Flatten"), {}, (9,)),
    "flatten at": (PICTURE, one("Flatten", axis=-2), {}, (11,)),
    "reshape": (PICTURE, one("Reshape", "x s"), {"s": [0, -1, 9]}, (11, 14)),
    "transpose": (PICTURE, one("Transpose", perm=[0, 2, 3, 1]), {}, (11,)),
    "transpose all": (PICTURE, one("Transpose"), {}, (11,)),
    "concat": (PICTURE, one("Concat", "x x", axis=-1), {}, (11,)),
    "slice of old": (PICTURE, one("Slice", starts=[1, -3], ends=[3, 2**60], axes=[1, -1]), {}, (9,)),
    "slice": (PICTURE, one("Slice", "x a b c d"), {"a": [1, 0], "b": [-1, 99], "c": [2, 3], "d": [1, 2]}, (11,)),
    "unsqueeze of old": (PICTURE, one("Unsqueeze", axes=[0, -1]), {}, (11,)),
    "unsqueeze": (PICTURE, one("Unsqueeze", "x a"), {"a": [1, 4]}, (13,)),
    "squeeze of old": ((2, 1, 3, 1), one("Squeeze", axes=[1, -1]), {}, (11,)),
    "squeeze": ((2, 1, 3, 1), one("Squeeze", "x a"), {"a": [-1]}, (13,)),
    "pad of old": (PICTURE, one("Pad", pads=[0, 0, 1, 2, 0, 0, 3, 0], value=1.5), {}, (10,)),
    "pad": (PICTURE, one("Pad", "x p v"), {"p": [0, 1, 1, 2, 0, 0, 3, 0], "v": np.float32(-1)}, (11,)),
    "upsample of old": (PICTURE, one("Upsample", scales=[1.0, 1.0, 2.0, 3.0]), {}, (7,)),
    "upsample": (PICTURE, one("Upsample", "x scales"), SCALES, (9,)),
    "resize of old": (PICTURE, one("Resize", "x scales"), SCALES, (10,)),
    "resize nearest": (PICTURE, one("Resize", "x roi scales", **NEAREST), {"roi": np.zeros(0), **SCALES}, (11, 13)),
    "resize linear": (PICTURE, one("Resize", "x roi scales", mode="linear"), {"roi": np.zeros(0), **SCALES}, (11, 13)),
    "resize linear as torch": (
        PICTURE, one("Resize", "x roi scales", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
        {"roi": np.zeros(0), **SCALES}, (11,)),
    "sizes that are computed": (
        PICTURE, SIZES,
        {"two": 2, "last": -1, "times": [3], "timesf": [2.0], "zero": [0], "two1": [2], "none": np.zeros(0)}, (11, 12)),
    "sizes divided": (
        PICTURE, [("Shape", ["x"], "s", {}), ("Slice", ["s", "a", "b"], "t", {}), ("Div", ["t", "c"], "d", {}),
                  ("Sub", ["d", "e"], "f", {}), ("Add", ["f", "e"], "g", {}), ("Concat", ["g", "r"], "h", {"axis": 0}),
                  ("Reshape", ["x", "h"], "y", {})],
        {"a": [1], "b": [2], "c": [2], "e": [1], "r": [-1]}, (13,)),
    "shape from": (PICTURE, [("Shape", ["x"], "s", {"start": 0, "end": -2}), ("Concat", ["s", "r"], "h", {"axis": 0}),
                             ("Reshape", ["x", "h"], "y", {})], {"r": [-1]}, (15,)),
    "dropout": (PICTURE, one("Dropout", ratio=0.3), {}, (7, 11)),
    "dropout of inputs": (PICTURE, one("Dropout", "x r"), {"r": np.float32(0.4)}, (13,)),
    "cast": (PICTURE, one("Cast", to=1), {}, (11,)),
    "pow": (PICTURE, one("Pow", "x two"), {"two": [2.0]}, (11, 13)),
    "constants": (PICTURE, [("Add", ["a", "b"], "c", {}), ("Mul", ["x", "c"], "y", {})], {"a": [1.5], "b": [2.0]}, (9,)),
    **{kind: (PICTURE, one(kind), {}, (11,)) for kind in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Identity")},
    "square root": (PICTURE, [("Abs", ["x"], "a", {}), ("Sqrt", ["a"], "y", {})], {}, (11,)),
    **{kind: (PICTURE, one(kind, "x c"), {"c": noise((4, 1, 9), 3)}, (7, 14)) for kind in ("Add", "Sub", "Mul", "Div")},
    **{f"{kind} from the left": (PICTURE, one(kind, "c x"), {"c": noise((7, 1), 3)}, (11,)) for kind in ("Sub", "Div")},
}  # fmt: skip


def by_torch(made: Model, data: Any, device: str = "cpu") -> list[Any]:
    with torch.inference_mode():
        return compiled(made).on(device)(
            torch.from_numpy(data) if device == "cpu" else torch.empty(data.shape, device=device)
        )


@pytest.mark.parametrize("name", CASES)
def test_an_operator_says_what_onnxruntime_says(name: str) -> None:
    shape, lines, constants, opsets = CASES[name]
    for opset in opsets:
        net = graph(lines, constants, [f"d{at}" for at in range(len(shape))], opset=opset)
        data = noise(shape)
        (wanted,), (found,) = by_onnxruntime(net, data), by_torch(model(net), data)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found.numpy(), wanted, **CLOSE)
        assert compiled(model(net)).measured(tuple(shape)) == [wanted.shape]


def test_every_operator_has_a_case() -> None:
    assert {line[0] for _, lines, _, _ in CASES.values() for line in lines} >= set(OPERATORS)


def test_a_constant_node_is_a_constant() -> None:
    for value in (
        {"value_float": 2.5},
        {"value_floats": [2.5]},
        {"value": numpy_helper.from_array(np.array([2.5], np.float32))},
    ):
        net = graph([("Constant", [], "c", value), ("Mul", ["x", "c"], "y", {})])
        assert by_torch(model(net), noise((1, 3, 2, 2)))[0].numpy() == pytest.approx(noise((1, 3, 2, 2)) * 2.5)


sides = st.integers(1, 3)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["Conv", "MaxPool", "AveragePool"]),
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)), kernel=st.tuples(sides, sides), strides=st.tuples(sides, sides),
    pads=st.tuples(*[st.integers(0, 2)] * 4), dilations=st.tuples(sides, sides), ceil=st.booleans(), counted=st.booleans(),
    auto=st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
)  # fmt: skip
def test_any_window_is_as_in_onnxruntime_or_refused(
    kind: str, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], pads: tuple[int, ...],
    dilations: tuple[int, int], ceil: bool, counted: bool, auto: str,
) -> None:  # fmt: skip
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    attributes |= {"pads": pads} if auto == "NOTSET" else {"auto_pad": auto}
    if kind != "AveragePool":
        attributes["dilations"] = dilations if auto in ("NOTSET", "VALID") else (1, 1)
    if kind != "Conv":
        attributes["ceil_mode"] = int(ceil)
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(counted)
    net = graph(one(kind, "x w" if kind == "Conv" else "x", **attributes), {"w": noise((2, 3, *kernel))}, opset=11)
    data = noise((1, 3, *size))
    try:
        (found,) = by_torch(model(net), data)
    except (MmiddError, ValueError, RuntimeError):
        return
    (wanted,) = by_onnxruntime(net, data)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, **CLOSE)


UNKNOWN: dict[str, tuple[Sequence[Line], Mapping[str, Any], str]] = {
    "an operator": (one("Einsum", "x", equation="i"), {}, "Einsum y: the operator is not known"),
    "an attribute": (one("Relu", beta=1), {}, "Relu y: its attribute beta is not known"),
    "a resize by halves": (one("Resize", "x r s"), {"r": np.zeros(0), "s": [1.0, 1.0, 2.0, 2.0]}, "by nearest, half"),
    "a pool into the padding": (one("MaxPool", kernel_shape=[2, 2], strides=[3, 3], ceil_mode=1), {}, "in the padding"),
    "a pool that counts": (one("AveragePool", kernel_shape=[2, 2], ceil_mode=1, count_include_pad=1), {}, "padding that"),
    "a huge padding": (one("MaxPool", kernel_shape=[2, 2], pads=[0, 0, 2**40, 0]), {}, "padding is negative or huge"),
    "a window of three": (one("MaxPool", kernel_shape=[2, 2, 2]), {}, "not of height and width"),
    "no stride": (one("MaxPool", kernel_shape=[2, 2], strides=[0, 1]), {}, "of no sensible size"),
    "training": (one("BatchNormalization", "x c c c c", training_mode=1), {"c": [1.0]}, "in training"),
    "numbers as sizes": (one("Reshape", "x x"), {}, "x is not known before the network runs"),
    "sizes as numbers": ([("Shape", ["x"], "s", {}), ("Add", ["x", "s"], "y", {})], {}, "s is a size, and numbers"),
    "whole numbers": (one("Add", "x c"), {"c": [1]}, "c is not of float32"),
    "a missing input": (one("Add", "x nothing"), {}, "Add y takes nothing, which no node before it gives"),
    "a circle": ([("Add", ["x", "z"], "y", {}), ("Relu", ["y"], "z", {})], {}, "takes z, which no node before it gives"),
    "an output given twice": ([("Relu", ["x"], "y", {}), ("Abs", ["x"], "y", {})], {}, "gives y, which is there already"),
    "an output of sizes": ([("Shape", ["x"], "y", {})], {}, r"no output \['y'\] of numbers"),
    "doublings": ([("Constant", [], "c0", {"value_ints": [1] * 1000}),
                   *[("Concat", [f"c{at}"] * 2, f"c{at + 1}", {"axis": 0}) for at in range(40)],
                   ("Reshape", ["x", "c40"], "y", {})], {}, "known are sizes of at most 4,096"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_refused_by_name_with_the_way_out(name: str) -> None:
    lines, constants, told = UNKNOWN[name]
    with pytest.raises(
        MmiddError, match=rf"^torch cannot run net: .*{told}.*; let onnxruntime run it: --set detector\.runtime="
    ):
        compiled(model(graph(lines, constants)))


def _changed(change: Callable[[Any], object]) -> bytes:
    network = onnx.load_from_string(graph(one("Add", "x c"), {"c": [1.0]}))
    change(network)
    return bytes(network.SerializeToString())


def _inner(network: Any) -> None:
    inner = onnx.load_from_string(graph(one("Relu"))).graph
    network.graph.node[0].attribute.append(helper.make_attribute("body", inner))


def _bomb(network: Any) -> None:
    network.graph.initializer[0].ClearField("raw_data")
    network.graph.initializer[0].dims[:] = [2**31, 2**31]


BROKEN: dict[str, tuple[Callable[[Any], object], str]] = {
    "a graph in it": (_inner, "the attribute body of Add y is of a kind that is not known"),
    "functions": (lambda net: net.functions.append(helper.make_function(
        "d", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 13)])), "has functions"),
    "a huge constant": (_bomb, "the constant c has more than"),
    "a short constant": (lambda net: net.graph.initializer[0].dims.__setitem__(0, 7), "not as many numbers as its shape"),
    "a negative constant": (lambda net: net.graph.initializer[0].dims.__setitem__(0, -7), "the constant c has more than"),
    "words": (lambda net: setattr(net.graph.initializer[0], "data_type", TensorProto.STRING), "neither of float32 nor"),
    "weights elsewhere": (lambda net: setattr(net.graph.initializer[0], "data_location", 1), "lies in another file"),
    "another domain": (lambda net: setattr(net.graph.node[0], "domain", "evil"), "an operator of evil"),
    "a newer opset": (lambda net: setattr(net.opset_import[0], "version", 99), "of opset 99; known are 7 to 17"),
    "two inputs": (lambda net: net.graph.input.append(helper.make_tensor_value_info("z", 1, [1])), "not just one input"),
    "two outputs of a node": (lambda net: net.graph.node[0].output.append("mask"), "gives 2 outputs"),
    "no nodes": (lambda net: net.graph.ClearField("node"), "it has no output"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_hostile_graph_is_refused(name: str) -> None:
    change, told = BROKEN[name]
    with pytest.raises(MmiddError, match=told):
        compiled(Model("net", _changed(change), ("y",)))
    for data in (b"", b"\x08\x07 not a model", b"\x80\x04cos\nsystem\n."):
        with pytest.raises(MmiddError, match="torch cannot run net"):
            compiled(Model("net", data, ("y",)))


BOMBS: dict[str, tuple[Sequence[Line], Mapping[str, Any], str]] = {
    "outer sums": ([("Reshape", ["x", "row"], "a", {}), ("Reshape", ["x", "column"], "b", {}), ("Add", ["a", "b"], "y", {})],
                   {"row": [1, -1], "column": [-1, 1]}, "would need 3,600,000,000 numbers after Add y"),
    "enlargements": ([("Resize", ["x", "", "s"], "a", NEAREST), ("Resize", ["a", "", "s"], "y", NEAREST)],
                     {"s": [1.0, 1.0, 4096.0, 4096.0]}, "would need 1,006,632,960,000 numbers after Resize a"),
    "sizes that double": ([("Shape", ["x"], "c0", {}),
                           *[("Concat", [f"c{at}"] * 2, f"c{at + 1}", {"axis": 0}) for at in range(40)],
                           ("Reshape", ["x", "c40"], "y", {})], {}, "would need 8,192 numbers after Concat c11"),
    "a shape that does not fit": (one("Reshape", "x s"), {"s": [7, -1]}, "fails at Reshape y"),
    "a dimension that is not there": (one("Reshape", "x s"), {"s": [0, 0, 0, 0, 0]}, "fails at Reshape y"),
    "half a size": ([("Resize", ["x", "", "s"], "y", NEAREST)],
                    {"s": [1.0, 1.0, 1.5, 2.0]}, "resizes by what is no whole number"),
    "a slice backwards": (one("Slice", "x a b c d"), {"a": [2], "b": [0], "c": [1], "d": [-1]}, "it steps backwards"),
    "division by nothing": ([("Shape", ["x"], "s", {}), ("Div", ["s", "zero"], "t", {}), ("Reshape", ["x", "t"], "y", {})],
                            {"zero": [0]}, "division of a size by zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_be_huge_or_does_not_fit_is_found_without_computing_it(name: str) -> None:
    lines, constants, told = BOMBS[name]
    program = compiled(model(graph(lines, constants)))
    with pytest.raises(NetworkFault, match=told):
        program.measured((1, 3, 200, 100))


def test_sizes_that_the_graph_declares_have_to_be_met() -> None:
    program = compiled(model(graph(one("Relu"), dims=("n", 3, 24, 24))))
    assert program.measured((5, 3, 24, 24)) == [(5, 3, 24, 24)]
    for shape in ((5, 3, 24, 25), (5, 4, 24, 24), (3, 24, 24)):
        with pytest.raises(NetworkFault, match="takes no input of"):
            program.measured(shape)


def test_no_size_ever_lies_on_the_device() -> None:
    """On the device "meta" there are no numbers at all: whatever waited for one would fail; and no size is a tensor."""
    shape, lines, constants, _ = CASES["sizes that are computed"]
    program = compiled(model(graph(lines, constants, [f"d{at}" for at in range(4)], opset=11)))
    assert all(array.dtype == np.float32 for array in program.tensors.values())
    (found,) = program.on("meta")(torch.empty(tuple(shape), device="meta"))
    assert found.device.type == "meta" and found.shape == (2, 4, 21, 18)


def test_values_are_let_go_after_their_last_use() -> None:
    lines: list[Line] = [
        ("Relu", ["x"], "a", {}),
        ("Neg", ["a"], "b", {}),
        ("Abs", ["b"], "c", {}),
        ("Add", ["c", "b"], "y", {}),
    ]
    program = compiled(model(graph(lines)))
    dropped = [place for step in program.steps for place in step.drop]
    assert len(dropped) == len(set(dropped)) == 4  # x, a, b, c; the output stays
    assert not set(dropped) & set(program.outputs)


def test_bytes_that_were_changed_are_a_network_or_an_error_in_words() -> None:
    shape, lines, constants, _ = CASES["sizes that are computed"]
    resize = lines[-1]
    heads: list[Line] = [("Conv", ["x", "k"], "c", {"pads": [1, 1, 1, 1]}), ("Softmax", ["c"], "d", {"axis": 1})]
    constants = {**constants, "k": noise((4, 4, 3, 3))}
    net = graph([*lines[:-1], *heads, resize], constants, [2, 4, "h", "w"], outputs=("y", "d"), opset=11)
    whole = bytearray(net)
    random = np.random.default_rng(0)
    outcomes = {"taken": 0, "refused": 0, "does not fit": 0}
    for _ in range(400):
        data = whole.copy()
        for at in random.integers(0, len(data), random.integers(1, 4)):
            data[at] = random.integers(0, 256)
        for make in (bytes, for_any_number):
            try:
                compiled(Model("net", make(bytes(data)), ("y", "d"))).measured((2, *shape[1:]))
                outcomes["taken"] += 1
            except MmiddError:
                outcomes["refused"] += 1
            except NetworkFault:
                outcomes["does not fit"] += 1
    assert all(outcomes.values()), outcomes
