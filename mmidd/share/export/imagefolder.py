"""Image files for `datasets.load_dataset("imagefolder", ...)`, torchvision's ImageFolder and whoever wants plain files.

    train/real/ID.jpg  train/fake/ID.png  train/metadata.jsonl  (and so for each split)  masks/ID.png

`metadata.jsonl` has a line for every image with the corpus's other columns. Its reader guesses types from the first lines
and wants the same ones in every split, so: classes are told by name, texts that are null are "", the first lines hold a
value of every column that may be null, and numbers that one split has and another never has are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.schema import Column
from mmidd.share.export.protocol import Exporter, Sink
from mmidd.share.export.rows import NAMES, TOLD, class_of, ending, is_text, told, walk

_TEXTS = tuple(column.name for column in TOLD if is_text(column))


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """Every row as an image file and a line of its split's metadata. Returns the columns that were left out."""
    parts = {split: corpus.part(split) for split in corpus.splits}
    firsts = {split: _first_values(part) for split, part in parts.items()}
    everywhere = {name for name in NAMES if all(name in first for first in firsts.values())}
    columns = tuple(column for column in TOLD if column.name in _TEXTS or column.name in everywhere)
    left_out = {name for first in firsts.values() for name in first} - everywhere
    before = 0
    for split, part in parts.items():
        first = sorted({number for name, number in firsts[split].items() if name in everywhere})
        for row in part.take(first, NAMES).to_pylist() if sink.done <= before else ():
            _tell(corpus, sink, split, row, columns)
        for start, rows in walk(part, sink.done - before):
            for number, row in enumerate(rows, start):
                if number not in first:
                    _tell(corpus, sink, split, row, columns)
            sink.mark(before + start + len(rows))
        before += len(part)
    return tuple(sorted(left_out))


def _first_values(part: Corpus) -> dict[str, int]:
    """Of each number or list that a row of the part has, the first row that has it."""
    names = [column.name for column in TOLD if column.name not in _TEXTS]
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


def _tell(corpus: Corpus, sink: Sink, split: str, row: Mapping[str, Any], columns: tuple[Column, ...]) -> None:
    """A row's image, its mask, and its line."""
    name = row["id"]
    image = f"{class_of(row, 'label') or 'unlabelled'}/{name}.{ending(corpus, name, row['image'])}"
    line: dict[str, Any] = {"file_name": image, "mask": ""}
    sink.put(f"{split}/{image}", row["image"]["bytes"])
    if row["mask"] is not None:
        line["mask"] = f"masks/{name}.{ending(corpus, name, row['mask'])}"
        sink.put(line["mask"], row["mask"]["bytes"])
    values = told(row)
    line |= {column.name: values[column.name] or "" if is_text(column) else values[column.name] for column in columns}
    sink.add(f"{split}/metadata.jsonl", json.dumps(line, allow_nan=False).encode() + b"\n")


EXPORTER = Exporter(layout)
