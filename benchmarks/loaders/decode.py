"""Encoded bytes to what every loader gives: uint8 (3, height, width), RGB; and rows to a batch."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image

Batch = Mapping[str, Any]
"""`image` uint8 (items, 3, height, width), `label` (items,), `id`: a list of texts."""
Batches = Iterator[Batch]


def fast(data: bytes) -> torch.Tensor:
    """simplejpeg; the axes are turned without a copy."""
    return torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB")).permute(2, 0, 1)


def pillow(data: bytes) -> torch.Tensor:
    """Pillow, as torchvision's and datasets' loaders use it."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB"))).permute(2, 0, 1)


def joined(items: Iterable[tuple[torch.Tensor, int, str]]) -> Batch:
    """Images, labels and ids as a batch."""
    images, labels, ids = zip(*items, strict=True)
    return {"image": torch.stack(images), "label": torch.tensor(labels), "id": list(ids)}


def fast_rows(rows: Iterable[Mapping[str, Any]]) -> Batch:
    """Rows of Hugging Face's undecoded images."""
    return joined((fast(row["image"]["bytes"]), row["label"], row["id"]) for row in rows)
