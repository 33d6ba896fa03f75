"""Whether detectors can compute on a GPU in this process: they all run on onnxruntime."""

from __future__ import annotations

from pathlib import Path


def has_gpu() -> bool:
    """Is there an NVIDIA GPU here?"""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def has_cuda() -> bool:
    """Is onnxruntime built for CUDA here? Whether it then finds a GPU shows when a model is loaded."""
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
