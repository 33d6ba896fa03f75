"""What computes in a device process: torch, or an onnxruntime session. Batches travel on lanes: while one computes, the
copies of another can be under way."""

from __future__ import annotations

import gc
import math
import sys
from collections import Counter, OrderedDict
from contextlib import AbstractContextManager, nullcontext, suppress
from mmap import mmap
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmidd.errors import MmiddError, is_memory, sanitised
from mmidd.networks.batches import Batch, Piece
from mmidd.networks.network import Device, Model, NetworkFault, Runtime
from mmidd.networks.onnx_runtime import as_input, session
from mmidd.networks.wire import Shape, item_of

if TYPE_CHECKING:
    import torch

    from mmidd.networks.torch_run import Prepared, TorchNetwork

MOST_PREPARED = 256
CAPTURED_FROM = 3
"""The use of a shape from which on it is worth a CUDA graph."""


_MOST_REASONS = 20
_NO_ROOM = ("ALLOC_FAILED", "unable to find an engine")
"""How cuBLAS and cuDNN put it; the latter finds no way to compute where there is no room to work in."""


class Lost(Exception):
    """The device is of no use any more."""


class Computer(Protocol):
    """Computes batches, each on a lane; whoever asks takes care that a lane has but one under way."""

    lanes: int

    def add(self, digest: str, model: Model) -> None:
        """Take a model in. Raises MmiddError, or whatever the library raises where it does not load."""
        ...

    def shapes(self, digest: str, shape: Shape) -> tuple[Shape, ...]:
        """Those of the outputs for one sample."""
        ...

    def attach(self, memory: mmap) -> Any:
        """A client's memory as what `begin` reads and writes; until `detach`."""
        ...

    def detach(self, view: Any) -> None: ...

    def begin(self, lane: int, batch: Batch) -> None:
        """Copy in, compute, copy out; it may be under way when this returns."""
        ...

    def wait(self, lane: int) -> None:
        """Until what began on this lane is there."""
        ...

    def free(self) -> None:
        """Give back what is held to be faster; with nothing under way."""
        ...

    def counters(self) -> dict[str, Any]: ...


def computer(device: Device, runtime: Runtime) -> Computer:
    """Raises MmiddError where the device cannot be had (onnxruntime tells with the first model)."""
    return OnnxComputer(device) if runtime == "onnxruntime" else TorchComputer(device)


def classified(error: Exception) -> MemoryError | Lost | NetworkFault | MmiddError:
    """What an error of a library means: too little memory, a lost device, or an input on which the network breaks. Our own
    mean what they say."""
    if isinstance(error, NetworkFault | MmiddError):
        return error
    text = str(error)
    if is_memory(error) or any(word in text for word in _NO_ROOM):
        return MemoryError()
    if type(error).__name__ == "AcceleratorError" or any(word in text.upper() for word in ("CUDA", "CUDNN", "CUBLAS")):
        return Lost(sanitised(text))
    return NetworkFault(f"{type(error).__name__}: {sanitised(text)}")


def part(view: Any, start: int, kind: Any, shape: Shape, piece: Piece, width: int) -> Any:
    """The samples of a piece in a client's memory (a flat uint8 array or tensor); `width` is bytes a value."""
    size = math.prod(shape) * width
    at = start + piece.first * size
    return view[at : at + piece.count * size].view(kind).reshape((piece.count, *shape))


class OnnxComputer:
    """A session for each model, on one thread or one GPU; numpy in and out."""

    lanes = 1

    def __init__(self, device: Device) -> None:
        self._device = device
        self._models: dict[str, Model] = {}
        self._sessions: dict[str, Any] = {}
        self._inputs: dict[tuple[Shape, type], Any] = {}

    def add(self, digest: str, model: Model) -> None:
        self._models[digest] = model
        _ = self._session(digest)

    def shapes(self, digest: str, shape: Shape) -> tuple[Shape, ...]:
        outputs = self._computed(digest, np.zeros((1, *shape), _kind(self._models[digest])))
        return tuple(output.shape[1:] for output in outputs)

    def attach(self, memory: mmap) -> Any:
        return np.frombuffer(memory, np.uint8)

    def detach(self, view: Any) -> None:
        """Nothing is held."""

    def begin(self, lane: int, batch: Batch) -> None:
        model = self._models[batch.model]
        kind, width = _kind(model), item_of(model)
        data = self._input(batch, kind)
        for piece in batch.pieces:
            view, start = piece.request.memory.view, piece.request.layout.input
            data[piece.at : piece.at + piece.count] = part(view, start, kind, batch.shape, piece, width)
        data[batch.filled :] = 0
        outputs = self._computed(batch.model, data)
        for piece in batch.pieces:
            request = piece.request
            for start, shape, output in zip(request.layout.outputs, request.outputs, outputs, strict=True):
                if output.shape[1:] != shape or output.dtype != np.float32 or len(output) != batch.size:
                    raise NetworkFault("its outputs are now of another shape than for one sample of zeros")
                into = part(request.memory.view, start, np.float32, shape, piece, 4)
                into[:] = output[piece.at : piece.at + piece.count]

    def wait(self, lane: int) -> None:
        """It was done when it began."""

    def free(self) -> None:
        self._inputs.clear()
        if self._device == "cuda":  # a session gives no memory back as long as it is there
            self._sessions.clear()

    def counters(self) -> dict[str, Any]:
        return {"prepared": len(self._inputs), "captured": 0, "refused": {}}

    def _input(self, batch: Batch, kind: Any) -> Any:
        key = batch.shape, kind
        data = self._inputs.pop(key, None)
        self._inputs[key] = np.zeros((batch.size, *batch.shape), kind) if data is None else data
        while len(self._inputs) > MOST_PREPARED:
            del self._inputs[next(iter(self._inputs))]
        return self._inputs[key]

    def _computed(self, digest: str, data: Any) -> list[Any]:
        made, model = self._session(digest), self._models[digest]
        given = data if model.pixels is None else as_input(data, model.pixels)
        found: list[Any] = made.run(list(model.outputs), {made.get_inputs()[0].name: given})
        return found

    def _session(self, digest: str) -> Any:
        if digest not in self._sessions:
            self._sessions[digest] = session(self._models[digest].onnx, self._device)
        return self._sessions[digest]


def _kind(model: Model) -> Any:
    return np.float32 if model.pixels is None else np.uint8


class TorchComputer:
    """torch on the CPU, or on the one GPU that this process sees, by two streams."""

    def __init__(self, device: Device) -> None:
        try:
            import torch
        except ImportError as error:
            raise MmiddError(
                f"torch was asked for, but does not load ({sanitised(str(error))}); "
                "where it is not installed: pip install torch"
            ) from error
        from mmidd.networks import torch_run

        torch_run.exact()
        if device == "cuda" and not torch.cuda.is_available():
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise MmiddError(
                f"device cuda was asked for, but torch, {built}, finds no CUDA device here: install a torch that fits the "
                "driver (nvidia-smi names its CUDA), or use --device cpu"
            )
        self._torch, self._run = torch, torch_run
        self._cuda, self._device = device == "cuda", "cuda:0" if device == "cuda" else "cpu"
        self.lanes = 2 if self._cuda else 1
        self._streams = [torch.cuda.Stream() for _ in range(self.lanes)] if self._cuda else []
        self._events = [torch.cuda.Event(blocking=True) for _ in self._streams]
        self._networks: dict[str, TorchNetwork] = {}
        self._kinds: dict[str, tuple[torch.dtype, int]] = {}
        self._prepared: OrderedDict[tuple[int, str, Shape], Prepared] = OrderedDict()
        self._uses: dict[tuple[str, Shape], int] = {}
        self._pins, self._pinned = self._cuda, set[int]()
        self._refused: Counter[str] = Counter()
        gc.freeze()  # so that it costs little to look for what is left of a prepared batch

    def add(self, digest: str, model: Model) -> None:
        self._networks[digest] = self._run.TorchNetwork(model, self._device)
        if self._cuda:  # its weights came on another stream than those that will read them
            self._torch.cuda.synchronize()
        self._kinds[digest] = (self._torch.float32 if model.pixels is None else self._torch.uint8), item_of(model)

    def shapes(self, digest: str, shape: Shape) -> tuple[Shape, ...]:
        with self._torch.inference_mode():
            found: tuple[Shape, ...] = self._networks[digest].shapes(shape)
            return found

    def attach(self, memory: mmap) -> Any:
        """Pinned, so that copies need neither the processor nor a second copy; where that fails it works all the same."""
        view = self._torch.frombuffer(memory, dtype=self._torch.uint8)
        if self._pins:
            failed = int(self._torch.cuda.cudart().cudaHostRegister(view.data_ptr(), len(memory), 0))
            if not failed:
                self._pinned.add(view.data_ptr())
                return view
            self._pins = False
            self._refused[f"pinned memory: CUDA error {failed}"] += 1
            print(f"no pinned memory: CUDA error {failed}", file=sys.stderr)
            with suppress(RuntimeError):  # torch would tell this error of the next kernel
                self._torch.zeros(1, device=self._device)
        return view

    def detach(self, view: Any) -> None:
        if view.data_ptr() in self._pinned:
            self._pinned.remove(view.data_ptr())
            self._torch.cuda.cudart().cudaHostUnregister(view.data_ptr())

    def begin(self, lane: int, batch: Batch) -> None:
        try:
            with self._torch.inference_mode(), self._on(lane):
                self._begin(lane, batch)
        except BaseException:
            if self._cuda:  # a copy may be under way from memory that is about to go
                with suppress(RuntimeError):
                    self._streams[lane].synchronize()
            raise

    def _begin(self, lane: int, batch: Batch) -> None:
        kind, width = self._kinds[batch.model]
        prepared = self._ready(lane, batch)
        for piece in batch.pieces:
            view, start = piece.request.memory.view, piece.request.layout.input
            into = prepared.input[piece.at : piece.at + piece.count]
            into.copy_(part(view, start, kind, batch.shape, piece, width), non_blocking=True)
        if batch.filled < batch.size:
            prepared.input[batch.filled :].zero_()
        outputs = prepared.run()
        for piece in batch.pieces:
            self._copy_out(piece, outputs)
        if self._cuda:
            self._events[lane].record()

    def _copy_out(self, piece: Piece, outputs: list[torch.Tensor]) -> None:
        request = piece.request
        for start, shape, output in zip(request.layout.outputs, request.outputs, outputs, strict=True):
            if tuple(output.shape[1:]) != shape:
                raise NetworkFault("its outputs are now of another shape than for one sample of zeros")
            into = part(request.memory.view, start, self._torch.float32, shape, piece, 4)
            into.copy_(output[piece.at : piece.at + piece.count], non_blocking=True)

    def wait(self, lane: int) -> None:
        if self._cuda:
            self._events[lane].synchronize()

    def free(self) -> None:
        if self._cuda:
            self._torch.cuda.synchronize()
        self._prepared.clear()
        self._uses.clear()
        gc.collect()
        if self._cuda:
            self._torch.cuda.empty_cache()

    def counters(self) -> dict[str, Any]:
        captured = sum(each.captured for each in self._prepared.values())
        memory = self._torch.cuda.max_memory_reserved() if self._cuda else 0
        refused = dict(self._refused.most_common(_MOST_REASONS))
        return {"prepared": len(self._prepared), "captured": captured, "refused": refused, "device_memory": memory}

    def _ready(self, lane: int, batch: Batch) -> Prepared:
        """The network, prepared for batches of this shape on this lane. A CUDA graph has its input and outputs in one place,
        so a lane shares none with another."""
        what, key = (batch.model, batch.shape), (lane, batch.model, batch.shape)
        uses = self._uses[what] = self._uses.get(what, 0) + 1
        prepared, graph = self._prepared.pop(key, None), self._cuda and uses >= CAPTURED_FROM
        if prepared is None or (graph and not prepared.captured and prepared.refused is None):
            prepared = self._run.Prepared(self._networks[batch.model], batch.shape, batch.size, graph=graph)
            if prepared.refused is not None:
                self._refused[f"CUDA graph: {prepared.refused}"] += 1
        self._prepared[key] = prepared
        while len(self._prepared) > MOST_PREPARED:
            self._prepared.popitem(last=False)
            gc.collect()  # it refers to itself
        return prepared

    def _on(self, lane: int) -> AbstractContextManager[Any]:
        return self._torch.cuda.stream(self._streams[lane]) if self._cuda else nullcontext()
