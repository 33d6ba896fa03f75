"""Are mtcnn, yunet and scrfd, computed by torch on the device, those of onnxruntime on the CPU, and always the same?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import nets
from benchmarks.gpu.context import Context
from benchmarks.gpu.pictures import pictures
from mmidd.faces.detector import Detector, Faces
from mmidd.networks.torch_run import Prepared, TorchNetwork, exact
from mmidd.networks.wire import batch_of
from mmidd.video.picture import Image, Pixels

MOST_DIFFERING = 0.02
"""Share of frames in which another number of faces may be found: scores at the threshold."""


def run(context: Context) -> None:
    exact()
    kinds = nets.with_weights(context)
    images = pictures(context, 1, 1) if context.toy else pictures(context, 12, 8)
    context.note("pictures", len(images))
    context.note("onnxruntime_gpu", nets.onnxruntime_has_cuda())
    opened = {kind: nets.detector(kind, context.device, "torch") for kind in kinds}
    for kind in kinds:
        with context.trying(f"{kind}_torch_against_cpu"):
            _against_the_cpu(context, kind, opened[kind], images)
    for kind in kinds:
        with context.trying(f"{kind}_same_bits_in_any_batch"):
            _always_the_same(context, kind, opened[kind], images)
    for kind in kinds:
        with context.trying(f"{kind}_same_bits_as_a_graph"):
            _graphs(context, kind)


def _against_the_cpu(context: Context, kind: str, detector: Detector, images: Sequence[Image]) -> None:
    """Pictures through both; and through onnxruntime on the device, where that is installed."""
    given = [Pixels(image) for image in images]
    own = nets.detector(kind, "cpu", "onnxruntime").detect(given)
    apart = compared(own, detector.detect(given))
    right = apart["frames_with_other_count"] <= MOST_DIFFERING * len(images) and apart["box_pixels"]["p99"] < 1
    right = right and apart["faces"] > 0
    context.check(f"{kind}_torch_against_cpu", right, **apart)
    if context.device == "cuda" and nets.onnxruntime_has_cuda():
        with context.trying(f"{kind}_onnxruntime_gpu_against_cpu"):
            beside = nets.detector(kind, "cuda", "onnxruntime").detect(given)
            context.note(f"{kind}_onnxruntime_gpu_against_cpu", compared(own, beside))


def compared(left: Sequence[Faces], right: Sequence[Faces]) -> dict[str, Any]:
    """Numbers of faces, and where a frame has as many: how far boxes, points (pixels of the frame) and scores are apart."""
    both = [(a, b) for a, b in zip(left, right, strict=True) if len(a) == len(b)]
    return {
        "frames": len(left), "faces": sum(map(len, left)), "faces_there": sum(map(len, right)),
        "frames_with_other_count": len(left) - len(both),
        "frames_equal_bit_by_bit": sum(equal(a, b) for a, b in both),
        "box_pixels": _spread([np.abs(a.boxes - b.boxes) for a, b in both]),
        "point_pixels": _spread([np.abs(a.landmarks - b.landmarks) for a, b in both]),
        "scores": _spread([np.abs(a.scores - b.scores) for a, b in both]),
    }  # fmt: skip


def _spread(differences: Sequence[Any]) -> dict[str, float]:
    flat = np.concatenate([each.reshape(-1) for each in differences] or [np.zeros(0)])
    if not flat.size:
        return {"mean": 0.0, "p99": 0.0, "max": 0.0}
    return {"mean": float(flat.mean()), "p99": float(np.quantile(flat, 0.99)), "max": float(flat.max())}


def equal(left: Faces, right: Faces) -> bool:
    """Equal down to the bits."""
    fields = ((left.boxes, right.boxes), (left.landmarks, right.landmarks), (left.scores, right.scores))
    return all(a.tobytes() == b.tobytes() for a, b in fields)


def _always_the_same(context: Context, kind: str, detector: Detector, images: Sequence[Image]) -> None:
    """What is said of a picture alone, among others, among the same in another order, and once more."""
    some = [Pixels(image) for image in images[:: max(1, len(images) // 32)]]
    alone = [detector.detect([each])[0] for each in some]
    together = detector.detect(some)
    backwards = detector.detect(some[::-1])[::-1]
    again = nets.detector(kind, context.device, "torch").detect(some)
    differing = {
        name: sum(not equal(a, b) for a, b in zip(alone, other, strict=True))
        for name, other in (("together", together), ("backwards", backwards), ("again", again))
    }
    context.check(f"{kind}_same_bits_in_any_batch", not any(differing.values()), frames=len(some), differing=differing)


def _graphs(context: Context, kind: str) -> None:
    """A CUDA graph against the network run step by step, twice, and other places in the batch, on random pictures."""
    device = "cuda:0" if context.device == "cuda" else "cpu"
    for name, model in nets.models(kind):
        network = TorchNetwork(model, device)
        shape = nets.shapes(name, 160 if context.toy else 640)
        batch = batch_of(shape)
        data = torch.from_numpy(nets.noise(model, batch, shape))
        graph, eager = (Prepared(network, shape, batch, graph=wanted) for wanted in (context.device == "cuda", False))
        outputs = [_ran(prepared, data) for prepared in (graph, eager, graph)]
        turned = [each.flip(0) for each in _ran(graph, data.flip(0))]
        same = {
            "graph_is_eager": _same(outputs[0], outputs[1]), "twice": _same(outputs[0], outputs[2]),
            "places": _same(outputs[0], turned), "is_a_graph": graph.captured or context.device == "cpu",
        }  # fmt: skip
        about = {"captured": graph.captured, "refused": graph.refused, "shape": list(shape), "batch": batch}
        context.check(f"{name}_same_bits_as_a_graph", all(same.values()), **same, **about)


def _ran(prepared: Prepared, data: torch.Tensor) -> list[torch.Tensor]:
    prepared.input.copy_(data)
    return [each.cpu().clone() for each in prepared.run()]


def _same(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
