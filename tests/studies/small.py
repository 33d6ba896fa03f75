"""A corpus that can be studied: two datasets, each with all splits, persons with a real clip and a fake of it, and a media
table; another one of a third dataset; and a detector of a few weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import made
from runs import corpora, toy

from mmidd.corpus.read import Corpus
from mmidd.registry import Registry, Row
from mmidd.runs.data import Selection
from mmidd.runs.train import Trained, train
from mmidd.schema import FORGERY_TYPES, LABELS, media_schema, sample_id

SHARDS = tuple(f"{split}-{slug}" for slug in ("alpha", "beta") for split in ("train", "validation", "test"))
DETECTORS: Registry[None] = Registry(
    "reference detector", "mmidd.nothing", "TOY", tuple(Row(name, "runs.toy", "a toy", None) for name in ("toy", "other"))
)
Change = Callable[[str, list[dict[str, Any]]], None]


def corpus(folder: Path, change: Change | None = None, shards: tuple[str, ...] = SHARDS) -> Path:
    """Write it; `change` alters the rows of a shard."""

    def all_of_it(shard: str, rows: list[dict[str, Any]]) -> None:
        corpora._change(shard, rows)
        for row in rows:
            real = row["media"].replace("-fake", "")
            row["media_sha256"] = hashlib.sha256(row["media"].encode()).hexdigest()
            row["pair"] = sample_id(row["dataset"], real, row["frame"], 0) if row["label"] else None
            row["pair_media"] = real if row["label"] else None
            row["phash"] = row["target_id"] = None
        if change is not None:
            change(shard, rows)

    made.corpus(folder, all_of_it, shards, 64)
    columns = ["dataset", "media", "label", "forgery_type", "method", "group", "target_id", "attack"]
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for row in Corpus(folder).rows(columns).to_pylist():
        medium = kept.setdefault((row["dataset"], row["media"]), {**row, "samples": 0, "split": row["media"].split("-")[0]})
        medium["samples"] += 1
    table = pa.Table.from_pylist([_listed(each) for _, each in sorted(kept.items())], media_schema())
    pq.write_table(table, folder / "media.parquet")
    about = made.about(folder)
    about["files"]["media.parquet"] = made.listed(folder / "media.parquet")
    made.sign(folder, about)
    return folder


DOMAINS = tuple(f"{split}-{slug}" for slug in ("alpha", "beta", "gamma") for split in ("train", "validation", "test"))
INSTRUMENTS = (("printer", "print"), ("phone", "replay"), ("mask", "mask3d"))


def attacks(folder: Path, twins: bool = False) -> Path:
    """A corpus of presentation attacks: three datasets, in each three instruments, each person attacked with one. `twins`:
    train of two datasets has a file that is the same."""

    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            person = int(Path(row["media"].replace("-fake", "")).stem)
            method, family = INSTRUMENTS[person % len(INSTRUMENTS)]
            row["target_id"] = f"{shard}-{person}"
            row["pair"] = row["pair_media"] = None
            if row["label"]:
                row |= {"method": f"{row['dataset']} {method}", "attack": family, "forgery_type": None}
            elif twins and shard.startswith("train") and person == 0:
                row["media_sha256"] = "a" * 64

    return corpus(folder, change, DOMAINS)


def further(folder: Path) -> Path:
    """A corpus of another dataset, with a test split."""
    return corpus(folder, shards=("test-gamma",))


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    kind = row["forgery_type"]
    told = {"label": LABELS[row["label"]], "forgery_type": None if kind is None else FORGERY_TYPES[kind], "outcome": "ok"}
    frames = {"frames_planned": row["samples"], "frames_ok": row["samples"], "frames_dropped": 0, "frames_failed": 0}
    return row | told | frames | {"frame_reasons": []}


def trained(detector: str, corpus: Corpus, out: Path, **more: Any) -> Trained:
    """As `mmidd.reference.train`, of the toy."""
    selection = Selection(**{name: more.pop(name) for name in ("only", "where", "fraction", "paired", "holdout")})
    return train(toy.TOY, detector, corpus, out, selection=selection, **more)
