"""Encoded images of a corpus as pixels: what came from outside is decoded as one of three formats, up to a size."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from mmidd.errors import CorpusError

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 64_000_000


def decoded(data: bytes, told: str) -> npt.NDArray[np.uint8]:
    """RGB, (height, width, 3). Raises CorpusError, which begins with `told`, for what is no image or too large a one."""
    from PIL import Image

    from mmidd.corpus.decoding import fast

    if (found := fast(data)) is not None:
        return found
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise CorpusError(f"{told} has {picture.width}x{picture.height} pixels: no build writes so many")
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CorpusError(
            f"{told} cannot be decoded ({type(error).__name__}): `mmidd verify` says if it was changed"
        ) from error
