"""Which methods of a corpus are presentation attacks: instruments, each of a family."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus

Instruments = Mapping[tuple[str, str | None], str]
"""The family of each instrument, by its dataset and method: what an attack is made with."""
_AT_ONCE = 1 << 16


def instruments(corpus: Corpus) -> Instruments:
    """By the rows' columns; empty where the corpus has no attack. A lost clip is known by its method, so of all splits."""
    if not any(batch["attack"].null_count < len(batch) for _, batch in corpus.batches(["attack"], _AT_ONCE)):
        return {}
    found = dict[tuple[str, str | None], str]()
    for _, batch in corpus.batches(["dataset", "method", "attack"], _AT_ONCE):
        rows = pa.Table.from_batches([batch]).filter(pc.is_valid(batch["attack"]))
        each = rows.group_by(["dataset", "method", "attack"], use_threads=False).aggregate([])
        for row in each.to_pylist():
            found.setdefault((row["dataset"], row["method"]), row["attack"])
    return found
