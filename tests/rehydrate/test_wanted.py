"""The media that rows come from: counted, with what the media table says of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mmidd.errors import ShareError
from mmidd.schema import media_schema
from mmidd.share.publication.format import labels_schema
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.wanted import wanted_media

SHA = "ab" * 32


def rows(*names: tuple[str, str, str | None]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"dataset": dataset, "media": media, "mask_sha256": mask} for dataset, media, mask in names], labels_schema()
    )


def media(*given: dict[str, Any]) -> pa.Table:
    base = {"dataset": "DFDC", "kind": "video", "media_sha256": SHA, "bytes": 7}
    return pa.Table.from_pylist([base | each for each in given], media_schema())


def test_media_are_counted_over_shards_and_told_by_name() -> None:
    tables = [rows(("DFDC", "b.mp4", None), ("DFDC", "a.mp4", None)), rows(("DFDC", "b.mp4", SHA), ("X", "c.png", None))]
    table = media({"media": "a.mp4"}, {"media": "b.mp4"}, {"media": "unused.mp4"}, {"dataset": "X", "media": "c.png"})
    assert wanted_media(tables, table, {"X"}) == (
        Wanted(("DFDC", "a.mp4"), "video", 7, SHA, 1, False),
        Wanted(("DFDC", "b.mp4"), "video", 7, SHA, 2, True),
        Wanted(("X", "c.png"), "video", 7, SHA, 1, False, pixels=True),
    )


@pytest.mark.parametrize(
    ("given", "kind", "size", "sha256"),
    [
        ({"kind": "frames"}, "frames", 7, SHA),
        ({"bytes": None}, "video", 0, SHA),
        ({"bytes": -(2**63)}, "video", 0, SHA),
        ({"media_sha256": None}, "video", 7, ""),
        ({"media_sha256": "../../x"}, "video", 7, ""),
        ({"media_sha256": SHA.upper()}, "video", 7, ""),
    ],
)
def test_what_is_no_fact_is_not_believed(given: dict[str, Any], kind: str, size: int, sha256: str) -> None:
    (one,) = wanted_media([rows(("DFDC", "a", None))], media({"media": "a", **given}))
    assert (one.kind, one.bytes, one.sha256) == (kind, size, sha256)


def test_how_a_medium_was_turned_is_told() -> None:
    found = wanted_media(
        [rows(("DFDC", "a", None), ("DFDC", "b", None))], media({"media": "a", "turn": 270}, {"media": "b"})
    )
    assert [each.turn for each in found] == [270, 0]


@pytest.mark.parametrize(
    ("labels", "table", "told"),
    [
        (rows(("DFDC", "a", None)), media({"media": "a", "turn": 45}), "turned by 45 degrees"),
        (rows(("DFDC", "a", None)), media({"media": "b"}), "not in the publication's media table"),
        (rows(("DFDC", "a", None)), media({"media": "a", "kind": None}), "as what mmidd knows"),
        (rows(("DFDC", "a", None)), media({"media": "a", "kind": "device"}), "as what mmidd knows"),
        (rows(("DFDC", "a", None)), media({"media": "a"}, {"media": "a", "bytes": 8}), "twice, with other bytes"),
    ],
)
def test_a_publication_that_contradicts_itself_is_refused(labels: pa.Table, table: pa.Table, told: str) -> None:
    with pytest.raises(ShareError, match=told):
        wanted_media([labels], table)


def test_nothing_is_wanted_of_no_rows() -> None:
    assert wanted_media([], media({"media": "a"})) == ()
