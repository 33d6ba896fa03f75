"""Tar files as WebDataset reads them: the files of a sample stand together and share what their names begin with, its id.

    train-celeba-000000.tar:  ID.jpg (png, webp)  ID.mask.png (where there is one)  ID.cls  ID.json

`cls` is 0 for real and 1 for fake, as text; rows without a label have none. `json` holds all other columns, classes by name.
A tar holds about a gigabyte, and 10,000 samples at most; how many, the corpus's own list of files decides.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from mmidd.corpus.read import Corpus
from mmidd.share.export.protocol import Exporter, Sink
from mmidd.share.export.rows import class_of, ending, told, walk_parts

_MOST_SAMPLES, _BYTES = 10_000, 10**9
_END = bytes(2 * tarfile.BLOCKSIZE)


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """Every row as files of a tar. No column is left out."""
    for split, slug, part, start, rows in walk_parts(corpus, sink):
        each = samples_of_a_tar(len(part), sum(shard.bytes for shard in part.shards))
        for number, row in enumerate(rows, start):
            name = f"{split}-{slug}-{number // each:06d}.tar"
            sink.add(name, b"".join(_members(corpus, row)))
            if (number + 1) % each == 0 or number + 1 == len(part):
                sink.add(name, _END)
                sink.end(name)
    return ()


def samples_of_a_tar(rows: int, size: int) -> int:
    """How many of so many rows, which take so many bytes, make a tar."""
    return max(1, min(_MOST_SAMPLES, rows * _BYTES // max(1, size)))


def _members(corpus: Corpus, row: Mapping[str, Any]) -> Iterator[bytes]:
    name, label = row["id"], class_of(row, "label")
    yield from _member(f"{name}.{ending(corpus, name, row['image'])}", row["image"]["bytes"])
    if row["mask"] is not None:
        yield from _member(f"{name}.mask.{ending(corpus, name, row['mask'])}", row["mask"]["bytes"])
    if label is not None:
        yield from _member(f"{name}.cls", str(row["label"]).encode())
    yield from _member(f"{name}.json", json.dumps(told(row), allow_nan=False).encode())


def _member(name: str, data: bytes) -> Iterator[bytes]:
    """A file of a tar, of nobody and no time: the same bytes whenever and by whomever it is written."""
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(data), 0o644
    yield about.tobuf(tarfile.USTAR_FORMAT)
    yield data
    yield bytes(-len(data) % tarfile.BLOCKSIZE)


EXPORTER = Exporter(layout)
