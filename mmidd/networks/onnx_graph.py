"""What can be done to an ONNX graph as bytes."""

from __future__ import annotations

import numpy as np


def of_any_size(model: bytes) -> bytes:
    """A network that is published for one picture of one size, for any number of pictures of any size.

    For networks in which nothing depends on the size but what inputs and outputs are declared to be, and nothing on the
    number but the first dimension of constant shapes.
    """
    import onnx
    from onnx import numpy_helper

    network = onnx.load_from_string(model)
    graph = network.graph
    del graph.value_info[:]
    for place, name in ((0, "count"), (2, "height"), (3, "width")):
        graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for constant in graph.initializer:
        if constant.name in shapes:
            _, *rest = numpy_helper.to_array(constant).tolist()
            constant.CopyFrom(numpy_helper.from_array(np.array([0, *rest], np.int64), constant.name))
    return bytes(network.SerializeToString())


def outputs_of(model: bytes) -> tuple[str, ...]:
    """The names of a network's outputs, in its own order."""
    import onnx

    return tuple(output.name for output in onnx.load_from_string(model).graph.output)
