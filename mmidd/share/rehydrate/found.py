"""What is wanted of a user's files, and what was found: the word between looking for media and cutting them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mmidd.extraction.masks import MaskFile
    from mmidd.media import Kind, Name
    from mmidd.raw.bytes import MediaFile

By = Literal["path", "digest"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A medium that rows of a publication come from: its kind, bytes and digest as published, how many rows, and whether
    any has a mask. `pixels`: its rows have their pixels in the publication, so it need not be found. `turn`: degrees
    clockwise by which its frames were turned."""

    name: Name
    kind: Kind
    bytes: int
    sha256: str
    rows: int
    mask: bool
    pixels: bool = False
    turn: int = 0


@dataclass(frozen=True, slots=True)
class FoundMedium:
    """Where a wanted medium lies: at its `path`, or elsewhere with its `digest`. `same`: its bytes are known to be the
    published ones (None: nobody has read them, its size is right; False: they are others, and its frames will tell). `mask`:
    where its masks lie; None where it has none, or nobody knows."""

    wanted: Wanted
    file: MediaFile
    by: By
    same: bool | None
    mask: MaskFile | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A wanted medium that was not found, and why."""

    wanted: Wanted
    why: str
