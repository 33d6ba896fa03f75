"""Which methods of a corpus are instruments of presentation attacks, each of a family."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.compute as pc

from mmidd.corpus.about import MEDIA
from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.read import Corpus

Instruments = Mapping[tuple[str, str | None], str]
"""The family of each instrument, by its dataset and method."""


def instruments(corpus: Corpus) -> Instruments:
    """By the media table, so that one of which every clip was lost is known too; empty where there is no attack."""
    with open_parquet(corpus.place, MEDIA) as file:
        if "attack" not in file.schema.names:  # as in every corpus without one: the table need not be read
            return {}
    media = corpus.media
    attacks = media.filter(pc.is_valid(media["attack"]))
    each = attacks.group_by(["dataset", "method", "attack"], use_threads=False).aggregate([])
    return {(row["dataset"], row["method"]): row["attack"] for row in each.to_pylist()}
