"""The GPU, driver and versions, and the ceilings that other rates are held against."""

from __future__ import annotations

import filecmp
import importlib
import os
import subprocess
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.timing import measured, synchronize
from benchmarks.processes import ROOT

_PACKAGES = (
    "torch", "torchvision", "torchcodec", "triton", "transformers", "peft", "timm", "trl", "accelerate", "datasets", "numpy",
    "onnx", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pillow", "pyarrow", "av", "simplejpeg", "pydantic",
    "pebble", "typer", "facenet-pytorch", "huggingface_hub", "mmidd",
)  # fmt: skip
_SMI = (
    "name", "driver_version", "memory.total", "compute_cap", "clocks.sm", "clocks.mem", "power.limit",
    "pcie.link.gen.current", "pcie.link.width.current",
)  # fmt: skip


def run(context: Context) -> None:
    context.note("versions", {name: found for name in _PACKAGES if (found := _version(name))})
    context.note(
        "cpu",
        {
            "cores": len(os.sched_getaffinity(0)), "threads_of_a_core": _siblings(), "load": os.getloadavg()[0],
            "torch_threads": torch.get_num_threads(),
        },
    )  # fmt: skip
    context.note("gpu", _gpu(context.device))
    _same_as_checkout(context)
    large = 512 if context.toy else 8192
    _matmul(context, large)
    _copies(context, 1 << 22 if context.toy else 1 << 30)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _siblings() -> str | None:
    """The processors that are one core of the first, as Linux tells: a virtual machine may hide it."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _gpu(device: str) -> dict[str, Any]:
    found: dict[str, Any] = {"cuda_of_torch": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if device == "cuda":
        about = torch.cuda.get_device_properties(0)
        found |= {
            "name": about.name, "memory_gib": about.total_memory / 2**30, "multiprocessors": about.multi_processor_count,
            "capability": f"{about.major}.{about.minor}", "count": torch.cuda.device_count(), "nvidia_smi": _smi(),
        }  # fmt: skip
    return found


def _smi() -> dict[str, str] | str:
    command = ["nvidia-smi", f"--query-gpu={','.join(_SMI)}", "--format=csv,noheader"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    values = ended.stdout.strip().splitlines()[:1]
    return dict(zip(_SMI, values[0].split(", "), strict=False)) if values else ended.stderr.strip()[:200]


def _same_as_checkout(context: Context) -> None:
    """Is the mmidd that is installed the one of this checkout? A wheel may be older."""
    names = ("mmidd", "mmidd.detectors", "mmidd.manifests", "mmidd.pipelines")
    try:
        modules = {name.removeprefix("mmidd."): importlib.import_module(name) for name in names}
    except ImportError as error:
        context.check("mmidd", False, why=str(error)[:200])
        return
    differ = []
    for name, module in modules.items():
        installed = Path(next(iter(module.__path__)))
        for file in (ROOT / name).rglob("*.[py][ya]*"):
            if file.suffix in (".py", ".yaml"):
                other = installed / file.relative_to(ROOT / name)
                if not other.is_file() or not filecmp.cmp(file, other, shallow=False):
                    differ.append(str(file.relative_to(ROOT)))
    context.check("mmidd", not differ, differ=differ[:5], count=len(differ))


def _matmul(context: Context, side: int) -> None:
    """Dense matrix products of random data, float32 (no TF32) and bfloat16, in TFLOP/s."""
    for name, kind in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        left, right = (torch.randn(side, side, device=context.device, dtype=kind) for _ in range(2))
        out = torch.empty_like(left)
        found = measured(partial(torch.mm, left, right, out=out), 2 * side**3, context.device)
        context.note(f"matmul_{name}", {**found, "tflops": found["rate"] / 1e12, "side": side})


def _copies(context: Context, size: int) -> None:
    """GB/s within the device (bytes read and written), and between it and pinned and plain memory of the host."""
    device = context.device
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    _gigabytes(context, "copy_on_device", 2 * size, lambda: target.copy_(source))
    less = min(size, 1 << 28)
    plain = torch.randint(0, 255, (less,), dtype=torch.uint8)
    hosts = {"pageable": plain} if device == "cpu" else {"pageable": plain, "pinned": plain.pin_memory()}
    for name, host in hosts.items():
        _gigabytes(context, f"to_device_{name}", less, partial(target[:less].copy_, host, non_blocking=True))
        _gigabytes(context, f"from_device_{name}", less, partial(host.copy_, source[:less], non_blocking=True))
    synchronize(device)


def _gigabytes(context: Context, name: str, count: int, work: Any) -> None:
    found = measured(work, count, context.device)
    context.note(name, {**found, "gigabytes_s": found["rate"] / 1e9})
