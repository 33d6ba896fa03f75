"""Networks that are published for one picture, for any number of them: each output then begins with the pictures.

Where the pictures' dimension is gets followed from the input to the outputs. Where a graph merges it with others it is
rewritten if that is sure to give the same numbers for one picture, and refused if not: an output whose rows are of several
pictures in turn would be no error anywhere, only wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmidd.errors import MmiddError, sanitised
from mmidd.networks import nodes
from mmidd.networks.nodes import ON_SIZES, Array, Node, must

PICTURES = "pictures"
"""The number of pictures, among sizes that are otherwise whole numbers, or None where they are open."""


def for_any_number(model: bytes, *, any_size: bool = False) -> bytes:
    """The same network with an open number of pictures and, if `any_size`, an open height and width.

    For one picture its numbers are the same; an output that had no dimension for the pictures has got one.
    Raises MmiddError where an output would not begin with the pictures.
    """
    import onnx

    try:
        walk = _Walk(nodes.read(model))
    except ValueError as error:
        raise MmiddError(f"the network does not take several pictures: {sanitised(str(error))}") from error
    network = onnx.load_from_string(model)
    graph = network.graph
    del graph.value_info[:]
    (given,) = (each for each in graph.input if each.name == walk.graph.input)
    for place, name in [(0, "count"), (2, "height"), (3, "width")] if any_size else [(0, "count")]:
        given.type.tensor_type.shape.dim[place].dim_param = name
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    for node in graph.node:
        _rewrite(graph, node, walk)
    return bytes(network.SerializeToString())


def _rewrite(graph: Any, node: Any, walk: _Walk) -> None:
    from onnx import helper, numpy_helper

    if node.output[0] in walk.orders:
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("perm", walk.orders[node.output[0]]))
    if node.output[0] in walk.shapes:
        name = f"{node.output[0]} of pictures"
        graph.initializer.append(numpy_helper.from_array(np.array(walk.shapes[node.output[0]], np.int64), name))
        node.input[1] = name


@dataclass(frozen=True)
class _Value:
    """Numbers of several pictures: first of `rank` dimensions, or (`merging`) the third of four, (h,w,n,c).

    longer: they have a dimension more than in the graph as it was published.
    """

    rank: int
    merging: bool = False
    longer: bool = False


class _Walk:
    """A walk through a graph; `orders` and `shapes`: of Transposes and Reshapes to be rewritten, by their outputs."""

    def __init__(self, graph: nodes.Graph) -> None:
        self.graph = graph
        self.orders: dict[str, list[int]] = {}
        self.shapes: dict[str, list[int]] = {}
        self._values = {graph.input: _Value(len(graph.dims))}
        self._known: dict[str, Array] = dict(graph.constants)
        must(len(graph.dims) >= 1, "its input has no dimensions")
        for node in graph.nodes:
            try:
                self._follow(node)
            except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
                raise ValueError(f"{node.name}: {error}") from error
        for output in graph.outputs:
            value = self._values.get(output)
            must(value is not None and not value.merging, f"its output {output} does not begin with them")

    def _follow(self, node: Node) -> None:
        data = [self._values[name] for name in node.inputs if name in self._values]
        if node.kind == "Constant":
            self._known[node.output] = nodes.constant(node)
        elif not data:
            self._follow_sizes(node)
        elif node.kind == "Shape":
            must(not data[0].merging, "it measures what is being merged")
            sizes = np.array([PICTURES, *[None] * (data[0].rank - 1)], object)
            (start, end) = node.take(start=0, end=None)
            self._known[node.output] = sizes[start:end]
        elif node.kind == "Reshape":
            self._values[node.output] = self._reshaped(node, data[0])
        else:
            must(node.kind in _RULES, "what it does to several pictures is not known")
            must(not any(each.merging for each in data), "it takes what is being merged")
            self._values[node.output] = _RULES[node.kind](self, node, data)

    def _follow_sizes(self, node: Node) -> None:
        """Sizes as far as they can be told: of the others nothing is known."""
        given = [self._known.get(name) for name in node.inputs if name]
        if any(each is None for each in given):
            return
        if node.kind == "Cast":
            self._known[node.output] = given[0]  # type: ignore[assignment]
        elif node.kind in ("Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Identity"):
            self._known[node.output] = ON_SIZES[node.kind](node)(*given)

    def _reshaped(self, node: Node, data: _Value) -> _Value:
        """Only what leaves the pictures first, or can be made to. A shape that begins with -1 merges them with cells."""
        (literal,) = node.take(allowzero=0)
        known = self._known.get(node.inputs[1])
        must(node.inputs[0] in self._values and known is not None and known.size > 0, "its shape is not known")
        first, *rest = np.asarray(known).tolist()
        must(not literal and not data.longer, "its shape is for fewer dimensions, or takes 0 for a size")
        sure = all(isinstance(each, int) and each != 0 for each in rest)
        if data.merging:
            must(sure and first in (1, -1), "it merges pictures in a way that is not known")
            self.orders[node.inputs[0]] = [0, 2, 3, 1]
        elif first in (0, PICTURES):
            return _Value(len(rest) + 1)
        must(sure and first in (1, -1), "it does not leave the pictures first")
        must(first == 1 or -1 not in rest, "its shape is open twice")
        self.shapes[node.output] = [0, *rest] if first == 1 else [0, -1, *rest]
        return _Value(len(self.shapes[node.output]), longer=first == -1)

    def alone(self, node: Node, data: list[_Value]) -> _Value:
        """The one value of pictures, which is the first input and has as many dimensions as it was published with."""
        must(len(data) == 1 and node.inputs[0] in self._values and not data[0].longer, "it takes pictures in another way")
        return data[0]

    def known(self, name: str) -> list[Any]:
        must(name in self._known, f"its input {name} is not known")
        return list(self._known[name].tolist())


_Rule = Callable[[_Walk, Node, list[_Value]], _Value]


def _window(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    return walk.alone(node, data)


def _element(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    """Each number for itself, or with one at its side; a constant has no numbers of its own for each picture."""
    must(len({(each.rank, each.longer) for each in data}) == 1, "it joins different dimensions")
    for name in node.inputs:
        constant = walk.graph.constants.get(name)
        if constant is None:
            continue
        must(constant.size == 1 or not data[0].longer, "its constant is for fewer dimensions")
        fits = constant.ndim < data[0].rank or (constant.ndim == data[0].rank and constant.shape[0] == 1)
        must(constant.size == 1 or fits, "its constant differs by picture")
    return data[0]


def _transposed(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    value = walk.alone(node, data)
    (order,) = node.take(perm=None)
    if list(order or ()) == [2, 3, 0, 1]:
        return _Value(4, merging=True)
    must(order is not None and order[0] == 0, "it moves the pictures")
    return value


def _flat(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    must(node.take(axis=1) == (1,), "it merges the pictures")
    walk.alone(node, data)
    return _Value(2)


def _product(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    must(not node.attributes.get("transA") and len(data) == 1, "it multiplies pictures with pictures")
    return walk.alone(node, data)


def _along(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    """Concat and Softmax, along another dimension than the pictures'."""
    old = node.kind == "Softmax" and walk.graph.opset < 13
    axis = node.attributes.get("axis", 1 if old or node.kind == "Concat" else -1)
    rank = data[0].rank
    must(len({(each.rank, each.longer) for each in data}) == 1 and len(data) == len(node.inputs), "it joins other values")
    must(axis % rank != 0 and not data[0].longer, "it goes along the pictures")
    return data[0]


def _mean(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    axes, keep = node.take(axes=None, keepdims=1)
    value = walk.alone(node, data)
    must(axes is not None and all(axis % value.rank for axis in axes), "it goes along the pictures")
    return value if keep else _Value(value.rank - len(axes))


def _resized(walk: _Walk, node: Node, data: list[_Value]) -> _Value:
    value = walk.alone(node, data)
    if "scales" in node.attributes:
        scales, sizes = node.attributes["scales"], []
    else:
        at = 1 if node.kind == "Upsample" or walk.graph.opset < 11 else 2
        scales, sizes = (
            [each for name in node.inputs[place : place + 1] if name for each in walk.known(name)] for place in (at, 3)
        )
    must((scales[0] == 1) if scales else (sizes[:1] == [PICTURES]), "it does not leave the pictures as they are")
    return value


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization"), _window),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh"), _element),
    **dict.fromkeys(("Exp", "Sqrt", "Abs", "Neg", "Identity", "Dropout", "Cast"), _element),
    **dict.fromkeys(("Gemm", "MatMul"), _product),
    **dict.fromkeys(("Concat", "Softmax"), _along),
    **dict.fromkeys(("Resize", "Upsample"), _resized),
    "Transpose": _transposed, "Flatten": _flat, "ReduceMean": _mean,
}  # fmt: skip
