"""Shards: how rows are cut into files, and the Parquet that is written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.corpus.shards import ROW_OVERHEAD, ShardLimits, partition, suffix, write_shard
from mmidd.schema import COLUMNS, IMAGE, arrow_schema

ROOMY = ShardLimits(10**9, 1000, 10**8)
JPEG, PNG, WEBP = b"\xff\xd8\xff\xe0", b"\x89PNG\r\n", b"RIFF\0\0\0\0WEBP"

_rows = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 5000)), max_size=60)
_crowded = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5000)), max_size=60)
"""Many rows in few places: one clip's frames share theirs."""


def _places(rows: list[tuple[int, int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    return np.array([place for place, _ in rows], np.uint64), np.array([size for _, size in rows], np.int64)


@given(rows=_rows | _crowded, most=st.integers(1000, 20_000))
@settings(max_examples=150)
def test_every_row_is_in_one_shard_in_order_and_within_the_limit(rows: list[tuple[int, int]], most: int) -> None:
    places, sizes = _places(rows)
    parts = partition(places, sizes, ShardLimits(most, 1000, 10**6))
    flat = [row for part in parts for row in part.tolist()]
    assert sorted(flat) == list(range(len(rows)))
    assert flat == sorted(flat, key=lambda row: (places[row], row))
    for part in parts:
        assert len(part)
        assert len(part) == 1 or sum(sizes[row] + ROW_OVERHEAD for row in part) <= most


_spread = st.lists(
    st.tuples(st.integers(0, 2**20 - 1).map(lambda place: place << 44), st.integers(0, 5000)),
    max_size=120,
    unique_by=lambda row: row[0],
)


@given(rows=_spread, cut=st.integers(0, 120), most=st.integers(6000, 20_000))
@settings(max_examples=150)
def test_growth_splits_shards_and_never_mixes_the_rows_of_two(rows: list[tuple[int, int]], cut: int, most: int) -> None:
    limits = ShardLimits(most, 1000, 10**6)
    before, after = partition(*_places(rows[:cut]), limits), partition(*_places(rows), limits)
    shard_of = {row: number for number, part in enumerate(before) for row in part.tolist()}
    for part in after:
        assert len({shard_of[row] for row in part if row < cut}) <= 1


def test_no_rows_make_no_shard() -> None:
    assert partition(*_places([]), ROOMY) == []


def _columns(count: int, **given: list[Any]) -> dict[str, Any]:
    """All columns but the images, null where nothing is given."""
    filled = {
        "id": [f"{number:024x}" for number in range(count)],
        "dataset": ["CelebA"] * count,
        "label": [0] * count,
    } | given
    return {c.name: pa.array(filled.get(c.name, [None] * count), c.type) for c in COLUMNS if c.type != IMAGE}


def _write(
    path: Path, images: list[bytes], limits: ShardLimits = ROOMY, masks: list[bytes | None] | None = None, **given: list[Any]
) -> pq.ParquetFile:
    pictures = zip(images, masks or [None] * len(images), strict=True)
    write_shard(path, _columns(len(images), **given), pictures, limits)
    return pq.ParquetFile(path)


def test_a_shard_has_the_schema_the_order_and_the_images_it_was_given(tmp_path: Path) -> None:
    images = [JPEG + b"1", PNG + b"2", WEBP + b"3"]
    table = _write(tmp_path / "a.parquet", images).read()
    assert table.schema.equals(arrow_schema()) and table.schema.metadata == arrow_schema().metadata
    assert [image["bytes"] for image in table["image"].to_pylist()] == images
    names = [image["path"] for image in table["image"].to_pylist()]
    assert names == [f"{0:024x}.jpg", f"{1:024x}.png", f"{2:024x}.webp"]
    assert table["mask"].null_count == 3 and table["id"].to_pylist() == [f"{n:024x}" for n in range(3)]


def test_a_mask_lies_beside_its_image_under_its_own_name(tmp_path: Path) -> None:
    masks = [None, PNG + b"mask", None]
    table = _write(tmp_path / "a.parquet", [JPEG + b"1", JPEG + b"2", JPEG + b"3"], masks=masks).read()
    assert table["mask"].to_pylist() == [None, {"bytes": PNG + b"mask", "path": f"{1:024x}-mask.png"}, None]
    assert [image["bytes"] for image in table["image"].to_pylist()] == [JPEG + b"1", JPEG + b"2", JPEG + b"3"]


@pytest.mark.parametrize(
    ("rows", "size", "limits", "groups"),
    [
        (7, 10, ShardLimits(10**9, 3, 10**6), [3, 3, 1]),
        (7, 400, ShardLimits(10**9, 1000, 1000), [2, 2, 2, 1]),
        (3, 5000, ShardLimits(10**9, 1000, 1000), [1, 1, 1]),
        (5, 10, ROOMY, [5]),
    ],
    ids=["rows", "bytes", "one larger than the limit", "one group"],
)
def test_row_groups_keep_both_limits(tmp_path: Path, rows: int, size: int, limits: ShardLimits, groups: list[int]) -> None:
    images = [JPEG + bytes([number]) * (size - 4) for number in range(rows)]
    about = _write(tmp_path / "a.parquet", images, limits).metadata
    assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == groups


def test_the_bytes_of_masks_count_in_row_groups(tmp_path: Path) -> None:
    masks: list[bytes | None] = [PNG + bytes(900), None, None]
    about = _write(tmp_path / "a.parquet", [JPEG + bytes(396)] * 3, ShardLimits(10**9, 1000, 1000), masks=masks).metadata
    assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == [1, 2]


def test_image_bytes_are_plain_and_the_rest_is_compressed_and_all_have_a_page_index(tmp_path: Path) -> None:
    group = _write(tmp_path / "a.parquet", [JPEG + b"x" * 100] * 4).metadata.row_group(0)
    leaves = [group.column(number) for number in range(group.num_columns)]
    for leaf in leaves:
        image = leaf.path_in_schema.split(".")[0] in ("image", "mask")
        assert leaf.compression == ("UNCOMPRESSED" if image else "ZSTD"), leaf.path_in_schema
        assert leaf.has_offset_index and leaf.has_column_index, leaf.path_in_schema
        if image:
            assert not set(leaf.encodings) & {"PLAIN_DICTIONARY", "RLE_DICTIONARY"} and not leaf.has_dictionary_page
    assert sum(leaf.has_dictionary_page for leaf in leaves) > 20
    assert {leaf.path_in_schema for leaf in leaves} >= {"image.bytes", "landmarks.list.element.list.element", "id"}


def test_the_image_bytes_lie_in_the_file_as_they_are(tmp_path: Path) -> None:
    image = JPEG + hashlib.sha256(b"seed").digest() * 4
    _write(tmp_path / "a.parquet", [image])
    assert image in (tmp_path / "a.parquet").read_bytes()


def test_equal_rows_make_equal_bytes_and_different_ones_do_not(tmp_path: Path) -> None:
    for name, last in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        _write(tmp_path / name, [JPEG + b"0", JPEG + last], method=["x", None], box=[[1, 2, 3, 4], None])
    first, same, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == same != other


def test_more_or_fewer_images_than_rows_do_not_make_a_shard_of_the_wrong_length(tmp_path: Path) -> None:
    """The writer's caller counts the rows that were written; too many images cannot pass at all."""
    write_shard(tmp_path / "few", _columns(3), iter([(JPEG, None)]), ROOMY)
    assert pq.read_metadata(tmp_path / "few").num_rows == 1
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        write_shard(tmp_path / "many", _columns(1), iter([(JPEG, None)] * 2), ROOMY)


def test_pandas_and_datasets_read_a_shard(tmp_path: Path) -> None:
    pandas, datasets = pytest.importorskip("pandas"), pytest.importorskip("datasets")
    path = tmp_path / "train-celeba-00000-of-00001.parquet"
    _write(path, [JPEG + b"0", PNG + b"1"], label=[0, 1], forgery_type=[0, None], landmarks=[[[1, 2]] * 5, None])
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == [column.name for column in COLUMNS] and frame["image"][1]["bytes"] == PNG + b"1"
    found = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert found.features["label"].names == ["real", "fake"] and found["label"] == [0, 1]
    assert found.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"] == JPEG + b"0"


@pytest.mark.parametrize(("data", "ending"), [(JPEG, "jpg"), (PNG, "png"), (WEBP, "webp")])
def test_an_image_is_named_by_its_first_bytes(data: bytes, ending: str) -> None:
    assert suffix(data) == ending
