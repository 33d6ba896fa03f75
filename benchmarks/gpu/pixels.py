"""Warp and JPEG on the device against the CPU: how fast, and how far from the CPU's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.gpu import cores
from benchmarks.gpu.context import Context
from benchmarks.gpu.pictures import pictures
from benchmarks.gpu.timing import measured
from benchmarks.gpu.warp import warp_batch
from mmidd.faces.align import similarity, warp
from mmidd.faces.encode import ImageConfig, decode, encode
from mmidd.video.picture import Image, Pixels

SIZE, QUALITY = 256, 95
_FACE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float64)


def run(context: Context) -> None:
    count = 8 if context.toy else 64
    images = pictures(context, 1 if context.toy else 4, 4 if context.toy else 16)
    images = [images[place % len(images)] for place in range(count)]
    transforms = _transforms(images)
    crops = [warp(Pixels(image), each, size=SIZE) for image, each in zip(images, transforms, strict=True)]
    with context.trying("warp"):
        _warp(context, images, transforms, crops)
    files = [encode(crop, ImageConfig(quality=QUALITY)) for crop in crops]
    _jpeg_on_one_core(context, crops, files)
    _on_all_cores(context, images[:8], transforms[:8], crops[:16], files[:16])
    try:
        _jpeg_on_device(context, crops, files)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:  # built without nvJPEG, or it is not here
        context.note("jpeg_on_device", f"not measured: {type(error).__name__}: {error}"[:300])


def _transforms(images: Sequence[Image]) -> list[Any]:
    """For each picture, as a face somewhere in it would give one: other sizes, places and tilts every time."""
    random = np.random.default_rng(0)
    made = []
    for image in images:
        height, width = image.shape[:2]
        angle, side = random.uniform(-0.5, 0.5), min(height, width) * random.uniform(0.2, 0.8)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = (width * random.uniform(0.3, 0.7), height * random.uniform(0.3, 0.7))
        made.append(similarity((_FACE / 112 - 0.5) * side @ turn + centre, size=SIZE, margin=1.3))
    return made


def _difference(left: Sequence[Image], right: Sequence[Image]) -> dict[str, float]:
    """Grey levels between two lists of images."""
    apart = np.concatenate([np.abs(a.astype(np.int16) - b).reshape(-1) for a, b in zip(left, right, strict=True)])
    return {"mean": float(apart.mean()), "max": int(apart.max()), "share_differing": float((apart > 0).mean())}


def _warp(context: Context, images: Sequence[Image], transforms: Sequence[Any], crops: Sequence[Image]) -> None:
    """The device's rate has all that a caller waits for in it: parts laid out, copied there, warped, crops copied back."""
    given = [Pixels(image) for image in images]
    device, count = context.device, len(images)
    made = warp_batch(given, transforms, size=SIZE, device=device)
    apart = _difference(list(made), crops)
    context.check("warp_is_the_cpus_within_a_grey_level", apart["mean"] < 1, **apart)
    whole = measured(lambda: warp_batch(given, transforms, size=SIZE, device=device), count, device)
    context.note("warp_on_device", whole)
    context.note("warp_one_core", measured(lambda: cores.warp(images, transforms, SIZE), count, "cpu"))


def _jpeg_on_one_core(context: Context, crops: Sequence[Image], files: Sequence[bytes]) -> None:
    cv2.setNumThreads(1)
    for name, work in (("opencv", cores.encode), ("simplejpeg", cores.encode_simplejpeg)):
        context.note(f"encode_{name}_one_core", measured(partial(work, crops, QUALITY), len(crops), "cpu"))
    for name, read in (("opencv", cores.decode_jpeg), ("simplejpeg", cores.decode_simplejpeg)):
        context.note(f"decode_{name}_one_core", measured(partial(read, files), len(crops), "cpu"))


def _jpeg_on_device(context: Context, crops: Sequence[Image], files: Sequence[bytes]) -> None:
    """nvJPEG through torchvision, from tensors on the device and back to them."""
    from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

    device, count = context.device, len(crops)
    on_device = [torch.from_numpy(crop).permute(2, 0, 1).contiguous().to(device) for crop in crops]
    raw = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]

    def write() -> list[bytes]:
        return [each.cpu().numpy().tobytes() for each in encode_jpeg(on_device, QUALITY)]

    def read() -> list[torch.Tensor]:
        found: list[torch.Tensor] = decode_jpeg(raw, ImageReadMode.RGB, device)
        return found

    written, back = write(), [each.permute(1, 2, 0).cpu().numpy() for each in read()]
    own = [decode(file) for file in files]
    sizes = {"bytes": sum(map(len, written)), "bytes_of_cpu": sum(map(len, files))}
    context.note("encode_on_device", measured(write, count, device) | sizes)
    context.note("decode_on_device", measured(read, count, device))
    context.note("decoded_on_device_against_cpu", _difference(back, own))
    context.note("encoded_on_device_against_crops", _difference([decode(file) for file in written], crops))
    context.note("encoded_on_cpu_against_crops", _difference(own, crops))


def _on_all_cores(
    context: Context, images: Sequence[Image], transforms: Sequence[Any], crops: Sequence[Image], files: Sequence[bytes]
) -> None:
    again = 1 if context.toy else 8
    data = {
        "images": list(images), "transforms": list(transforms), "size": SIZE, "crops": list(crops) * again,
        "files": list(files) * again, "quality": QUALITY,
    }  # fmt: skip
    with cores.Cores(context.scratch, data) as all_cores:
        context.note("warp_all_cores", all_cores.rate(cores.warp, "images", "transforms", "size"))
        context.note("encode_opencv_all_cores", all_cores.rate(cores.encode, "crops", "quality"))
        context.note("encode_simplejpeg_all_cores", all_cores.rate(cores.encode_simplejpeg, "crops", "quality"))
        context.note("decode_opencv_all_cores", all_cores.rate(cores.decode_jpeg, "files"))
        context.note("decode_simplejpeg_all_cores", all_cores.rate(cores.decode_simplejpeg, "files"))
