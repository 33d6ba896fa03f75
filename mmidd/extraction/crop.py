"""One crop of a picture and of its mask, by a transform: for who finds faces, and for who has them from before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmidd.extraction.masks import Mask
from mmidd.faces.align import Border, Cut, plan_cut
from mmidd.faces.encode import encode_mask
from mmidd.video import Picture
from mmidd.video.picture import Image


def crop_of(
    picture: Picture, transform: Sequence[float], size: int, border: Border, mask: Mask | None
) -> tuple[Cut, Image, bytes | None]:
    """How a transform (6,) cuts a crop from a picture, the crop (size,size,3), and that of a mask that is the medium's own,
    encoded: each of its pixels is mixed of the same pixels, by the same weights. Raises ValueError for a transform that
    cuts nothing of the picture."""
    plan = plan_cut(np.array(transform, np.float32).reshape(2, 3), picture.width, picture.height, size=size, border=border)
    if plan.box is None or plan.padding == 1:
        raise ValueError("the crop lies wholly outside the frame")
    marked = encode_mask(plan.take(mask.part(plan.box))) if mask is not None and mask.own else None
    return plan, plan.take(picture.part(*plan.box)), marked
