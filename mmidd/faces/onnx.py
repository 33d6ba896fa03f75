"""What the detectors on onnxruntime share: a session on one thread or one GPU, batches, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import DetectorFault, MmiddError, check_memory
from mmidd.faces.detector import Device, Reduced
from mmidd.video.picture import Image

Floats = npt.NDArray[np.float32]

GPU_BATCH = 32


def session(model: bytes, device: Device) -> Any:
    """An onnxruntime session. Raises MmiddError where CUDA is asked for and cannot be had: nothing falls back in silence."""
    import onnxruntime

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    settings = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"} if device == "cuda" else {}
    if provider in onnxruntime.get_available_providers():
        made = onnxruntime.InferenceSession(model, options, providers=[(provider, settings)])
        if provider in made.get_providers():
            return made
    raise MmiddError(
        "device cuda was asked for, but onnxruntime finds no CUDA device here: pip uninstall onnxruntime and "
        "pip install onnxruntime-gpu (with the CUDA and cuDNN that it wants), or use --device cpu"
    )


def computed(network: Any, outputs: list[str] | None, data: Floats, fault: str) -> list[Floats]:
    """What a session answers to its one input. Raises DetectorFault, with the words `fault`, where it breaks."""
    import onnxruntime.capi.onnxruntime_pybind11_state as onnxruntime

    try:
        found: list[Floats] = network.run(outputs, {network.get_inputs()[0].name: data})
    except (onnxruntime.Fail, onnxruntime.RuntimeException) as error:
        check_memory(error)
        raise DetectorFault(fault) from error
    return found


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


def laid(image: Image, stride: int) -> Floats:
    """(H,W,3) uint8 -> (1,3,H',W') float32, black below and right up to whole cells of `stride` pixels."""
    height, width = image.shape[:2]
    padded = np.zeros((1, 3, whole(height, stride), whole(width, stride)), np.float32)
    padded[0, :, :height, :width] = image.transpose(2, 0, 1)
    return padded


def whole(side: int, stride: int) -> int:
    """The least multiple of `stride` that holds `side`."""
    return -(-side // stride) * stride


@lru_cache(maxsize=64)
def cells(width: int, height: int, stride: int) -> Floats:
    """(n,2) column and row of each cell of an input of `width` x `height` pixels, row by row."""
    rows, columns = np.indices((height // stride, width // stride)).reshape(2, -1)
    return np.stack([columns, rows], axis=1).astype(np.float32)


def batches(frames: Sequence[Reduced], most: int) -> Iterator[list[int]]:
    """Positions of frames of one size, at most `most` together."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        by_size.setdefault(frame.image.shape, []).append(index)
    for members in by_size.values():
        for start in range(0, len(members), most):
            yield members[start : start + most]


def suppress(boxes: Floats, scores: Floats, most: float, *, of_smaller: bool = False) -> list[int]:
    """Greedy non-maximum suppression: positions kept, best score first (ties: first position).

    Two boxes are both kept where they have at most `most` in common: of their union, or (`of_smaller`, sides counted in
    whole pixels) of the smaller one.
    """
    pixel = int(of_smaller)
    sides = boxes[:, 2:] - boxes[:, :2] + pixel
    areas = sides[:, 0] * sides[:, 1]
    left = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while len(left):
        best, rest = left[0], left[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.prod(np.maximum(high - low + pixel, 0), axis=1)
        base = np.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - common
        left = rest[common <= most * base]
    return keep
