"""MTCNN's three networks (Zhang et al. 2016) as ONNX graphs, with the weights that facenet-pytorch carries in its wheel.

The weights are state dictionaries that torch wrote. Nothing here loads torch or unpickles: the pickles are only read
as lists of words, which tell the tensors' names and where their numbers lie.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from mmidd.networks.network import Floats, Model

OPSET, IR = 17, 8


def tensors(state: bytes) -> dict[str, Floats]:
    """The tensors of a state dictionary in torch's first file format, by name, flat as they are stored (ours lie with the
    first dimension fastest).

    Five pickles (a mark, the format's version, the writer's system, the dictionary, the order of its storages), then of
    each storage the number of its elements and these themselves, float32.
    """
    file = io.BytesIO(state)
    words = [[str(word) for opcode, word, _ in pickletools.genops(file) if opcode.name == "BINUNICODE"] for _ in range(5)]
    storages = {}
    for key in words[4]:
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(4 * count), "<f4")
    named = (word for word in words[3] if word not in ("storage", "cpu"))  # a tensor's name, then the key of its storage
    return {name: storages[key] for name, key in pairwise(named) if key in storages}


def proposals(state: bytes) -> Model:
    """P-Net, for pictures (n,3,H,W) of any size: `score` (n,2,h,w) and `box` (n,4,h,w), a cell every second pixel."""
    net = _Net(state, (None, 3, None, None))
    net.conv("conv1", 3).prelu("prelu1").pool(2)
    net.conv("conv2", 3).prelu("prelu2").conv("conv3", 3).prelu("prelu3")
    return net.done({"score": ("conv4_1", 1), "box": ("conv4_2", 1)})


def refinement(state: bytes) -> Model:
    """R-Net, for crops (n,3,24,24): `score` (n,2), `box` (n,4)."""
    net = _Net(state, (None, 3, 24, 24))
    net.conv("conv1", 3).prelu("prelu1").pool(3).conv("conv2", 3).prelu("prelu2").pool(3)
    net.conv("conv3", 2).prelu("prelu3").flat().dense("dense4").prelu("prelu4")
    return net.done({"score": ("dense5_1", None), "box": ("dense5_2", None)})


def output(state: bytes) -> Model:
    """O-Net, for crops (n,3,48,48): `score` (n,2), `box` (n,4), `points` (n,10), all x before all y."""
    net = _Net(state, (None, 3, 48, 48))
    net.conv("conv1", 3).prelu("prelu1").pool(3).conv("conv2", 3).prelu("prelu2").pool(3)
    net.conv("conv3", 3).prelu("prelu3").pool(2).conv("conv4", 2).prelu("prelu4")
    net.flat().dense("dense5").prelu("prelu5")
    return net.done({"score": ("dense6_1", None), "box": ("dense6_2", None), "points": ("dense6_3", None)})


class _Net:
    """A chain of layers under construction; `dense` and `conv` know their shapes from what came before."""

    def __init__(self, state: bytes, shape: tuple[int | None, ...]) -> None:
        from onnx import TensorProto, helper

        self._helper, self._float = helper, TensorProto.FLOAT
        self._weights: Mapping[str, Floats] = tensors(state)
        self._input = helper.make_tensor_value_info("input", self._float, shape)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._last = "input"
        self._flat = False

    def conv(self, name: str, kernel: int) -> _Net:
        count = len(self._weights[f"{name}.bias"])
        weight = self._constant(f"{name}.weight", (count, -1, kernel, kernel))
        return self._add("Conv", [weight, self._constant(f"{name}.bias", (count,))])

    def dense(self, name: str) -> _Net:
        count = len(self._weights[f"{name}.bias"])
        weight = self._constant(f"{name}.weight", (count, -1))
        return self._add("Gemm", [weight, self._constant(f"{name}.bias", (count,))], transB=1)

    def prelu(self, name: str) -> _Net:
        shape = (-1,) if self._flat else (-1, 1, 1)
        return self._add("PRelu", [self._constant(f"{name}.weight", shape)])

    def pool(self, kernel: int) -> _Net:
        return self._add("MaxPool", [], kernel_shape=[kernel, kernel], strides=[2, 2], ceil_mode=1)

    def flat(self) -> _Net:
        """Columns before rows before channels, as the weights were trained."""
        self._flat = True
        return self._add("Transpose", [], perm=[0, 3, 2, 1])._add("Flatten", [])

    def done(self, heads: Mapping[str, tuple[str, int | None]]) -> Model:
        """The network with these outputs: the layer of each, and its kernel where it is a convolution. A score is a
        softmax over (no face, face)."""
        trunk = self._last
        for output, (name, kernel) in heads.items():
            self._last = trunk
            _ = self.dense(name) if kernel is None else self.conv(name, kernel)
            _ = self._add("Softmax" if output == "score" else "Identity", [], output, **_SCORE.get(output, {}))
        outputs = [self._helper.make_tensor_value_info(name, self._float, None) for name in heads]
        graph = self._helper.make_graph(self._nodes, "mtcnn", [self._input], outputs, self._constants)
        opset = self._helper.make_opsetid("", OPSET)
        made = self._helper.make_model(graph, opset_imports=[opset], ir_version=IR)
        return Model("mtcnn", bytes(made.SerializeToString()), tuple(heads))

    def _constant(self, name: str, shape: tuple[int, ...]) -> str:
        from onnx import numpy_helper

        tensor = np.ascontiguousarray(self._weights[name].reshape(shape, order="F"))
        self._constants.append(numpy_helper.from_array(tensor, name))
        return name

    def _add(self, kind: str, constants: list[str], output: str | None = None, **attributes: Any) -> _Net:
        name = output or f"{kind}{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, [self._last, *constants], [name], **attributes))
        self._last = name
        return self


_SCORE = {"score": {"axis": 1}}
