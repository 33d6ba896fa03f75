"""What a network is given, what it gives, and how one is asked, whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Runtime = Literal["onnxruntime", "torch"]
Device = Literal["cpu", "cuda"]


class NetworkFault(Exception):
    """The network broke on what it was given."""


@dataclass(frozen=True)
class Pixels:
    """How pictures (n,H,W,3) uint8 RGB become the network's input (n,3,H,W) float32: channels in its order, and
    (value - mean) / spread."""

    bgr: bool = False
    mean: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True)
class Model:
    """An ONNX graph with one input and an open first dimension, and its outputs in the order in which they are wanted.

    `pixels`: how pictures are fed; None: the input is given as it is, (n,...) float32. `name` is for messages.
    """

    name: str
    onnx: bytes
    outputs: tuple[str, ...]
    pixels: Pixels | None = None


class Network(Protocol):
    """A network that can be asked. Not shared between threads."""

    @property
    def most(self) -> int:
        """How many pictures it wants to be given at once; more or fewer are no error."""
        ...

    def __call__(self, data: npt.NDArray[np.uint8] | Floats) -> list[Floats]:
        """The outputs for (n,H,W,3) uint8 RGB pictures, or (n,...) float32 where the model's `pixels` are None: each of them
        begins with the dimension n, and what is said of one picture does not depend on the others.

        Raises NetworkFault where the network breaks, WorkError where the device is lost or full.
        """
        ...
