"""The limits of the Hub's viewer, on the files as it reads them: by page index and row groups, typed by their metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

MOST_SCANNED = 300_000_000
"""Bytes that the viewer reads for a page of rows (its ROWS_INDEX_MAX_ARROW_DATA_IN_MEMORY)."""
FIRST_ROWS, MOST_OF_FIRST, MOST_OF_ROW = 100, 1_000_000, 2_000_000
"""The rows of its first page; what their cells but images may take; what a row may take with its image."""


@pytest.fixture(params=["labels", "data"])
def shards(request: pytest.FixtureRequest, mixed: Path) -> list[Path]:
    return sorted((mixed / request.param).glob("*.parquet"))


def test_every_column_has_a_page_index_and_no_row_group_is_too_large_to_scan(shards: list[Path]) -> None:
    for path in shards:
        footer = pq.read_metadata(path)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            leaves = [group.column(leaf) for leaf in range(group.num_columns)]
            assert all(leaf.has_offset_index for leaf in leaves)
            assert {leaf.path_in_schema for leaf in leaves if not leaf.has_column_index} <= {"image.bytes", "mask.bytes"}
            assert group.total_byte_size < MOST_SCANNED and group.num_rows <= 1000


def test_a_bundled_recipe_writes_no_row_group_that_is_too_large(mixed: Path) -> None:
    from mmidd.recipe import Shards

    limits = Shards()
    assert limits.row_group_bytes + limits.row_group_rows * 2000 < MOST_SCANNED and limits.row_group_rows <= 1000


def test_its_types_come_from_the_metadata(shards: list[Path]) -> None:
    datasets = pytest.importorskip("datasets")
    for path in shards:
        schema = pq.read_schema(path)
        found = datasets.Features.from_arrow_schema(schema)
        told = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert found == datasets.Features.from_dict(told) and list(found) == schema.names
        assert found["label"].names == ["real", "fake"]
        assert isinstance(found.get("image", datasets.Image()), datasets.Image)
        assert ("image" in found) == (path.parent.name == "data")


def test_the_first_page_of_rows_is_small_enough_and_its_images_decode(shards: list[Path]) -> None:
    datasets = pytest.importorskip("datasets")
    for path in shards:
        table = next(pq.ParquetFile(path).iter_batches(FIRST_ROWS))
        rows = pa.Table.from_batches([table]).to_pylist()
        plain = [{key: value for key, value in row.items() if key not in ("image", "mask")} for row in rows]
        assert len(json.dumps(plain, default=_text)) < MOST_OF_FIRST
        assert all(len(json.dumps(row, default=_text)) < MOST_OF_ROW for row in rows)
        if path.parent.name == "data":
            found = datasets.Dataset(pa.Table.from_batches([table]))
            assert all(row["image"].size == (256, 256) for row in found)


def test_no_config_has_a_name_that_it_refuses_and_each_file_is_of_one_split(mixed: Path) -> None:
    _, text, _ = (mixed / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    for config in yaml.safe_load(text)["configs"]:
        assert config["config_name"] != "data" and config["config_name"].replace("_", "").isalnum()
        files = [path for each in config["data_files"] for path in mixed.glob(each["path"])]
        assert files and len(files) == len(set(files))


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
