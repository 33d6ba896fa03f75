"""The target that reads neural networks: ONNX files of a model pack that somebody else made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmidd.networks.network import Model, NetworkFault
from mmidd.networks.nodes import outputs_of
from mmidd.networks.pictures import for_any_number
from mmidd.networks.torch_graph import compiled

from .target import Target, refusing, require

SHAPE = (3, 8, 12)

_GRAPHS: Mapping[str, tuple[list[tuple[str, list[str], str, dict[str, Any]]], dict[str, Any]]] = {
    "a head": (
        [("Conv", ["x", "w"], "c", {"pads": [1, 1, 1, 1]}), ("Transpose", ["c"], "t", {"perm": [2, 3, 0, 1]}),
         ("Reshape", ["t", "s"], "r", {}), ("Sigmoid", ["r"], "y", {})],
        {"w": np.ones((4, 3, 3, 3), np.float32), "s": np.array([-1, 2])},
    ),
    "sizes": (
        [("Shape", ["x"], "a", {}), ("Gather", ["a", "two"], "h", {"axis": 0}), ("Unsqueeze", ["h"], "u", {"axes": [0]}),
         ("Slice", ["a", "no", "one", "no"], "n", {}), ("Concat", ["n", "rest", "u"], "s", {"axis": 0}),
         ("Reshape", ["x", "s"], "y", {})],
        {"two": np.array(2), "no": np.array([0]), "one": np.array([1]), "rest": np.array([-1])},
    ),
    "a trunk": (
        [("MaxPool", ["x"], "p", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
         ("PRelu", ["p", "k"], "q", {}), ("Flatten", ["q"], "f", {}), ("Gemm", ["f", "w"], "g", {"transB": 1}),
         ("Softmax", ["g"], "y", {"axis": 1})],
        {"k": np.full((3, 1, 1), 0.25, np.float32), "w": np.ones((2, 72), np.float32)},
    ),
}  # fmt: skip


def seeds() -> Mapping[str, bytes]:
    from onnx import TensorProto, helper, numpy_helper

    found = {}
    for name, (lines, constants) in _GRAPHS.items():
        made = helper.make_graph(
            [helper.make_node(kind, inputs, [output], **attributes) for kind, inputs, output, attributes in lines],
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *SHAPE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, each) for each, value in constants.items()],
        )
        found[name] = helper.make_model(made, opset_imports=[helper.make_opsetid("", 11)], ir_version=8).SerializeToString()
    return found


def run_network(data: bytes) -> bool:
    """A network that is taken gives, for two pictures, outputs of two, as large as it said before it computed."""
    import torch

    with refusing() as refused:
        network = for_any_number(data)
        program = compiled(Model("net", network, outputs_of(network)))
    if refused:
        return False
    with refusing(family=NetworkFault) as refused:
        shapes = program.measured((2, *SHAPE))
    if refused or sum(int(np.prod(shape)) for shape in shapes) > 1 << 20:
        return False
    with torch.inference_mode():
        found = program.on("cpu")(torch.zeros(2, *SHAPE))
    require([tuple(each.shape) for each in found] == shapes, f"{[each.shape for each in found]}, and not {shapes}")
    require(all(shape[:1] == (2,) for shape in shapes), f"an output does not begin with the pictures: {shapes}")
    return True


TARGETS = (Target("networks", run_network, seeds, ("mmidd",), ("Conv", "Reshape", "perm", "axis"), None, 8192),)
