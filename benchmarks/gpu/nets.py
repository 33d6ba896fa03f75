"""The detectors' networks as models, and pictures that fit them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.gpu.context import Context, Skipped
from benchmarks.gpu.pictures import pictures
from mmidd.errors import MmiddError
from mmidd.faces import detector as opening
from mmidd.faces import weights
from mmidd.faces.choose import make_detector
from mmidd.faces.detector import Detector, DetectorConfig
from mmidd.networks.network import Model, Network
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.video.picture import Pixels

KINDS = ("yunet", "mtcnn", "scrfd")
ON_CPU = ("cpu", "onnxruntime")
"""What is computed in the process that asks; everything else in the device process."""


def with_weights(context: Context) -> list[str]:
    """The kinds whose weights are at hand, the others noted. Raises Skipped where there are none."""
    if context.models is not None:
        os.environ[weights.FOLDER_VARIABLE] = str(context.models)
    lacking = {kind: why for kind in KINDS if (why := _lacking(kind))}
    if lacking:
        context.note("without_weights", lacking)
    found = [kind for kind in KINDS if kind not in lacking]
    if not found:
        raise Skipped("no weights: give --models, a folder that holds them")
    return found


def _lacking(kind: str) -> str | None:
    """Why a detector cannot be had without a download."""
    try:
        if kind == "mtcnn":
            weights.read_packaged(weights.MTCNN[0])
            return None
        name = {"yunet": weights.YUNET, "scrfd": weights.SCRFD}[kind].name
        folders = (weights.models_folder(), weights.cache_folder())
    except MmiddError as error:
        return str(error)[:200]
    return None if any(folder and (folder / name).is_file() for folder in folders) else f"{name} is not here"


def onnxruntime_has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def detector(kind: str, device: str, runtime: str) -> Detector:
    return make_detector(DetectorConfig(kind, runtime=runtime), device)  # type: ignore[arg-type]


@contextmanager
def resident(context: Context, kind: str, device: str, runtime: str) -> Iterator[None]:
    """Keep the device process up and warm meanwhile, as in the middle of a long build."""
    if (device, runtime) == ON_CPU:
        yield
        return
    kept = detector(kind, device, runtime)
    kept.detect([Pixels(image) for image in pictures(context, 1, 0)[:16]])
    yield
    del kept


def models(kind: str) -> list[tuple[str, Model]]:
    """A detector's networks by their names: those that it opens when it is made."""
    opened: list[Model] = []

    def noted(model: Model, *_: object) -> Network:
        opened.append(model)
        return OnnxNetwork(model)

    with mock.patch.object(opening, "open_network", noted):
        detector(kind, "cpu", "onnxruntime")
    names = ("pnet", "rnet", "onet") if kind == "mtcnn" else (kind,)
    return list(zip(names, opened, strict=True))


def shapes(name: str, side: int) -> tuple[int, ...]:
    """Of one sample for a network, where working frames have a long side of `side` pixels and 16:9. MTCNN's P-Net: the
    largest level of the pyramid, for faces of 20 pixels and more; its other two look at crops."""
    height, width = -(-side * 9 // 16 // 32) * 32, side
    return {"pnet": (3, int(height * 0.6 + 1), int(width * 0.6 + 1)), "rnet": (3, 24, 24), "onet": (3, 48, 48)}.get(
        name, (height, width, 3)
    )


def noise(model: Model, count: int, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Pictures, or what such a network is fed, of random numbers."""
    numbers = np.random.default_rng(seed)
    if model.pixels is not None:
        return numbers.integers(0, 256, (count, *shape), np.uint8)
    return numbers.uniform(-1, 1, (count, *shape)).astype(np.float32)
