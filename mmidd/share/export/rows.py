"""Rows as several layouts tell them: values as JSON has them, pictures with their ending, a walk that can begin later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.schema import BY_NAME, COLUMNS, IMAGE, Column
from mmidd.share.export.protocol import Sink

TOLD = tuple(column for column in COLUMNS if column.type != IMAGE)
"""All columns but the pictures."""
NAMES = ("image", "mask", *(column.name for column in TOLD))
ROWS = 64
"""Rows with their pictures that are held at once."""
_STARTS = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n", "png"), (b"RIFF", "webp"))


def walk(part: Corpus, since: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The number of the first row, and some rows with their pictures, from the row `since` on."""
    for start, batch in part.batches(NAMES, ROWS, max(0, since)):
        yield start, batch.to_pylist()


def walk_parts(corpus: Corpus, sink: Sink) -> Iterator[tuple[str, str, Corpus, int, list[dict[str, Any]]]]:
    """Split, dataset's slug, the corpus of both, and as `walk` its rows, from where the sink is; a mark after each."""
    before = 0
    for split, slug in dict.fromkeys((shard.split, shard.dataset) for shard in corpus.shards):
        part = corpus.part(split, slug)
        for start, rows in walk(part, sink.done - before):
            yield split, slug, part, start, rows
            sink.mark(before + start + len(rows))
        before += len(part)


def compressions(corpus: Corpus) -> Mapping[tuple[str, str], str]:
    """Of each medium that has one, by dataset and path, the compression."""
    rows = corpus.media.select(["dataset", "media", "compression"])
    return {(row["dataset"], row["media"]): row["compression"] for row in rows.to_pylist() if row["compression"]}


def ending(corpus: Corpus, name: str, picture: Mapping[str, Any] | None) -> str:
    """What a picture's file name ends with, by its bytes. Raises CorpusError for another format than a build writes."""
    data = (picture or {}).get("bytes") or b""
    for start, word in _STARTS:
        if data.startswith(start):
            return word
    raise CorpusError(f"{corpus.place.path('')}: a picture of sample {name} is no JPEG, PNG or WebP; see `mmidd verify`")


def class_of(row: Mapping[str, Any], name: str) -> str | None:
    """The name of a row's class; None where it has none that the schema knows."""
    value, classes = row[name], BY_NAME[name].classes
    return classes[value] if value is not None and 0 <= value < len(classes) else None


def label_of(corpus: Corpus, row: Mapping[str, Any]) -> str:
    """real or fake. Raises CorpusError for a row that says neither, which no build writes."""
    label = class_of(row, "label")
    if label is None:
        raise CorpusError(f"{corpus.place.path('')}: sample {row['id']} is neither real nor fake; see `mmidd verify`")
    return label


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """All columns but the pictures: classes by name, null where JSON has no word for a number."""
    return {column.name: _value(row, column) for column in TOLD}


def finite(value: Any) -> Any:
    """A value without the numbers that JSON has no word for."""
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(row: Mapping[str, Any], column: Column) -> Any:
    return class_of(row, column.name) if column.classes else finite(row[column.name])


def is_text(column: Column) -> bool:
    """Is it told as a text?"""
    return bool(column.classes) or column.type == pa.string()
