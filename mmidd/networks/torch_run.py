"""Networks on torch: how pictures are fed, and how batches of one shape and size run, eagerly or as a CUDA graph."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from mmidd.errors import sanitised
from mmidd.networks.network import Model, NetworkFault
from mmidd.networks.torch_graph import compiled

if TYPE_CHECKING:
    import torch

_WARM_UP = 3
"""Runs before a capture: libraries load, and choose and keep their kernels then."""

Run = Callable[[], list[Any]]


def exact() -> None:
    """TF32 off, deterministic cuDNN, no benchmark, one CPU thread: for a process of its own, before it computes anything."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts: one result on any stream
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch 2.9 and later warn of the older of two ways
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        if hasattr(
            torch.backends.cudnn, "conv"
        ):  # torch 2.9 and later; agreeing with the older way, or reading either raises
            torch.backends.cuda.matmul.fp32_precision = "ieee"
            torch.backends.cudnn.conv.fp32_precision = "ieee"
            torch.backends.cudnn.rnn.fp32_precision = "ieee"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.set_num_threads(1)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


class TorchNetwork:
    """A model on a device ("cpu", "cuda:0")."""

    def __init__(self, model: Model, device: str) -> None:
        """Raises MmiddError where torch is not taught what the model needs."""
        import torch

        self.name = model.name
        self.device = torch.device(device)
        self.takes_pictures = model.pixels is not None
        self._pixels = model.pixels
        self._program = compiled(model)
        self._run = self._program.on(device)
        self._known: set[tuple[int, ...]] = set()
        if model.pixels is not None:
            # Tensors, for CUDA divides by a plain number with its reciprocal: other bits than numpy's.
            self._mean = torch.tensor(model.pixels.mean, dtype=torch.float32, device=self.device)
            self._spread = torch.tensor(model.pixels.spread, dtype=torch.float32, device=self.device)

    def shapes(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes of the outputs for one sample, (H,W,3) of a picture or as it is fed, without n.

        Raises NetworkFault where the network does not take such samples, or says nothing of each of several.
        """
        few, more = (self._program.measured((count, *self._fed(shape))) for count in (2, 3))
        if any((a[:1], b[:1]) != ((2,), (3,)) or a[1:] != b[1:] for a, b in zip(few, more, strict=True)):
            raise NetworkFault(f"{self.name} does not give its outputs by picture: {more} for 3 of {shape}")
        return tuple(each[1:] for each in few)

    def __call__(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """On the device: (n,H,W,3) uint8 RGB for a model of pictures, else (n,...) float32 -> the outputs, n first.

        Raises NetworkFault for a shape that the network does not take, before the device is asked.
        """
        import torch

        wanted = torch.uint8 if self.takes_pictures else torch.float32
        if batch.dtype != wanted:
            raise NetworkFault(f"{self.name} takes {wanted}, not {batch.dtype}")
        if tuple(batch.shape) not in self._known:
            self._program.measured((len(batch), *self._fed(tuple(batch.shape[1:]))))
            self._known.add(tuple(batch.shape))
        try:
            with torch.inference_mode():
                return [each.contiguous() for each in self._run(self._laid(batch))]
        except (ValueError, TypeError) as error:  # an operator's own; torch's RuntimeError may be the device's
            raise NetworkFault(f"{self.name} fails: {sanitised(str(error))}") from error

    def _fed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a sample when it comes to the network."""
        if not self.takes_pictures:
            return shape
        if len(shape) != 3 or shape[2] != 3:
            raise NetworkFault(f"{self.name} takes pictures (H,W,3), not {shape}")
        return 3, *shape[:2]

    def _laid(self, batch: torch.Tensor) -> torch.Tensor:
        """Pictures as the network wants them, with the bits that numpy gives for (pixels - mean) / spread."""
        import torch

        if self._pixels is None:
            return batch
        turned = batch.flip(-1) if self._pixels.bgr else batch
        data = turned.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if (self._pixels.mean, self._pixels.spread) == (0.0, 1.0):
            return data
        return (data - self._mean) / self._spread


class Prepared:
    """A network ready for batches of one shape and size on one stream: eager, or a captured CUDA graph that is replayed.

    input: (count, *shape) on the device, to be filled in place on the stream that `run` is called on.
    captured, refused: is it a graph, and if one was asked for and it is not, why not: for the log, never in silence.
    """

    def __init__(self, network: TorchNetwork, shape: tuple[int, ...], count: int, *, graph: bool) -> None:
        """To be made on the stream (`torch.cuda.stream`) on which it will run; graphs of one stream share their memory.

        Raises NetworkFault where the network does not take such batches, torch's own error where the device is lost or full.
        """
        import torch

        network.shapes(shape)
        self.input = torch.zeros(
            (count, *shape), dtype=torch.uint8 if network.takes_pictures else torch.float32, device=network.device
        )
        self._network = network
        self._run: Run = self._eager
        self.refused: str | None = None
        if graph:
            self._run, self.refused = self._tried()
        self.captured = graph and self.refused is None

    def run(self) -> list[torch.Tensor]:
        """The outputs for what is in `input`, on the current stream, n first. Those of a graph are overwritten by the next
        run of any graph of the stream: copy them, on it, before that."""
        return self._run()

    def _eager(self) -> list[torch.Tensor]:
        return self._network(self.input)

    def _tried(self) -> tuple[Run, str | None]:
        """The graph, if it says bit by bit what the eager network says of noise; else the eager one, and why."""
        import torch

        if not has_graphs(self._network.device):
            return self._eager, f"{self._network.device.type} has no CUDA graphs"
        self.input.copy_(_noise(self.input))
        try:
            wanted = [each.clone() for each in self._eager()]
            try:
                replay = captured(self._eager, self._network.device)
            except RuntimeError as error:  # no memory, or a call that cannot be captured
                torch.cuda.synchronize(self._network.device)  # raises where the device itself is lost
                return self._eager, f"it could not be captured: {sanitised(str(error))}"
            same = all(_same_bits(a, b) for a, b in zip(wanted, replay(), strict=True))
        finally:
            self.input.zero_()
        return (replay, None) if same else (self._eager, "its graph gave other bits than the network run step by step")


def has_graphs(device: torch.device) -> bool:
    return str(device.type) == "cuda"


def _noise(like: torch.Tensor) -> torch.Tensor:
    """Pixels, or numbers from -1 to 1: always the same."""
    numbers = np.random.default_rng(0)
    shape = tuple(like.shape)
    if like.dtype.is_floating_point:
        return _tensor(numbers.uniform(-1, 1, shape).astype(np.float32))
    return _tensor(numbers.integers(0, 256, shape, np.uint8))


def _tensor(array: Any) -> torch.Tensor:
    import torch

    return torch.from_numpy(array)


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal down to the bits, NaN included."""
    import torch

    return a.shape == b.shape and bool(torch.equal(a.view(torch.int32), b.view(torch.int32)))


_SHARED: dict[tuple[int, int], tuple[Any, Any]] = {}
"""By device and stream: the memory pool of its graphs, and the side stream on which they are captured."""


def captured(run: Run, device: torch.device) -> Run:
    """`run` as a CUDA graph: a call replays it on the current stream and gives the same tensors each time.

    What is captured on one stream shares memory: sound as long as its graphs are replayed on it alone, one after the other,
    and outputs are copied before the next. Raises RuntimeError (torch's) where it cannot be captured.
    """
    import torch

    with torch.cuda.device(device):
        current = torch.cuda.current_stream()
        key = torch.cuda.current_device(), current.cuda_stream
        if key not in _SHARED:
            _SHARED[key] = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        pool, side = _SHARED[key]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                run()
        current.wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: another thread may pin memory or copy while this one captures.
            with (
                torch.cuda.stream(side),  # torch's own context does not leave the stream where a capture ends broken
                torch.cuda.graph(graph, pool=pool, stream=side, capture_error_mode="thread_local"),
            ):
                outputs = run()
        except RuntimeError:
            del _SHARED[key]
            with suppress(RuntimeError, AttributeError):  # no error where it ended well enough
                # A broken end leaves the allocator waiting for it: it would free nothing any more, but raise.
                torch._C._cuda_endAllocateToPool(key[0], pool)
            raise

    def replay() -> list[Any]:
        graph.replay()
        return outputs

    return replay
