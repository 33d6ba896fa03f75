"""An ONNX graph as plain nodes and constants, checked; and what of it is arithmetic on sizes, done by numpy.

Nothing of a graph is believed: constants are measured before they are read, what a node takes must have been given before
it, and what is not known is an error (ValueError here, with the words that `torch_graph` completes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
OPSETS = range(7, 18)
MOST_NODES = 10_000
MOST_NUMBERS = 2**28
"""In a constant (1 GiB of float32)."""
MOST_BETWEEN = 2**30
"""Between two nodes, for one batch: 16 frames of 4096 x 4096 pixels in a detector's first layer."""
MOST_SIZES = 4096
"""Numbers in one result of the arithmetic on sizes."""


@dataclass(frozen=True)
class Node:
    """One operator. `inputs`: names, empty where an optional one is left out."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]

    def take(self, **defaults: Any) -> Any:
        """The values of these attributes, in this order. Raises ValueError where the node has others."""
        unknown = sorted(set(self.attributes) - set(defaults))
        if unknown:
            raise ValueError(f"its attribute {unknown[0]} is not known")
        return tuple(self.attributes.get(name, default) for name, default in defaults.items())


@dataclass(frozen=True)
class Graph:
    """`dims`: of the one input, None where a size is open."""

    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    input: str
    dims: tuple[int | None, ...]
    outputs: tuple[str, ...]


def read(onnx_bytes: bytes) -> Graph:
    """Raises ValueError for what is no graph of one input, in order, of operators with one output each."""
    import onnx

    try:
        model = onnx.load_from_string(onnx_bytes)
    except Exception as error:  # protobuf's DecodeError, or whatever broken bytes make of it
        raise ValueError("it is no ONNX model") from error
    graph = model.graph
    versions = {each.domain: each.version for each in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset not in OPSETS:
        raise ValueError(f"it is of opset {opset}; known are {OPSETS[0]} to {OPSETS[-1]}")
    if model.functions or graph.sparse_initializer or len(graph.node) > MOST_NODES:
        raise ValueError(f"it has functions, sparse constants or more than {MOST_NODES:,} nodes")
    constants = {each.name: _array(each) for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ValueError("it has not just one input of float32")
    dims = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in inputs[0].type.tensor_type.shape.dim)
    nodes = tuple(_node(each) for each in graph.node)
    given = {inputs[0].name, *constants, ""}
    for node in nodes:
        for name in node.inputs:
            if name not in given:
                raise ValueError(f"{node.name} takes {name}, which no node before it gives")
        if node.output in given:
            raise ValueError(f"{node.name} gives {node.output}, which is there already")
        given.add(node.output)
    outputs = tuple(each.name for each in graph.output)
    return Graph(opset, nodes, constants, inputs[0].name, dims, outputs)


def _node(node: Any) -> Node:
    name = f"{node.op_type} {node.name or next(iter(node.output), '')}"[:100]
    if node.domain not in ("", "ai.onnx"):
        raise ValueError(f"{name} is an operator of {node.domain}, which is not known")
    outputs = [each for each in node.output if each]
    if len(outputs) != 1 or node.output[0] != outputs[0]:
        raise ValueError(f"{name} gives {len(outputs)} outputs, known is one")
    return Node(
        node.op_type, name, tuple(node.input), outputs[0], {each.name: _value(each, name) for each in node.attribute}
    )


def _value(attribute: Any, name: str) -> Any:
    from onnx import AttributeProto, helper

    if attribute.ref_attr_name or attribute.type in (
        AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS,
        AttributeProto.TENSORS, AttributeProto.TYPE_PROTO, AttributeProto.TYPE_PROTOS, AttributeProto.UNDEFINED,
    ):  # fmt: skip
        raise ValueError(f"the attribute {attribute.name} of {name} is of a kind that is not known")
    if attribute.type == AttributeProto.TENSOR:
        return _array(attribute.t)
    value = helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _array(tensor: Any) -> Array:
    from onnx import TensorProto, numpy_helper

    name = f"the constant {tensor.name}"[:100]
    if tensor.data_location == TensorProto.EXTERNAL:
        raise ValueError(f"{name} lies in another file")
    if tensor.data_type not in (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL):
        raise ValueError(f"{name} is neither of float32 nor of whole numbers")
    if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > MOST_NUMBERS:
        raise ValueError(f"{name} has more than {MOST_NUMBERS:,} numbers")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} has not as many numbers as its shape says") from error


def constant(node: Node) -> Array:
    """The value of a Constant node."""
    kinds: dict[str, Any] = {
        "value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64,
    }  # fmt: skip
    given = [
        (kind, value) for kind, value in zip(kinds, node.take(**dict.fromkeys(kinds)), strict=True) if value is not None
    ]
    if len(given) != 1:
        raise ValueError("it has not just one value")
    ((kind, value),) = given
    return np.asarray(value, kinds[kind])


# Arithmetic on sizes. Each takes the node and gives the function of its inputs.


def _gather(node: Node) -> Callable[..., Array]:
    (axis,) = node.take(axis=0)
    return lambda x, indices: np.asarray(np.take(x, indices, axis=axis))


def _unsqueeze(node: Node) -> Callable[..., Array]:
    (fixed,) = node.take(axes=None)
    return lambda x, axes=None: np.expand_dims(x, tuple(whole(axes) if fixed is None else fixed))


def _squeeze(node: Node) -> Callable[..., Array]:
    (fixed,) = node.take(axes=None)

    def squeeze(x: Array, axes: Array | None = None) -> Array:
        chosen = fixed if axes is None else whole(axes)
        return np.squeeze(x, None if chosen is None else tuple(chosen))

    return squeeze


def _concat(node: Node) -> Callable[..., Array]:
    (axis,) = node.take(axis=1)
    return lambda *parts: np.concatenate(parts, axis=axis)


def _slice(node: Node) -> Callable[..., Array]:
    cut = slices(node)
    return lambda x, *places: x[cut(x.ndim, *places)]


def _cast(node: Node) -> Callable[..., Array]:
    (to,) = node.take(to=0)
    kinds: dict[int, Any] = {1: np.float32, 6: np.int32, 7: np.int64}
    if to not in kinds:
        raise ValueError("it casts to what is neither float32 nor whole numbers")
    return lambda x: x.astype(kinds[to])


def _both(compute: Callable[[Array, Array], Any]) -> Callable[[Node], Callable[..., Array]]:
    def make(node: Node) -> Callable[..., Array]:
        node.take()
        return lambda a, b: np.asarray(compute(a, b))

    return make


def _divided(a: Array, b: Array) -> Any:
    """Whole numbers are divided towards zero."""
    if a.dtype.kind != "i":
        return a / b
    if not np.all(b):
        raise ValueError("division of a size by zero")
    return np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)


def _one(compute: Callable[[Array], Any]) -> Callable[[Node], Callable[..., Array]]:
    def make(node: Node) -> Callable[..., Array]:
        node.take()
        return lambda x: np.asarray(compute(x))

    return make


ON_SIZES: dict[str, Callable[[Node], Callable[..., Array]]] = {
    "Add": _both(np.add), "Sub": _both(np.subtract), "Mul": _both(np.multiply), "Div": _both(_divided),
    "Identity": _one(lambda x: x), "Floor": _one(np.floor), "Ceil": _one(np.ceil),
    "Gather": _gather, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Concat": _concat, "Slice": _slice, "Cast": _cast,
}  # fmt: skip


def whole(values: Array) -> list[int]:
    """A list of whole numbers. Raises ValueError for fractions."""
    if values.dtype.kind not in "iu":
        raise ValueError("sizes or axes that are no whole numbers")
    return [int(value) for value in values.reshape(-1)]


def slices(node: Node) -> Callable[..., tuple[slice, ...]]:
    """How a Slice (attributes up to opset 9, inputs since) cuts what has so many dimensions."""
    starts, ends, axes = node.take(starts=None, ends=None, axes=None)

    def cut(rank: int, *places: Array | None) -> tuple[slice, ...]:
        given = [None if each is None else whole(each) for each in places]
        first, last, chosen, steps = [*(given or (starts, ends, axes)), None, None][:4]
        if first is None or last is None:
            raise ValueError("it does not say from where to where")
        found = [slice(None)] * rank
        chosen = list(range(len(first))) if chosen is None else chosen
        for axis, start, end, step in zip(chosen, first, last, steps or [1] * len(first), strict=True):
            if step < 1:
                raise ValueError("it steps backwards")
            found[axis] = slice(start, end, step)
        return tuple(found)

    return cut


def shape_of(node: Node) -> Callable[[Any], tuple[int, ...]]:
    """Shape: the sizes of what has a `shape`, or some of them (since opset 15)."""
    start, end = node.take(start=0, end=None)
    return lambda x: tuple(x.shape)[start:end]


def must(so: bool, otherwise: str) -> None:
    """Raises ValueError with the words `otherwise` if it is not so."""
    if not so:
        raise ValueError(otherwise)
