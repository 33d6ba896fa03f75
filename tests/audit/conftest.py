"""Captions made for the audit's tests, as tables and as small corpora on disk."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmidd.audit.leak import Sampled
from mmidd.audit.rows import NULL, Coded
from mmidd.corpus.about import MANIFEST
from mmidd.corpus.target import manifest_bytes
from mmidd.schema import FORGERY_TYPES, LABELS, SCHEMA_VERSION, arrow_schema, sample_id

_PARTS = (
    ("The face is", "A face that is", "The head is", "This face is"),
    ("turned slightly to the left", "seen from the front", "turned to the right", "tilted a little", "looking upwards"),
    ("with short hair", "with long hair", "with a beard", "with glasses", "with a hat", "with a fringe"),
    ("in soft light", "in hard light", "in dim light", "evenly lit", "lit from above", "lit from one side"),
    ("and a calm look", "and a slight smile", "and lips parted", "and eyes half closed", "and a raised chin"),
)
_PLACES = ("a wall", "a shelf", "trees", "a window", "a street", "a curtain", "a door", "the sky")
_COLOURS = ("grey", "white", "brown", "green", "blue", "black", "beige", "red")


def face_text(chance: random.Random) -> str:
    """A caption that depends on nothing."""
    return " ".join(chance.choice(part) for part in _PARTS) + "."


def place_text(chance: random.Random) -> str:
    return f"Behind is {chance.choice(_PLACES)} in {chance.choice(_COLOURS)} and {chance.choice(_COLOURS)}."


def rows_of(datasets: Sequence[str], groups: int, seed: int, *, types: Sequence[str] = ("FS",)) -> list[dict[str, Any]]:
    """In each dataset so many groups of a real and a fake of every type, with captions that tell nothing."""
    chance = random.Random(seed)
    return [
        {
            "dataset": dataset,
            "group": f"{dataset}/{number}",
            "media": f"{number}/{kind}.png",
            "label": int(kind != "REAL"),
            "forgery_type": FORGERY_TYPES.index(kind),
            "face_caption": face_text(chance),
            "environment_caption": place_text(chance),
            "captioner": "attributes-1",
            "caption_status": "ok",
        }
        for dataset in datasets
        for number in range(groups)
        for kind in ("REAL", *types)
    ]


def _coded(values: Sequence[str]) -> Coded:
    names = tuple(sorted(set(values)))
    return Coded(np.array([names.index(value) for value in values], dtype=np.int64), names)


def sampled(rows: Sequence[dict[str, Any]]) -> Sampled:
    """Rows as the leak test takes them."""
    return Sampled(
        dataset=_coded([row["dataset"] for row in rows]),
        label=Coded(np.array([row["label"] for row in rows], dtype=np.int64), (*LABELS, NULL)),
        kind=Coded(np.array([row["forgery_type"] for row in rows], dtype=np.int64), (*FORGERY_TYPES, NULL)),
        group=_coded([row["group"] for row in rows]),
        texts={name: [row[f"{name}_caption"] for row in rows] for name in ("face", "environment")},
    )


WriteCorpus = Callable[[Sequence[dict[str, Any]]], Path]


@pytest.fixture
def write_corpus(tmp_path: Path) -> WriteCorpus:
    """Writes rows, two shards of them, as a corpus folder; columns that a row lacks are null."""

    def write(rows: Sequence[dict[str, Any]]) -> Path:
        folder = tmp_path / "corpus"
        (folder / "data").mkdir(parents=True)
        files: dict[str, Any] = {}
        middle = len(rows) // 2
        for number, part in enumerate((rows[:middle], rows[middle:])):
            whole = [
                {
                    "id": sample_id(row["dataset"], row["media"], 0, 0),
                    "image": {"bytes": picture(row["media"]), "path": "x.png"},
                }
                | row
                for row in part
            ]
            name = f"data/train-x-{number:05d}-of-00002.parquet"
            pq.write_table(pa.Table.from_pylist(whole, schema=arrow_schema()), folder / name, row_group_size=50)
            files[name] = {"bytes": (folder / name).stat().st_size, "sha256": "0" * 64, "rows": len(part)}
        about = {"schema_version": SCHEMA_VERSION, "files": files}
        (folder / MANIFEST).write_bytes(manifest_bytes(about))
        return folder

    return write


def picture(name: str) -> bytes:
    """A small PNG of random pixels, the same for the same name."""
    noise = np.random.default_rng(list(name.encode())).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()
