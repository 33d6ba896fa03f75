"""Whether there is a GPU here, and what could compute on one. Nothing heavy is loaded to tell."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Literal

NO_CUDA = {
    "torch": "torch is not installed, or was built without CUDA: pip install 'mmidd[faces]' brings one that has it",
    "onnxruntime": "this onnxruntime has no CUDA: pip uninstall onnxruntime and pip install onnxruntime-gpu (with the CUDA "
    "and cuDNN that it wants), or leave out detector.runtime=onnxruntime",
}
_CUDA = re.compile(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", re.MULTILINE)


def gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names each."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        devices = [*Path("/dev").glob("nvidia[0-9]*")] or [*Path("/dev").glob("dxg")]  # dxg: of a Linux inside Windows
        return [str(number) for number, _ in enumerate(devices)]
    entries = [entry.strip() for entry in named.split(",")]
    return list(takewhile(lambda entry: entry not in ("", "-1"), entries))  # CUDA, too, looks no further


def no_gpu() -> str | None:
    """Why there is no GPU here; None where there is one."""
    if gpus():
        return None
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "there is no NVIDIA GPU here" if named is None else f"CUDA_VISIBLE_DEVICES={named[:40]!r} names no GPU"


def has_cuda(runtime: Literal["torch", "onnxruntime"] = "torch") -> bool:
    """Is what would compute built for CUDA here? Whether it then finds a GPU shows when a network is loaded."""
    if runtime == "torch":
        return torch_cuda() is not None
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def torch_cuda() -> str | None:
    """The CUDA that the installed torch was built for; None: none, or no torch. Read off its files: to import it takes
    seconds."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    try:
        text = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    named = _CUDA.search(text)
    return named[1] if named else None
