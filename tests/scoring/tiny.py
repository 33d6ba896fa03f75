"""Tiny things to score with: ONNX files that look at the mean of each colour, and functions in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmidd.scoring.model import Found, Look


class Mean:
    """The mean of all pixels; of a clip that of its frames."""

    about: Mapping[str, Any]

    def __init__(self, frames: int = 1, kinds: bool = False) -> None:
        self.look = Look(16, frames=frames, columns=("method",))
        self.about = {"kind": "python", "name": f"mean of {frames}", "digest": f"{frames}{kinds}"}
        self.kinds, self.given = kinds, list[int]()

    def scores(self, batch: Mapping[str, Any]) -> Found:
        assert not {"label", "forgery_type", "mask"} & batch.keys()
        self.given.append(len(batch["image"]))
        fake = batch["image"].double().flatten(1).mean(1).numpy() / 255
        types = np.stack([1 - fake, fake, 0 * fake, 0 * fake, 0 * fake], 1) if self.kinds else None
        return Found(fake, types)


FUNCTIONS = """
import numpy as np

calls = []


def bright(images):
    calls.append(images.shape)
    assert images.dtype == np.uint8 and images.shape[1:] == (16, 16, 3)
    return images.astype(np.float64).mean((1, 2, 3)) / 255


def types(images):
    share = bright(images)
    return np.stack([1 - share, share, 0 * share, 0 * share, 0 * share], 1)


def broken(images):
    return len(images) // 0


def wide(images):
    return np.zeros((len(images), 3))


def loud(images):
    return np.full(len(images), 1.5)


def lost(images):
    found = bright(images)
    found[found > np.median(found)] = np.nan
    return found


def nothing(images):
    return np.full(len(images), np.nan)


def words(images):
    return "fake"


def leaving(images):
    raise SystemExit(3)


NUMBER = 3

def half(images):
    return np.full(len(images), 0.5 + 1j)

def hair(images):
    return np.full(len(images), 1.0000001)

def ranks(images):
    return bright(images) / bright(images).sum()
"""


def functions(folder: Path) -> Path:
    """A file of functions; images are to be of 16 pixels."""
    path = folder / "mine.py"
    path.write_text(FUNCTIONS)
    return path


def model(
    folder: Path,
    *,
    order: str = "NCHW",
    side: int | str = 16,
    batch: int | str = "n",
    width: int = 1,
    kind: int = TensorProto.FLOAT,
    flat: bool = False,
    outputs: int = 1,
    opset: int = 17,
    external: str | None = None,
    name: str = "tiny.onnx",
) -> Path:
    """The mean of each colour times a matrix (3, width): for width 1 the mean of all. `flat`: (n,) instead of (n, width)."""
    shape = [batch, 3, side, side] if order == "NCHW" else [batch, side, side, 3]
    axes = [2, 3] if order == "NCHW" else [1, 2]
    weights = np.full((3, width), 1 / 3, np.float32) * np.linspace(1, -1, width, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["colours"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["colours", "weights"], ["wide"]),
        helper.make_node("Reshape", ["wide", "shape"], ["out"]),
    ]
    told = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    if outputs > 1:
        told.append(helper.make_tensor_value_info("colours", TensorProto.FLOAT, None))
    given = numpy_helper.from_array(weights, "weights")
    target = numpy_helper.from_array(np.array([-1] if flat else [-1, width], np.int64), "shape")
    graph = helper.make_graph(nodes, "tiny", [helper.make_tensor_value_info("image", kind, shape)], told, [given, target])
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    path = folder / name
    if external is None:
        path.write_bytes(found.SerializeToString())
        return path
    onnx.external_data_helper.set_external_data(found.graph.initializer[0], external)
    found.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(found.SerializeToString())
    if not Path(external).is_absolute() and ".." not in external:
        (folder / external).write_bytes(weights.tobytes())
    return path


def means(images: Any) -> Any:
    """What `model` of width 1 says of RGB (n, height, width, 3)."""
    return images.astype(np.float64).mean((1, 2, 3)) / 255
