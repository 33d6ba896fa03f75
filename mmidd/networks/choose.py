"""Who computes a network."""

from __future__ import annotations

from typing import Literal

from mmidd.networks.network import Device, Model, Network, Runtime


def runtime_of(chosen: Literal["auto", "onnxruntime", "torch"], device: Device) -> Runtime:
    """What computes: unless somebody chose, onnxruntime on a CPU, and torch on a GPU."""
    if chosen != "auto":
        return chosen
    return "torch" if device == "cuda" else "onnxruntime"


def is_served(device: Device, runtime: Runtime) -> bool:
    """Does a device process compute it?"""
    return device != "cpu" or runtime != "onnxruntime"


def open_network(model: Model, device: Device, runtime: Runtime) -> Network:
    """The network, ready to be asked: on onnxruntime and a CPU in this process, else in the device process that all workers
    of this machine share.

    Raises MmiddError where the device cannot be had, and for a network that the runtime cannot compute.
    """
    if not is_served(device, runtime):
        from mmidd.networks.onnx_runtime import OnnxNetwork

        return OnnxNetwork(model)
    from mmidd.networks.client import Served

    return Served(model, device=device, runtime=runtime)
