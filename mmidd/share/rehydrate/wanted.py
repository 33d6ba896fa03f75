"""The media that the rows of a publication come from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import ShareError
from mmidd.media import TURNS, Kind, Name
from mmidd.share.rehydrate.found import Wanted

OF_ROWS = ("dataset", "media", "mask_sha256")
"""The columns of `labels/` that say what is wanted."""
OF_MEDIA = ("dataset", "media", "kind", "media_sha256", "bytes", "turn")
"""The columns of the media table that say what it is."""
KINDS: tuple[Kind, ...] = ("video", "image", "frames", "hdf5")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def wanted_media(labels: Iterable[pa.Table], media: pa.Table, pixels: Collection[str] = ()) -> tuple[Wanted, ...]:
    """What has to be found, by dataset and name: of each medium that rows come from how many, and whether any has a mask.

    `labels` are tables that have the columns `OF_ROWS`, `media` is the media table (`OF_MEDIA`); `pixels` are the datasets
    whose pixels are in the publication. Raises ShareError where the two contradict each other or a medium stands twice with
    other bytes.
    """
    known = _known(media)
    rows: dict[Name, tuple[int, bool]] = {}
    for name, count, masks in _counted(labels):
        before = rows.get(name, (0, False))
        rows[name] = (before[0] + count, before[1] or masks > 0)
    strange = [name for name in rows if name not in known]
    if strange:
        raise ShareError(
            f"{len(strange)} media of rows are not in the publication's media table as what mmidd knows (a video, an image, "
            f"frames, HDF5), such as {strange[0]!r}: it is damaged, or was made by hand; get it again"
        )
    of = (replace(known[name], rows=count, mask=mask, pixels=name[0] in pixels) for name, (count, mask) in rows.items())
    return tuple(sorted(of, key=lambda each: each.name))


def _counted(labels: Iterable[pa.Table]) -> Iterator[tuple[Name, int, int]]:
    """The rows of each medium and those of them that have a mask, table by table."""
    for table in labels:
        by = table.select(OF_ROWS).group_by(["dataset", "media"])
        found = by.aggregate([([], "count_all"), ("mask_sha256", "count")])
        columns = (found[name].to_pylist() for name in ("dataset", "media", "count_all", "mask_sha256_count"))
        for dataset, media, rows, masks in zip(*columns, strict=True):
            if dataset is None or media is None:
                raise ShareError("a row of the publication names no medium: it is damaged, or was made by hand")
            yield (dataset, media), rows, masks


def _known(media: pa.Table) -> dict[Name, Wanted]:
    """What the media table says of each medium that has samples or might have."""
    told = media.select(OF_MEDIA)
    is_kind = pc.is_in(told["kind"], pa.array(KINDS))
    told = told.filter(pc.and_(is_kind, pc.and_(pc.is_valid(told["dataset"]), pc.is_valid(told["media"]))))
    found: dict[Name, Wanted] = {}
    for row in told.to_pylist():
        each = _wanted(row)
        if found.setdefault(each.name, each) != each:
            raise ShareError(
                f"the publication's media table has {each.name!r} twice, with other bytes each time: it is damaged"
            )
    return found


def _wanted(row: dict[str, Any]) -> Wanted:
    """One medium. A digest that is none is not known, and then bytes are no proof. Raises ShareError for an odd turn."""
    name, size, sha256 = (row["dataset"], row["media"]), max(0, row["bytes"] or 0), row["media_sha256"] or ""
    turn = row["turn"] or 0
    if turn not in TURNS:
        raise ShareError(f"the publication's media table has {name!r} turned by {turn} degrees: it is damaged")
    known = sha256 if _SHA256.fullmatch(sha256) else ""
    return Wanted(name, row["kind"], size, known, 0, False, turn=turn)
