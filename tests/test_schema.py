"""The corpus schema: what Hugging Face sees in it, what may never change, and the page that tells it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from mmidd.schema import (
    ADDED,
    COLUMNS,
    FORGERY_NAMES,
    FORGERY_TYPES,
    IF_ANY,
    LABELS,
    MEDIA_COLUMNS,
    SCHEMA_VERSION,
    SPLITS,
    arrow_schema,
    features,
    markdown,
    media_schema,
    sample_id,
)

ROOT = Path(__file__).parents[1]

# Version 1, in order. Append to it; never change or reorder what is here.
GOLDEN = """
id:string image:image label:int64 forgery_type:int64 method:string dataset:string media:string media_sha256:string
frame:int32 timestamp:double face:int32 box:float[4] landmarks:float[5,2] transform:float[6] detection_score:float
width:int32 height:int32 fps:double codec:string target_id:string source_id:string pair_media:string pair:string
group:string sharpness:float brightness:float face_size:float jpeg_quality:int32 phash:string face_caption:string
environment_caption:string captioner:string license:string mask:image track:int32 faces_found:int32 runner_up:float
geometry:string split_basis:string caption_status:string attack:string padding:float
"""

TYPES = {
    "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    "float[4]": pa.list_(pa.float32(), 4),
    "float[6]": pa.list_(pa.float32(), 6),
    "float[5,2]": pa.list_(pa.list_(pa.float32(), 2), 5),
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
}


def test_columns_are_only_appended_and_keep_their_types() -> None:
    wanted = [(name, TYPES[kind]) for name, _, kind in (entry.partition(":") for entry in GOLDEN.split())]
    assert [(column.name, column.type) for column in COLUMNS] == wanted


def test_columns_that_were_added_are_the_last_ones_and_can_be_left_out() -> None:
    names, media = [column.name for column in COLUMNS], media_schema().names
    assert names[-1:] + media[-3:] == [*ADDED, *IF_ANY]
    assert arrow_schema(without=ADDED).names == names[:-1]
    assert arrow_schema(without=ADDED).metadata != arrow_schema().metadata


def test_class_names_and_splits_are_frozen() -> None:
    assert LABELS == ("real", "fake")
    assert FORGERY_TYPES == tuple(FORGERY_NAMES) == ("REAL", "FS", "FR", "EFS", "FE")
    assert SPLITS == ("train", "validation", "test")
    assert {c.name: c.classes for c in COLUMNS if c.classes} == {"label": LABELS, "forgery_type": FORGERY_TYPES}
    assert SCHEMA_VERSION == 1


def test_every_column_is_nullable_and_explained() -> None:
    assert all(field.nullable for field in arrow_schema())
    assert all(column.meaning for column in COLUMNS) and all(meaning for _, _, meaning in MEDIA_COLUMNS)
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


def test_the_arrow_schema_is_what_datasets_itself_would_write() -> None:
    datasets = pytest.importorskip("datasets")
    theirs = datasets.Features.from_dict(features()).arrow_schema
    ours = arrow_schema()
    assert ours.equals(theirs)
    assert ours.metadata[b"huggingface"] == theirs.metadata[b"huggingface"]
    assert datasets.Features.from_arrow_schema(ours) == datasets.Features.from_dict(features())


def test_both_schemas_carry_their_version() -> None:
    for schema in (arrow_schema(), media_schema()):
        assert schema.metadata[b"mmidd.schema_version"] == b"1"


def test_a_sample_id_is_a_public_function_of_its_four_parts() -> None:
    assert sample_id("A", "b/c.mp4", 3, 0) == hashlib.sha256(b"A\0b/c.mp4\x003\x000").hexdigest()[:24]
    parts = [("A", "b", 1, 0), ("A", "b", 0, 1), ("A", "b", 10, 0), ("Ab", "", 1, 0), ("", "Ab", 1, 0)]
    assert len({sample_id(*part) for part in parts}) == len(parts)


def test_the_page_of_the_schema_is_up_to_date() -> None:
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    assert page == markdown(), "run: python -m mmidd.schema > docs/schema.md"
    for name in [column.name for column in COLUMNS] + media_schema().names:
        assert f"\n| {name} | " in page
