"""However an image is decoded, its pixels are those that Pillow gives."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mmidd.corpus.decoding import fast
from mmidd.corpus.pictures import decoded


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P"])
@pytest.mark.parametrize(
    ("kind", "how"),
    [("JPEG", {"quality": 95, "subsampling": 0}), ("JPEG", {"quality": 60, "progressive": True}), ("PNG", {}),
     ("WEBP", {"quality": 80}), ("WEBP", {"lossless": True})],
)  # fmt: skip
def test_pixels_are_those_of_pillow(kind: str, how: dict[str, Any], mode: str) -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(cv2.resize(small, (61, 43), interpolation=cv2.INTER_CUBIC)).convert(mode)
    out = io.BytesIO()
    try:
        picture.save(out, kind, **how)
    except OSError:
        pytest.skip(f"no {kind} is {mode}")
    with Image.open(io.BytesIO(out.getvalue())) as read:
        assert (decoded(out.getvalue(), "x") == np.asarray(read.convert("RGB"))).all()
    if mode == "RGB":
        assert fast(out.getvalue()) is not None
