"""The GPU, who can use it, and what `--device` makes of it. Packages are asked in processes of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from mmidd.doctor.report import Asked, Check, ask
from mmidd.engine.device import torch_cuda

_ONNX = "import onnxruntime; return onnxruntime.get_available_providers()"
_TORCH = (
    "import torch; at = torch.cuda.is_available(); return {'cuda': torch.version.cuda, 'there': at, "
    "'names': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if at else []}"
)
_ONNX_S, _TORCH_S = 60.0, 90.0


def gpu(dev: Path = Path("/dev"), driver: Path = Path("/proc/driver/nvidia/version")) -> Iterator[Check]:
    """Device files, onnxruntime's providers, torch and its CUDA, the choice."""
    devices = sorted(path.name for path in dev.glob("nvidia[0-9]*"))
    if devices:
        yield Check("gpu", "NVIDIA", "ok", ", ".join(devices) + _driver(driver))
    else:
        yield Check("gpu", "NVIDIA", "note", f"no device files ({dev}/nvidia0 ...): models run on the CPU")
    if find_spec("onnxruntime") is not None:
        yield _providers(ask({"onnxruntime": _ONNX}, _ONNX_S)["onnxruntime"])
    if devices and find_spec("torch") is not None:
        yield _torch(ask({"torch": _TORCH}, _TORCH_S)["torch"])
    yield Check("gpu", "--device", "ok", _choice(bool(devices), torch_cuda()))


def _driver(path: Path) -> str:
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)\s", path.read_text(errors="replace"))
    except OSError:
        return ""
    return f", driver {found[1]}" if found else ""


def _providers(asked: Asked) -> Check:
    if asked.fault is not None:
        advice = "pip install --force-reinstall onnxruntime (or onnxruntime-gpu, if that is the one you use)"
        return Check("gpu", "onnxruntime", "problem", f"cannot be imported: {asked.fault}", advice)
    return Check("gpu", "onnxruntime", "ok", f"runs on {', '.join(map(str, asked.answer))}")


def _torch(asked: Asked) -> Check:
    if asked.fault is not None:
        advice = "face detection on a GPU, captioners and training need it: pip install --force-reinstall torch torchvision"
        return Check("gpu", "torch", "warning", f"cannot be asked: {asked.fault}", advice)
    about = asked.answer
    if not about["there"]:
        built = f"built for CUDA {about['cuda']}" if about["cuda"] else "built without CUDA"
        advice = "install the torch that fits the driver; until then use --device cpu"
        return Check("gpu", "torch", "warning", f"{built}, and sees no GPU", advice)
    return Check("gpu", "torch", "ok", f"CUDA {about['cuda']}: {', '.join(about['names'])}")


def _choice(device: bool, cuda: str | None) -> str:
    """What finds faces on which `--device`, as a build decides it."""
    if not device:
        return "is the CPU: there is no NVIDIA GPU here"
    return (
        "auto is the CPU; for cuda there is no torch that is built for it"
        if cuda is None
        else "auto is the CPU, cuda the GPU"
    )
