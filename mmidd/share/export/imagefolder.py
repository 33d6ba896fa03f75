"""Image files for `datasets.load_dataset("imagefolder", ...)`, torchvision's ImageFolder and whoever wants plain files.

    train/real/ID.jpg  train/fake/ID.png  train/metadata.jsonl  (and so for each split)  masks/ID.png

`metadata.jsonl` has a line for every image with the corpus's other columns. Its reader guesses types from the first lines
and wants the same ones in every split, so: classes are told by name, texts that are null are "", the first lines hold a
value of every column that may be null, and numbers that one split has and another never has are left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.schema import COLUMNS, IMAGE, Column
from mmidd.share.export.protocol import Exporter, Sink

_ID = re.compile(r"[0-9a-f]{24}")
_ROWS = 64
_STARTS = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n", "png"), (b"RIFF", "webp"))
_TOLD = tuple(column for column in COLUMNS if column.type != IMAGE)
_TEXTS = tuple(column.name for column in _TOLD if column.classes or column.type == pa.string())


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """Every row as an image file and a line of its split's metadata. Returns the columns that were left out."""
    parts = {split: corpus.part(split) for split in corpus.splits}
    firsts = {split: _first_values(part) for split, part in parts.items()}
    everywhere = {name for name in _NAMES if all(name in first for first in firsts.values())}
    told = tuple(column for column in _TOLD if column.name in _TEXTS or column.name in everywhere)
    left_out = {name for first in firsts.values() for name in first} - everywhere
    for split, part in parts.items():
        first = sorted({number for name, number in firsts[split].items() if name in everywhere})
        rows: list[dict[str, Any]] = part.take(first, _NAMES).to_pylist()
        for row in rows:
            _tell(corpus, sink, split, row, told)
        for start, batch in part.batches(_NAMES, _ROWS):
            for number, row in enumerate(batch.to_pylist(), start):
                if number not in first:
                    _tell(corpus, sink, split, row, told)
    return tuple(sorted(left_out))


_NAMES = ("image", "mask", *(column.name for column in _TOLD))


def _first_values(part: Corpus) -> dict[str, int]:
    """Of each number or list that a row of the part has, the first row that has it."""
    names = [column.name for column in _TOLD if column.name not in _TEXTS]
    found: dict[str, int] = {}
    for start, batch in part.batches(names):
        for name in names:
            held = _held(batch[name]) if name not in found else np.zeros(0, np.bool_)
            if held.any():
                found[name] = start + int(held.argmax())
    return found


def _held(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Where a column holds a value that JSON has a word for."""
    held = pc.is_finite(column) if pa.types.is_floating(column.type) else pc.is_valid(column)
    return np.asarray(pc.fill_null(held, False).to_numpy(zero_copy_only=False))


def _tell(corpus: Corpus, sink: Sink, split: str, row: Mapping[str, Any], told: tuple[Column, ...]) -> None:
    """A row's image, its mask, and its line."""
    name = row["id"] or ""
    if not _ID.fullmatch(name):
        raise CorpusError(f"{corpus.place.path('')}: {name!r} is no sample id; `mmidd verify` says what is wrong")
    label = _plain(row["label"], next(column for column in _TOLD if column.name == "label")) or "unlabelled"
    image = f"{label}/{name}.{_ending(corpus, name, row['image'])}"
    line: dict[str, Any] = {"file_name": image, "mask": ""}
    sink.put(f"{split}/{image}", row["image"]["bytes"])
    if row["mask"] is not None:
        line["mask"] = f"masks/{name}.{_ending(corpus, name, row['mask'])}"
        sink.put(line["mask"], row["mask"]["bytes"])
    line |= {column.name: _plain(row[column.name], column) for column in told}
    sink.add(f"{split}/metadata.jsonl", json.dumps(line, allow_nan=False).encode() + b"\n")


def _ending(corpus: Corpus, name: str, picture: Mapping[str, Any] | None) -> str:
    data = (picture or {}).get("bytes") or b""
    for start, ending in _STARTS:
        if data.startswith(start):
            return ending
    raise CorpusError(f"{corpus.place.path('')}: a picture of sample {name} is no JPEG, PNG or WebP; see `mmidd verify`")


def _plain(value: Any, column: Column) -> Any:
    """A value as JSON has it: classes by name, null texts empty, numbers that JSON has no word for null."""
    if column.classes:
        return column.classes[value] if value is not None and 0 <= value < len(column.classes) else ""
    if column.type == pa.string():
        return value or ""
    return _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


EXPORTER = Exporter(layout)
