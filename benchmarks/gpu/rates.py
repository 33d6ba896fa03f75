"""Pictures/s of the detectors' networks alone, as batches on the device, and of what the CPU does with their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import nets
from benchmarks.gpu.context import Context
from benchmarks.gpu.pictures import pictures
from benchmarks.gpu.timing import measured
from mmidd.faces import dense, scrfd, yunet
from mmidd.networks.network import Model
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.networks.torch_run import Prepared, TorchNetwork, exact
from mmidd.video.picture import Image, Pixels

SIDES, BATCHES = (640, 160), (16, 1, 64)
CROPS = ("rnet", "onet")
"""Networks whose samples have one size, whatever the frame's."""


def run(context: Context) -> None:
    exact()
    kinds = nets.with_weights(context)
    context.note("onnxruntime_gpu", nets.onnxruntime_has_cuda())
    for side in (160,) if context.toy else SIDES:
        for kind in kinds:
            for name, model in nets.models(kind):
                if name not in CROPS or side == (160 if context.toy else SIDES[0]):
                    with context.trying(f"{name}_{side}"):
                        _network(context, name, model, side)
    for kind in kinds:
        if kind != "mtcnn":
            with context.trying(f"{kind}_decode"):
                _decoded(context, kind, dict(nets.models(kind))[kind])
    images = pictures(context, 2, 2)
    for kind in kinds[:1] if context.toy else kinds:
        with context.trying(f"{kind}_one_worker"):
            _whole(context, kind, [images[place % len(images)] for place in range(2 if context.toy else 32)])


def _network(context: Context, name: str, model: Model, side: int) -> None:
    """On the device, input and outputs there; on onnxruntime (GPU, where installed; CPU, one core), copies included."""
    device = "cuda:0" if context.device == "cuda" else "cpu"
    network, shape = TorchNetwork(model, device), nets.shapes(name, side)
    rounds: dict[str, Any] = {"rounds": 3, "least": 0.05} if not context.toy else {"rounds": 3, "warm": 1, "least": 0}
    for batch in BATCHES[:2] if context.toy else BATCHES:
        data = torch.from_numpy(nets.noise(model, batch, shape))
        for graph in (True, False) if context.device == "cuda" else (False,):
            prepared = Prepared(network, shape, batch, graph=graph)
            prepared.input.copy_(data)
            found = measured(prepared.run, batch, context.device, **rounds)
            way = "graph" if prepared.captured else f"graph_refused: {prepared.refused}" if graph else "eager"
            context.note(f"{name}_{side}_batch{batch}_{way}", found)
            del prepared
    _onnxruntime(context, f"{name}_{side}", model, shape, rounds)


def _onnxruntime(context: Context, name: str, model: Model, shape: tuple[int, ...], rounds: dict[str, Any]) -> None:
    one = nets.noise(model, 1, shape)
    own = OnnxNetwork(model)
    context.note(f"{name}_onnxruntime_cpu", measured(lambda: own(one), 1, "cpu", **rounds))
    if context.device != "cuda" or not nets.onnxruntime_has_cuda():
        return
    theirs = OnnxNetwork(model, "cuda")
    for batch in BATCHES:
        data = nets.noise(model, batch, shape)
        context.note(f"{name}_batch{batch}_onnxruntime_gpu", measured(partial(theirs, data), batch, "cuda", **rounds))


def _decoded(context: Context, kind: str, model: Model) -> None:
    """From a network's outputs to faces, on one core: real pictures, so that there is something to find."""
    images = pictures(context, 1, 2)[:8]
    network = OnnxNetwork(model)
    decode, threshold, share = (yunet.decode, 0.7, yunet.NMS_IOU) if kind == "yunet" else (scrfd.decode, 0.5, scrfd.NMS_IOU)
    works: list[Callable[[], Any]] = []
    for image in images:
        small = Pixels(image).small(640)
        outputs = [output[0] for output in network(dense.laid([small], 32))]

        def work(outputs: Any = outputs, shape: Any = small.shape[:2]) -> None:
            boxes, _, scores = decode(outputs, shape, threshold)
            dense.suppress(boxes, scores, share)

        works.append(work)
    found = measured(lambda: [work() for work in works], len(works), "cpu")
    context.note(f"{kind}_decode_and_suppress_one_core", found)


def _whole(context: Context, kind: str, images: Sequence[Image]) -> None:
    """Frames/s of the detector as one worker has it: reduced, sent to the device process, found, sifted."""
    given = [Pixels(image) for image in images]
    detector = nets.detector(kind, context.device, "torch")
    found = measured(lambda: detector.detect(given), len(given), "cpu", rounds=1 if context.toy else 3, warm=1)
    context.note(f"{kind}_one_worker", {**found, "faces": sum(map(len, detector.detect(given)))})
    if not context.toy:
        own = nets.detector(kind, "cpu", "onnxruntime")
        few = given[:8]
        context.note(f"{kind}_one_core", measured(lambda: own.detect(few), len(few), "cpu", rounds=3, warm=0))
