"""The layout of a publication: a folder or a dataset repository, and `publication.json`, which says all of it.

    publication.json             what this is, sealed with its own digest; lists every other file
    README.md CHANGELOG.md CITATION.cff croissant.json LICENSES.md
    data/SPLIT-DATASET-N-of-M    shards with pixels, byte for byte those of the corpus: of datasets that allow it
    labels/SPLIT-DATASET-N-of-M  every shard of the corpus, without pixels, with proofs of them: the same rows, in order
    media.parquet                the corpus's media table
    mmidd.json                   only where every dataset has its pixels: then the publication is itself a corpus
    corpus/mmidd.json README.md  the corpus's own, so that rehydration ends in the same folder, byte for byte

`labels/` is there unless every dataset has its pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from mmidd.corpus.about import PUBLICATION as PUBLICATION
from mmidd.corpus.about import Listed
from mmidd.schema import COLUMNS, SCHEMA_VERSION, features

FORMAT = 1
LABELS, DATA, ORIGINAL = "labels", "data", "corpus"
MOST_BYTES = 32 << 20
"""Of `publication.json`."""

Redaction = Literal["identities", "paths", "captions"]

PROOF_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("image_bytes", pa.int64(), "bytes of the encoded crop"),
    ("image_sha256", pa.string(), "digest of the encoded crop"),
    ("pixels_sha256", pa.string(), "digest of the crop's pixels (mmidd.share.publication.proofs.pixels_sha256)"),
    ("probes", pa.binary(), "remainders of 256 of the crop's values: how far a crop made again is from it"),
    ("mask_sha256", pa.string(), "digest of the encoded mask; null where there is none"),
    ("mask_pixels_sha256", pa.string(), "digest of the mask's pixels, as RGB"),
)
"""What a row of `labels/` has beside the columns of the corpus, in place of `image` and `mask`."""
PIXELS = ("image", "mask")


def labels_schema() -> pa.Schema:
    """Of every file in `labels/`: the corpus's columns but `image` and `mask`, then the proofs."""
    columns = [pa.field(column.name, column.type) for column in COLUMNS if column.name not in PIXELS]
    told = features(without=PIXELS) | {name: {"dtype": str(kind), "_type": "Value"} for name, kind, _ in PROOF_COLUMNS}
    return pa.schema(
        [*columns, *(pa.field(name, kind) for name, kind, _ in PROOF_COLUMNS)],
        metadata={
            "huggingface": json.dumps({"info": {"features": told}}),
            "mmidd.schema_version": str(SCHEMA_VERSION),
            "mmidd.publication_format": str(FORMAT),
        },
    )


def labels_name(shard: str) -> str:
    """`labels/...` of `data/...`."""
    return f"{LABELS}/{shard.removeprefix(f'{DATA}/')}"


def data_name(name: str) -> str:
    """The shard of the corpus, `data/...`, that a file with rows has the rows of."""
    return f"{DATA}/{name.rpartition('/')[2]}"


@dataclass(frozen=True)
class Terms:
    """What is published of a dataset, and why: its licence as its manifest states it (`redistributable` None: no manifest
    says it, so it is forbidden)."""

    dataset: str
    slug: str
    licence: str
    url: str
    redistributable: bool | None
    pixels: bool
    masks: bool
    captions: bool
    why: str


@dataclass(frozen=True)
class Publication:
    """`publication.json`. `corpus`: the corpus's `mmidd.json`; `files`: all others by name, with rows for shards. `version`
    counts the publications of this name from 1; `changes` is this version's part of the changelog."""

    name: str
    version: int
    mmidd: str
    corpus: Mapping[str, Any]
    terms: Sequence[Terms]
    redacted: Sequence[Redaction]
    files: Mapping[str, Listed]
    rows: Mapping[str, Mapping[str, int]]
    """Rows by dataset and split, with pixels or without."""
    changes: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def complete(self) -> bool:
        """Has every dataset its pixels?"""
        return all(each.pixels for each in self.terms)
