"""A network on onnxruntime, in this process: the way of a CPU, on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import MmiddError, check_memory
from mmidd.networks.network import Device, Floats, Model, NetworkFault, Pixels


class OnnxNetwork:
    """What it is given runs as it is: nothing is padded, nothing cut into batches."""

    most = 1

    def __init__(self, model: Model, device: Device = "cpu") -> None:
        """Raises MmiddError as `session` does, and onnxruntime's own errors for bytes that are no network."""
        self._model, self._session = model, session(model.onnx, device)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, data: npt.NDArray[np.uint8] | Floats) -> list[Floats]:
        """See `Network`."""
        import onnxruntime.capi.onnxruntime_pybind11_state as onnxruntime

        pixels = self._model.pixels
        fed = data if pixels is None else as_input(data, pixels)
        try:
            found: list[Floats] = self._session.run(list(self._model.outputs), {self._input: fed})
        except (onnxruntime.Fail, onnxruntime.RuntimeException) as error:
            check_memory(error)
            raise NetworkFault(str(error)) from error
        return found


def as_input(pictures: npt.NDArray[Any], pixels: Pixels) -> Floats:
    """(n,H,W,3) uint8 RGB -> (n,3,H,W) float32, as `pixels` says."""
    ordered = pictures[..., ::-1] if pixels.bgr else pictures
    fed = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
    if pixels.mean:
        fed -= np.float32(pixels.mean)
    if pixels.spread != 1:
        fed /= np.float32(pixels.spread)
    return fed


def session(model: bytes | str, device: Device) -> Any:
    """An onnxruntime session of a model's bytes, or of its file where weights lie beside it.

    Raises MmiddError where CUDA is asked for and cannot be had: nothing falls back in silence.
    """
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
        "pip install onnxruntime-gpu (with the CUDA and cuDNN that it wants), leave out detector.runtime=onnxruntime, or "
        "use --device cpu"
    )
