"""What proves that an image was made again: its bytes, its pixels, and a few of their low bits.

Two images of equal bytes are equal. Of equal pixels they may be of other bytes (another version of an encoder). Where pixels
differ, *probes* tell by how much: the low four bits of 256 values at places that the sample's id draws. Of the difference of
two values only the remainder by 16 is known, which is the difference itself from -8 to 7. No picture can be seen in them:
they are half a byte of one value in some 800.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
PROBES = 256
PROBE_BYTES = PROBES // 2


@dataclass(frozen=True)
class Proof:
    """Of one encoded image: its bytes (`size`, hex `sha256`), the hex sha256 of its `pixels`, and 128 bytes of `probes`."""

    size: int
    sha256: str
    pixels: str
    probes: bytes


@dataclass(frozen=True)
class Difference:
    """What the probes say of two images: the largest difference in grey levels (8: eight or more)."""

    most: int

    @property
    def within_one(self) -> bool:
        """No probed value differs by more than one grey level: with 99% confidence fewer than 1.8% of all values do."""
        return self.most <= 1


def proof(sample: str, data: bytes, image: Image) -> Proof:
    """Of an encoded image of the sample of this id, and its pixels: RGB (height, width, 3)."""
    return Proof(len(data), hashlib.sha256(data).hexdigest(), pixels_sha256(image), probes(sample, image))


def pixels_sha256(image: Image) -> str:
    """Hex digest of RGB (height, width, 3): of its size as text, then of its values."""
    found = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}\n".encode())
    found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()


def probes(sample: str, image: Image) -> bytes:
    """The low four bits of 256 values, two to a byte, the first in the high half."""
    low = image.reshape(-1)[_places(sample, image.size)] & 15
    return bytes((low[::2] << 4 | low[1::2]).tolist())


def difference(first: bytes, second: bytes) -> Difference:
    """Of the probes of two images of one size."""
    found = (_values(first) - _values(second) + 8) % 16 - 8
    return Difference(int(np.abs(found).max()))


def _values(packed: bytes) -> npt.NDArray[np.int64]:
    held = np.frombuffer(packed, np.uint8).astype(np.int64)
    return np.stack([held >> 4, held & 15], axis=1).reshape(-1)


def _places(sample: str, values: int) -> npt.NDArray[np.int64]:
    """256 places among so many values, drawn with the id as the seed; the same in every version of numpy."""
    drawn = hashlib.shake_128(f"mmidd probes\0{sample}".encode()).digest(PROBES * 8)
    return (np.frombuffer(drawn, "<u8") % np.uint64(values)).astype(np.int64)
