"""How a row that was made again is beside the published one, and what that says of its medium."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from mmidd.errors import MediaError
from mmidd.extraction.replay import ABSENT, OTHER_SIZE, Lost, Made, pixels_of
from mmidd.share.publication.proofs import Proof, difference, pixels_sha256, probes

Status = Literal["exact", "pixels", "within_1", "differs", "missing"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""From the best to the worst. `exact`: equal bytes. `pixels`: other bytes, equal pixels. `within_1`: no probe differs by
more than one grey level. `differs`: more, or its mask is another one or not there. `missing`: nothing was made."""

Accept = Literal["exact", "pixels", "within-1", "any"]
ACCEPTS: tuple[Accept, ...] = get_args(Accept)
"""The worst that is written: by the place in `STATUSES`."""

Likeness = Literal["same", "other_bytes", "other_version", "unreadable", "not_found"]
"""A medium beside the published one. `other_bytes`: its frames are equal, a re-download. `other_version`: they are not."""

MASK_DIFFERS, MASK_MISSING = "mask_differs", "mask_missing"
PIXELS_DIFFER = "pixels_differ"


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a row's image and mask are to be. `mask`: the sha256 of the bytes and of the pixels; None where there is none."""

    id: str
    image: Proof
    mask: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of a row: `reason` and what was `seen` where it is not as published."""

    status: Status
    reason: str | None = None
    seen: str | None = None


def is_accepted(status: Status, accept: Accept) -> bool:
    """Is a row of this status written?"""
    return STATUSES.index(status) <= ACCEPTS.index(accept)


def compared(made: Made | Lost, wanted: Proofs) -> Compared:
    """A row that was made again beside the published one: the worse of its image and its mask."""
    if isinstance(made, Lost):
        return Compared("missing", made.reason, made.seen)
    image, mask = _image(made.image, wanted), _mask(made.mask, wanted.mask)
    return max(image, mask, key=lambda each: STATUSES.index(each.status))


def _image(data: bytes, wanted: Proofs) -> Compared:
    if hashlib.sha256(data).hexdigest() == wanted.image.sha256:
        return Compared("exact")
    pixels = pixels_of(data)
    if pixels_sha256(pixels) == wanted.image.pixels:
        return Compared("pixels")
    found = difference(probes(wanted.id, pixels), wanted.image.probes)
    if found.within_one:
        return Compared("within_1")
    return Compared("differs", PIXELS_DIFFER, f"crops differ by {found.most} grey levels or more")


def _mask(data: bytes | None, wanted: tuple[str, str] | None) -> Compared:
    if wanted is None:
        return Compared("exact")
    if data is None:
        return Compared("differs", MASK_MISSING, "its mask was not found, or has not that frame in that size")
    if hashlib.sha256(data).hexdigest() == wanted[0]:
        return Compared("exact")
    try:
        same = pixels_sha256(pixels_of(data)) == wanted[1]
    except MediaError:
        same = False
    return Compared("pixels") if same else Compared("differs", MASK_DIFFERS, "its mask is another one")


def medium_is(rows: Iterable[Compared], same: bool | None) -> tuple[Likeness, str]:
    """What a medium is by its rows, and whether its bytes are the published ones (None: nobody has read them); in words."""
    found = list(rows)
    worst = Counter(each.reason or "" for each in found if each.status in ("differs", "missing"))
    if not worst:
        return ("other_bytes", "other bytes, equal frames: a re-download") if same is False else ("same", "the same")
    most = max(sorted(worst), key=worst.__getitem__)
    seen = next(each.seen or "" for each in found if each.reason == most)
    lost = f"{sum(worst.values())} of {len(found)} rows: {seen}"
    if same:
        return "same", f"the same bytes, {lost}"
    return ("other_version", f"another version, {lost}") if most in _OF_A_VERSION else ("unreadable", lost)


_OF_A_VERSION = (ABSENT, OTHER_SIZE, PIXELS_DIFFER)
