"""The rows of a publication's labels, as what is to be made of each. They came from outside."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.about import Shard
from mmidd.errors import ShareError
from mmidd.extraction.replay import Stored
from mmidd.media import Name
from mmidd.schema import COLUMNS, sample_id
from mmidd.share.publication.format import PIXELS, data_name, labels_schema
from mmidd.share.publication.opened import Opened
from mmidd.share.publication.proofs import PROBE_BYTES, Proof
from mmidd.share.rehydrate.compared import Proofs
from mmidd.share.rehydrate.cutting import Row

LIGHT = pa.schema([(column.name, column.type) for column in COLUMNS if column.name not in PIXELS])
"""The columns of a corpus but those of its pixels."""
_NEEDED = (
    "id", "dataset", "media", "frame", "width", "height", "image_bytes", "image_sha256", "pixels_sha256", "probes",
)  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """The rows of a shard: the columns of `labels_schema`."""

    name: str
    table: pa.Table

    @property
    def light(self) -> pa.Table:
        """The corpus's columns but the pixels."""
        return self.table.select(LIGHT.names)

    def media(self, shard: int) -> dict[Name, list[Row]]:
        """The rows by medium, in the order in which media begin; the shard is the one of this number."""
        columns = [self.table[name].to_pylist() for name in _ROW]
        found: dict[Name, list[Row]] = {}
        for number, (dataset, media, frame, width, height, transform, *proofs) in enumerate(zip(*columns, strict=True)):
            size, sha256, pixels, probes, mask, mask_pixels, sample = proofs
            stored = Stored(frame, width, height, None if transform is None else tuple(transform), mask is not None)
            marked = None if mask is None else (mask, mask_pixels)
            row = Row((shard, number), stored, Proofs(sample, Proof(size, sha256, pixels, probes), marked))
            found.setdefault((dataset, media), []).append(row)
        return found


_ROW = (
    "dataset", "media", "frame", "width", "height", "transform", "image_bytes", "image_sha256", "pixels_sha256", "probes",
    "mask_sha256", "mask_pixels_sha256", "id",
)  # fmt: skip


def read_labels(opened: Opened, shard: Shard) -> Labels:
    """One of the `shards` of a publication: its labels, or of a complete one its columns but the pixels. Raises CorpusError
    for a file that is damaged, ShareError for rows that no publication has."""
    names = LIGHT.names if opened.complete else labels_schema().names
    schema = pa.schema([opened.schema.field(name) for name in names])
    table = pa.Table.from_batches(list(opened.batches(shard, names)), schema)
    own = {each.slug: each.dataset for each in opened.about.terms}.get(shard.dataset)
    if any(each != own for each in pc.unique(table["dataset"]).to_pylist()):
        raise ShareError(f"{opened.place.path(shard.name)} has rows of another dataset than {shard.dataset}; it is damaged")
    places = zip(*(table[name].to_pylist() for name in ("id", "dataset", "media", "frame", "face")), strict=True)
    if any(name != sample_id(*place) for name, *place in places):
        raise ShareError(f"{opened.place.path(shard.name)} has an id that is not that of its row; it is damaged")
    if not opened.complete:
        lacking = [each for each in _NEEDED if table[each].null_count]
        odd = pc.any(pc.not_equal(pc.binary_length(table["probes"]), PROBE_BYTES), min_count=0).as_py()
        if lacking or odd or pc.any(pc.less(table["frame"], 0), min_count=0).as_py():
            what = lacking[0] if lacking else "proof"
            raise ShareError(f"{opened.place.path(shard.name)} has rows without a sound {what}; it is damaged")
    return Labels(data_name(shard.name), table)


def check_ids(opened: Opened) -> None:
    """Raises ShareError where an id stands twice, or a pair is no row: `mmidd verify` would not pass what is made of it."""
    table = opened.rows(["id", "pair"])
    twice = pc.value_counts(table["id"])
    twice = twice.filter(pc.greater(twice.field("counts"), 1))
    pairs = table["pair"].drop_null()
    strange = pairs.filter(pc.invert(pc.is_in(pairs, table["id"])))
    for found, what in ((twice.field("values"), "more than one row of the id"), (strange, "a pair that is no row,")):
        if len(found):
            raise ShareError(
                f"{opened.place.path('')} has {what} {str(found[0])[:80]!r}; it is damaged, or was made by hand"
            )


def names(opened: Opened, shard: Shard) -> list[tuple[str, str, str]]:
    """(id, dataset, media) of each row of one of the `shards` of a publication."""
    return [name for batch in opened.batches(shard, ("id", "dataset", "media")) for name in names_of(batch)]


def names_of(table: pa.Table | pa.RecordBatch) -> list[tuple[str, str, str]]:
    """(id, dataset, media) of each row."""
    return list(zip(*(table[name].to_pylist() for name in ("id", "dataset", "media")), strict=True))
