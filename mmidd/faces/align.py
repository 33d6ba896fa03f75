"""From a frame to an aligned crop: the similarity that brings five points onto a template, and the warp by it.

Coordinates name pixel centres (the first pixel's is 0, 0), as in OpenCV. The stored transform is float32, and the
warp is integer arithmetic on fixed-point maps computed from it, so the same transform gives the same pixels on any
CPU (`cv2.warpAffine` does not: its rounding differs with the CPU's vector instructions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.video.picture import Image, Picture

Border = Literal["black", "replicate", "reflect"]
"""What a crop shows beyond its picture. In OpenCV's words: BORDER_CONSTANT (0), BORDER_REPLICATE, BORDER_REFLECT_101."""
Mask = npt.NDArray[np.bool_]

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


@dataclass(frozen=True, eq=False)
class Cut:
    """One crop to be taken: the half-open box of the picture that it shows (None where it shows nothing but border), where
    in that box each of its pixels comes from, in fixed point, and the share 0..1 of it that lies outside the picture."""

    size: int
    box: tuple[int, int, int, int] | None
    padding: float
    whole: npt.NDArray[np.int16]
    fraction: npt.NDArray[np.uint16]

    def take(self, part: Image) -> Image:
        """The (size,size,3) uint8 crop, bilinear, from the pixels (H,W,3) uint8 RGB of the box; a grey one (size,size) from
        grey ones (H,W)."""
        crop = cv2.remap(
            part, self.whole, self.fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)
        )
        return np.asarray(crop, np.uint8)


def plan_cut(transform: npt.ArrayLike, width: int, height: int, *, size: int, border: Border = "black") -> Cut:
    """How the float32 transform (2,3) cuts a crop from a picture of `width` x `height` pixels.

    Beyond the picture lies black, its last pixel (replicate), or its reflection (the edge pixel not repeated). Raises
    ValueError for a transform without inverse, or a crop over more than 32,766 pixels of the picture's side.
    """
    across, along = _axes(transform, size)
    inside = across.lies_within(-0.5, width - 0.5) and along.lies_within(-0.5, height - 0.5)
    padding = 0.0 if inside else 1 - float((across.within(-0.5, width - 0.5) & along.within(-0.5, height - 0.5)).mean())
    if border != "black":
        across, along = across.bent(width, border), along.bent(height, border)
    (left, right), (top, bottom) = across.extent(width), along.extent(height)
    nothing = left >= right or top >= bottom
    if not nothing and max(right - left, bottom - top) > _REMAP_LIMIT:
        raise ValueError(f"the crop shows more than {_REMAP_LIMIT} pixels of the image's side")
    fixed_x, fixed_y = across.fixed(left), along.fixed(top)
    whole = np.empty((size, size, 2), np.int16)
    np.right_shift(fixed_x, _FRACTION_BITS, out=whole[..., 0], casting="unsafe")
    np.right_shift(fixed_y, _FRACTION_BITS, out=whole[..., 1], casting="unsafe")
    mask = (1 << _FRACTION_BITS) - 1
    fraction = (((fixed_y & mask) << _FRACTION_BITS) | (fixed_x & mask)).astype(np.uint16)
    return Cut(size, None if nothing else (left, top, right, bottom), padding, whole, fraction)


def padded(transform: npt.ArrayLike, width: int, height: int, *, size: int) -> Mask:
    """Where, as a (size,size) mask, border shows in the crop that a float32 transform (2,3) cuts from a picture of `width` x
    `height` pixels, be it mixed in only. Raises ValueError for a transform without inverse."""
    across, along = _axes(transform, size)
    return ~(across.within(0, width - 1) & along.within(0, height - 1))


def warp(picture: Picture, transform: npt.ArrayLike, *, size: int, border: Border = "black") -> Image:
    """The (size,size,3) uint8 RGB crop that the float32 transform (2,3) cuts from a picture, bilinear.

    Only the part of the picture that the crop shows is looked at. Raises ValueError as `plan_cut` does.
    """
    cut = plan_cut(transform, picture.width, picture.height, size=size, border=border)
    return np.zeros((size, size, 3), np.uint8) if cut.box is None else cut.take(picture.part(*cut.box))


def _axes(transform: npt.ArrayLike, size: int) -> tuple[_Axis, _Axis]:
    across, along = (_Axis.of(row, size) for row in invert(np.asarray(transform, np.float32)))
    return across, along


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where each crop pixel comes from along one axis of the picture: `columns` (1,size) + `rows` (size,1), pixels.

    Products and sums stay apart: a fused multiply-add would round otherwise.
    """

    columns: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]

    @classmethod
    def of(cls, row: npt.NDArray[np.float64], size: int) -> _Axis:
        steps = np.arange(size, dtype=np.float64)
        return cls((row[0] * steps)[None, :], (row[1] * steps + row[2])[:, None])

    def within(self, low: float, high: float) -> Mask:
        """Which of the places, (size,size), lie in a closed interval."""
        places = self.columns + self.rows
        return np.asarray((places >= low) & (places <= high))

    def lies_within(self, low: float, high: float) -> bool:
        """Do all places lie in a closed interval? (Rounding is monotone, so the sums of the extremes are the extremes.)"""
        least, most = self.columns.min() + self.rows.min(), self.columns.max() + self.rows.max()
        return bool(least >= low and most <= high)

    def bent(self, length: int, border: Border) -> _Axis:
        """Brought into [0, length - 1]: interpolation there equals that in the image continued beyond its edges."""
        last = float(length - 1)
        places = self.columns + self.rows
        if border == "replicate":
            places = np.clip(places, 0, last)
        else:
            places = last - np.abs(np.mod(places, 2 * last) - last) if last else np.zeros_like(places)
        return _Axis(places, np.zeros((len(places), 1)))

    def extent(self, length: int) -> tuple[int, int]:
        """The half-open range of pixels that are touched with both neighbours, within the picture."""
        low, high = float(self.columns.min() + self.rows.min()), float(self.columns.max() + self.rows.max())
        return int(max(0.0, min(np.floor(low), length))), int(min(float(length), max(np.floor(high) + 2, 0.0)))

    def fixed(self, start: int) -> npt.NDArray[np.int32]:
        """(size,size) places from `start` on in 1/32 pixel; what is too far out for remap's int16 stays far outside."""
        unit = float(1 << _FRACTION_BITS)
        places = self.columns * unit + (self.rows - start) * unit
        np.rint(places, out=places)
        most = float((2**15) << _FRACTION_BITS)
        np.clip(places, -most, most - 1, out=places)
        return places.astype(np.int32)
