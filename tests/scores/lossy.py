"""A corpus that lost media in every way: the training corpus with a media table that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import made
from training import corpora

from mmidd.corpus.read import Corpus
from mmidd.schema import FORGERY_TYPES, LABELS, media_schema

MEDIA = corpora.PERSONS * 3 + 1
"""Of each split with one shard, whole images included."""
TOMORROW = "a reason of tomorrow"
LOST = 7
"""Media of the test split that are named and gave no sample."""
LOST_FRAMES = {"pair_short": 1, "no_face": 3 + 2 + 1 + 1 + 1, "file_cut_off": 1, "TimeLimit": 1, TOMORROW: 4 + 2}
"""Of the test split: frames by reason; two have their medium's, and of three media nothing else is known."""


def corpus(folder: Path) -> Path:
    """Write it. The lost are all of Gamma, which is the test split."""
    corpora.corpus(folder)
    rows = Corpus(folder).rows(["dataset", "media", "label", "forgery_type", "method", "group"])
    splits = {shard.split("-")[1]: shard.split("-")[0] for shard in made.SHARDS}
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows.to_pylist():
        medium = kept.setdefault((row["dataset"], row["media"]), {**row, "samples": 0, "split": row["media"].split("-")[0]})
        medium["samples"] += 1
    media = [_listed(each) for each in kept.values()]
    first = next(each for each in media if each["dataset"] == "Gamma" and each["label"] == "fake")
    first |= {"frame_reasons": [{"reason": "no_face", "count": 1}, {"reason": "exact_duplicate", "count": 2}]}
    first |= {"frames_planned": 7, "frames_ok": 6, "frames_dropped": 1}
    media += [_lost(**each) for each in _LOST]
    table = pa.Table.from_pylist(sorted(media, key=lambda each: (each["dataset"], each["media"])), media_schema())
    pq.write_table(table, folder / "media.parquet")
    about = made.about(folder)
    about["files"]["media.parquet"] = made.listed(folder / "media.parquet")
    about["index"] |= {"Delta": {"slug": "delta", "media": 1, "refused": 0}}
    made.sign(folder, about)
    assert set(splits) == {"alpha", "beta", "gamma"}
    return folder


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    kind = row["forgery_type"]
    told = {"label": LABELS[row["label"]], "forgery_type": None if kind is None else FORGERY_TYPES[kind], "outcome": "ok"}
    frames = {"frames_planned": row["samples"], "frames_ok": row["samples"], "frames_dropped": 0, "frames_failed": 0}
    return row | told | frames | {"compression": "c23" if row["dataset"] == "Gamma" else None, "frame_reasons": []}


def _lost(
    media: str, outcome: str, reasons: dict[str, int] | None = None, planned: int | None = None, **told: Any
) -> dict[str, Any]:
    failed = {"frames_planned": planned, "frames_ok": 0 if planned else None, "frames_failed": 0 if planned else None}
    failed["frames_dropped"] = planned
    row = {"dataset": "Gamma", "media": media, "label": "fake", "split": "test", "outcome": outcome, "samples": 0}
    listed = [{"reason": reason, "count": count} for reason, count in (reasons or {}).items()]
    return row | failed | {"group": f"Gamma/{media}", "frame_reasons": listed} | told


_FOUR = {"no_face": 3, "file_cut_off": 1}
_HALF = {"pair_short": 3, "no_face": 1}
_TWIN = {"exact_duplicate": 2, "no_face": 2}
_LOST: tuple[dict[str, Any], ...] = (
    {"media": "no-face.mp4", "outcome": "dropped", "reason": "no_face", "reasons": _FOUR, "planned": 4},
    {"media": "slow.mp4", "outcome": "failed", "error": "TimeLimit", "group": None, "forgery_type": "FS"},
    {"media": "tomorrow.mp4", "outcome": "dropped", "reason": TOMORROW, "reasons": {TOMORROW: 4}, "planned": 6},
    {"media": "twin.mp4", "outcome": "dropped", "reason": "exact_duplicate", "reasons": _TWIN},
    {"media": "unlisted.mp4", "outcome": "dropped", "reason": "no_face", "dataset": "Delta", "group": None, "label": "real"},
    {"media": "short.mp4", "outcome": "dropped", "reason": "pair_short", "reasons": {"pair_short": 4}, "planned": 4},
    {"media": "half.mp4", "outcome": "dropped", "reason": "no_face", "reasons": _HALF, "planned": 4},
    # not named: by decision, or in no split
    {"media": "double.mp4", "outcome": "dropped", "reason": "exact_duplicate", "reasons": {"exact_duplicate": 2}},
    {"media": "conflict.mp4", "outcome": "dropped", "reason": "label_conflict", "reasons": {"label_conflict": 1}},
    {"media": "c40.mp4", "outcome": "dropped", "reason": "other_compression"},
    {"media": "down.mp4", "outcome": "dropped", "reason": "excluded"},
    {"media": "leak.mp4", "outcome": "dropped", "reason": "official_test_leak", "split": None, "reasons": {}},
    {"media": "notes.mp4", "outcome": "failed", "error": "Unlabelled", "split": None, "label": None},
    {"media": "of-train.mp4", "outcome": "failed", "error": "UnreadableMedia", "split": "train"},
)  # fmt: skip

LEFT_OUT = {
    "Unlabelled, in no split": 1, "exact_duplicate, samples": 2 + 2 + 2, "excluded": 1, "label_conflict, samples": 1,
    "official_test_leak, in no split": 1, "other_compression": 1, "pair_short, frames": 4 + 3,
}  # fmt: skip
