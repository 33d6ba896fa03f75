"""Small ONNX graphs for tests, and what onnxruntime says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from mmidd.networks.network import Model, Pixels

Array = npt.NDArray[Any]
Line = tuple[str, Sequence[str], str, dict[str, Any]]
"""An operator, its inputs, its output, its attributes."""


def graph(
    lines: Sequence[Line],
    constants: Mapping[str, Any] | None = None,
    dims: Sequence[int | str] = ("n", 3, "h", "w"),
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 13,
) -> bytes:
    """A graph of the input `x`. Constants: float32 and int64 arrays, or lists of one of both."""
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    fixed = {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in arrays.items()}
    made = helper.make_graph(
        [helper.make_node(kind, list(inputs), [output], **attributes) for kind, inputs, output, attributes in lines],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(dims))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in fixed.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def model(onnx_bytes: bytes, pixels: Pixels | None = None, name: str = "net") -> Model:
    return Model(name, onnx_bytes, tuple(each.name for each in onnx.load_from_string(onnx_bytes).graph.output), pixels)


def by_onnxruntime(onnx_bytes: bytes, data: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, {session.get_inputs()[0].name: data})]


def noise(shape: Sequence[int], seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=tuple(shape)).astype(np.float32)
