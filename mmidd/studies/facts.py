"""What a corpus holds that decides which runs can be: rows of each class by split and dataset, pairs. No pixel, no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus

CLASSES = ("real", "fake")
_TEXTS = ("face_caption", "environment_caption")
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Rows:
    """Rows of a dataset (by slug) in a split, of each class."""

    split: str
    dataset: str
    real: int
    fake: int


@dataclass(frozen=True)
class Attacks:
    """Rows of a dataset (by slug) in a split with an instrument (`method`) of a family (`attack`)."""

    split: str
    dataset: str
    method: str
    attack: str
    rows: int


@dataclass(frozen=True)
class Facts:
    """`names`: of slugs. `pairs`: fakes of train whose real is there, frame for frame. `empty`: columns of train that
    detectors may need and that hold nothing at all. `attacks`: presentation attacks; one whose instrument is not told is in
    none. `methods`: of all splits."""

    corpus: str
    digest: str
    rows: tuple[Rows, ...]
    names: tuple[tuple[str, str], ...] = ()
    pairs: int = 0
    empty: tuple[str, ...] = ()
    attacks: tuple[Attacks, ...] = ()
    methods: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The slugs of those that train has."""
        return tuple(sorted({each.dataset for each in self.rows if each.split == "train"}))

    def name(self, slug: str) -> str:
        return dict(self.names).get(slug, slug)

    def count(self, splits: Sequence[str]) -> int:
        return sum(each.real + each.fake for each in self.rows if each.split in splits)

    def has(self, split: str, dataset: str) -> bool:
        return any(each.split == split and each.dataset == dataset for each in self.rows)

    def missing(self, splits: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """The classes of which there is no row."""
        mine = [each for each in self.rows if each.split in splits and each.dataset in datasets]
        return [name for name in CLASSES if not sum(getattr(each, name) for each in mine)]


def facts_of(corpus: Corpus) -> Facts:
    """Read from columns, file by file. Raises CorpusError for a damaged one."""
    counts: dict[tuple[str, str], list[int]] = {}
    ids: list[pa.Array] = []
    pairs: list[pa.Array] = []
    filled, methods = set[str](), set[str]()
    attacks = Counter[tuple[str, str, str, str]]()
    slugs = {about.slug: name for name, about in corpus.about.datasets.items() if about.slug}
    for shard in dict.fromkeys((each.split, each.dataset) for each in corpus.shards):
        found = counts.setdefault(shard, [0, 0])
        columns = ["label", "method", "attack", *(("id", "pair", "forgery_type", *_TEXTS) if shard[0] == "train" else ())]
        for _, batch in corpus.part(*shard).batches(columns, _AT_ONCE):
            fakes = int(pc.sum(pc.equal(batch["label"], 1)).as_py() or 0)
            found[0] += len(batch) - fakes
            found[1] += fakes
            methods |= set(batch["method"].unique().drop_null().to_pylist())
            if batch["attack"].null_count < len(batch):
                for row, count in _counted(batch):
                    attacks[(*shard, *row)] += count
            if shard[0] == "train":
                ids.append(batch["id"])
                pairs.append(batch["pair"].drop_null())
                filled |= {name for name in _TEXTS if _holds(batch[name])}
                filled |= {"forgery_type"} if _holds(batch["forgery_type"].filter(pc.equal(batch["label"], 1))) else set()
    train = pa.chunked_array(ids, pa.string())
    paired = pc.sum(pc.is_in(pa.chunked_array(pairs, pa.string()), value_set=train.combine_chunks())).as_py() or 0
    rows = tuple(Rows(split, dataset, *of) for (split, dataset), of in sorted(counts.items()))
    empty = tuple(name for name in ("forgery_type", *_TEXTS) if name not in filled) if ids else ()
    told = tuple(Attacks(*each, count) for each, count in sorted(attacks.items()))
    names = tuple(sorted(slugs.items()))
    return Facts(corpus.name, corpus.digest, rows, names, int(paired), empty, told, tuple(sorted(methods)))


def _counted(batch: pa.RecordBatch) -> list[tuple[tuple[str, str], int]]:
    """How many rows each instrument and family have."""
    rows = pa.Table.from_batches([batch.select(["method", "attack"])]).drop_null()
    found = rows.group_by(["method", "attack"], use_threads=False).aggregate([([], "count_all")])
    return [((each["method"], each["attack"]), each["count_all"]) for each in found.to_pylist()]


def _holds(column: pa.Array) -> bool:
    """Is there a value that is neither null nor an empty text?"""
    kept = column.drop_null()
    return bool(pc.any(pc.not_equal(kept, "")).as_py()) if pa.types.is_string(kept.type) else len(kept) > 0
