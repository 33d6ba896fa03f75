"""From a frame to an aligned crop: the similarity that brings five points onto a template, and the warp by it.

Coordinates name pixel centres (the first pixel's is 0, 0), as in OpenCV. The stored transform is float32, and the
warp is integer arithmetic on fixed-point maps computed from it, so the same transform gives the same pixels on any
CPU (`cv2.warpAffine` does not: its rounding differs with the CPU's vector instructions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Border = Literal["black", "reflect"]

# The five points of ArcFace's 112x112 crop: the published list for a 96-wide crop, moved by 8.
_ARCFACE_112 = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
TEMPLATES: dict[str, npt.NDArray[np.float64]] = {"arcface": np.array(_ARCFACE_112) / 112}
"""Template points (5,2) in the unit square, in the order of `Faces.landmarks`."""

LEAST_SPREAD = 1e-3
_FRACTION_BITS = 5
_REMAP_LIMIT = 32766


def similarity(landmarks: npt.ArrayLike, *, size: int, margin: float, template: str = "arcface") -> npt.NDArray[np.float32]:
    """The (2,3) float32 transform, frame to crop, that best (least squares) brings (5,2) landmarks onto the template.

    Rotation, uniform scale and shift, never a reflection. `size`: the crop's side in pixels. `margin`: 1 puts the
    template as it is, 1.3 shrinks it by that factor about the crop's centre; size 256, margin 1.3 is DeepfakeBench's
    geometry. Raises ValueError for points that are not finite, coincide, or leave the rotation open.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError("landmarks must be five finite points (5,2)")
    if size < 1 or not margin > 0:
        raise ValueError(f"size and margin must be positive, not {size} and {margin}")
    wanted = (TEMPLATES[template] * size - size / 2) / margin + size / 2
    # In the plane a similarity is w = a z + b over complex numbers; least squares has this closed form (Umeyama 1991).
    z, w = points @ (1, 1j), wanted @ (1, 1j)
    dz, dw = z - z.mean(), w - w.mean()
    spread = float((dz * dz.conj()).real.sum())
    cross = complex((dz.conj() * dw).sum())
    if spread < 5 * LEAST_SPREAD**2 or abs(cross) < 1e-9 * np.sqrt(spread) * size:
        raise ValueError("the landmarks coincide or have no orientation")
    a = cross / spread
    b = complex(w.mean()) - a * complex(z.mean())
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], np.float32)


def invert(transform: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The (2,3) float64 inverse of an affine transform (2,3); ValueError where it has none."""
    (a, b, c), (d, e, f) = np.asarray(transform, np.float64).tolist()
    determinant = a * e - b * d
    if not np.isfinite([a, b, c, d, e, f]).all() or determinant == 0:
        raise ValueError("the transform cannot be inverted")
    p, q, r, s = e / determinant, -b / determinant, -d / determinant, a / determinant
    return np.array([[p, q, -(p * c + q * f)], [r, s, -(r * c + s * f)]])


def apply(transform: npt.ArrayLike, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(n,2) points through an affine transform (2,3)."""
    matrix = np.asarray(transform, np.float64)
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def warp(image: Image, transform: npt.ArrayLike, *, size: int, border: Border = "black") -> Image:
    """The (size,size,3) uint8 crop that the float32 transform (2,3) cuts from an image (H,W,3) uint8, bilinear.

    Beyond the image lies black, or its reflection (the edge pixel not repeated). Only the part of the image that the
    crop shows is read. Raises ValueError for no image, a transform without inverse, or a crop over more than 32,766
    pixels of the image's side.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"an image must be (H,W,3) uint8, not {image.shape} {image.dtype}")
    x, y = _sources(transform, size)
    height, width = image.shape[:2]
    if border == "reflect":
        x, y = _reflected(x, width), _reflected(y, height)
    (left, right), (top, bottom) = _extent(x, width), _extent(y, height)
    if left >= right or top >= bottom:
        return np.zeros((size, size, 3), np.uint8)
    if max(right - left, bottom - top) > _REMAP_LIMIT:
        raise ValueError(f"the crop shows more than {_REMAP_LIMIT} pixels of the image's side")
    fixed_x, fixed_y = _fixed(x - left), _fixed(y - top)
    whole = np.stack([fixed_x >> _FRACTION_BITS, fixed_y >> _FRACTION_BITS], axis=-1).astype(np.int16)
    mask = (1 << _FRACTION_BITS) - 1
    fraction = (((fixed_y & mask) << _FRACTION_BITS) + (fixed_x & mask)).astype(np.uint16)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    crop = cv2.remap(part, whole, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0))
    return np.asarray(crop, np.uint8)


def warp_batch(
    images: Sequence[Image], transforms: Sequence[npt.ArrayLike], *, size: int, border: Border = "black"
) -> Image:
    """`warp` for each image with its own transform: (n,size,size,3) uint8. ValueError where the numbers differ."""
    crops = [warp(image, transform, size=size, border=border) for image, transform in zip(images, transforms, strict=True)]
    return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)


def _sources(transform: npt.ArrayLike, size: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where each crop pixel comes from. Products and sums apart: a fused multiply-add would round otherwise."""
    inverse = invert(np.asarray(transform, np.float32))
    steps = np.arange(size, dtype=np.float64)
    x = (inverse[0, 0] * steps)[None, :] + (inverse[0, 1] * steps + inverse[0, 2])[:, None]
    y = (inverse[1, 0] * steps)[None, :] + (inverse[1, 1] * steps + inverse[1, 2])[:, None]
    return x, y


def _reflected(at: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Fold coordinates into [0, length - 1]: interpolation in the folded place equals that in the reflected image."""
    last = float(length - 1)
    if last == 0:
        return np.zeros_like(at)
    folded: npt.NDArray[np.float64] = last - np.abs(np.mod(at, 2 * last) - last)
    return folded


def _extent(at: npt.NDArray[np.float64], length: int) -> tuple[int, int]:
    """The half-open range of pixels that coordinates touch with both neighbours, within the image."""
    low, high = float(at.min()), float(at.max())
    return int(max(0.0, min(np.floor(low), length))), int(min(float(length), max(np.floor(high) + 2, 0.0)))


def _fixed(at: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Coordinates in 1/32 pixel; those too far out for remap's int16 are far outside, and stay so."""
    scaled = np.rint(at * (1 << _FRACTION_BITS))
    return np.clip(scaled, -(2**15) << _FRACTION_BITS, ((2**15) << _FRACTION_BITS) - 1).astype(np.int32)
