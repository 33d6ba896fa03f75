"""Tensors in a safetensors file: written piece by piece with a checksum, read without a line of code of theirs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch

KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class NoTensors(Exception):
    """A file that is no safetensors file, or a damaged one."""


def write(path: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, object]:
    """Write and sync a new file; what it holds by bytes and sha256. One tensor at a time is in memory beside the given ones.

    Raises OSError as the disk does (safetensors' own writer makes another error of it), ValueError for a tensor of another
    kind.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # each lies where it may be mapped
    header: dict[str, object] = {}
    end = 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in KINDS:
            raise ValueError(f"{name}: a tensor of {tensor.dtype} cannot be stored")
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        pieces = (len(told).to_bytes(8, "little"), told)
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        for name in order:
            data = tensors[name].detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy().data
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": 8 + len(told) + end, "sha256": digest.hexdigest()}


def read(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, on the CPU. Raises NoTensors where it holds anything else, OSError as the disk does."""
    from safetensors import SafetensorError, safe_open

    path.stat()
    found = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                found[name] = file.get_tensor(name)
    except (SafetensorError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise NoTensors(f"it is no whole safetensors file ({type(error).__name__})") from error
    if other := next((name for name, tensor in found.items() if tensor.dtype not in KINDS), None):
        raise NoTensors(f"its tensor {other!r} is of {found[other].dtype}, which no checkpoint holds")
    return found
