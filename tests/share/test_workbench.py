"""Deepfake Workbench's score files: as its contract C5 says, read by a reader that is written from it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.schema import media_schema
from mmidd.share.export.run import export

REQUIRED = {"dataset", "key", "compression", "label", "score", "status"}
OPTIONAL = {"logit", "label_key", "method", "n_clips", "n_frames"}


def _read(path: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Rows and meta of a score file; fails where the contract is broken."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = set(rows[0])
    assert columns >= REQUIRED and all(name.startswith("x_") for name in columns - REQUIRED - OPTIONAL)
    assert len({(row["dataset"], row["key"], row["compression"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["status"] in ("ok", "missing", "error") and (row["status"] == "ok") == (row["score"] != "")
        assert row["label"] in ("0", "1")
    meta = json.loads(path.with_name(path.name.removesuffix(".csv") + ".meta.json").read_bytes())
    assert meta["schema"] == "dfwb.scores/1" and meta["labels"] == "binary"
    assert {"name", "version", "source", "contract_version"} == set(meta["detector"])
    assert set(meta["protocol"]) == {"id", "split", "where", "pack", "pack_version", "scheme_sha256"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+", meta["protocol"]["id"])
    assert meta["coverage"] == {"expected": len(rows), "ok": 0, "missing": len(rows), "error": 0}
    known = {"schema", "detector", "protocol", "labels", "coverage", "env", "created"}
    assert set(meta) == known and all(value is None or isinstance(value, str) for value in meta["env"].values())
    return rows, meta


def test_every_video_of_a_split_has_a_row_with_its_label_and_frames(tmp_path: Path) -> None:
    corpus = Corpus(made.corpus(tmp_path / "corpus"))
    export(corpus, "workbench", tmp_path / "out")
    names = {"test-gamma": "gamma-test", "train-alpha": "alpha-train", "train-beta": "beta-train"}
    for shard, name in {**names, "validation-beta": "beta-val"}.items():
        rows, meta = _read(tmp_path / "out" / f"{name}.scores.csv")
        written = {row["media"]: row for row in (made.row(shard, number) for number in range(made.ROWS))}
        assert [row["key"] for row in rows] == sorted(written) and meta["protocol"]["split"] == name.split("-")[1]
        for row in rows:
            of = written[row["key"]]
            assert (int(row["label"]), row["method"], row["n_frames"]) == (of["label"], of["method"] or "", "1")
            assert row["x_group"] == of["group"] and row["label_key"] == (
                "" if of["frame"] == 5 else ["REAL", "FS"][of["label"]]
            )
    lines = sorted(f"{made.row(s, n)['media']}\t\t{w}\n" for s, w in (("train-beta", "train"), ("validation-beta", "val"))
                   for n in range(made.ROWS))  # fmt: skip
    schemes = {
        _read(tmp_path / "out" / f"beta-{word}.scores.csv")[1]["protocol"]["scheme_sha256"] for word in ("train", "val")
    }
    assert schemes == {hashlib.sha256("".join(lines).encode()).hexdigest()}


def test_videos_that_became_no_sample_are_rows_too_but_not_those_that_were_never_looked_at(tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["media"] = f"{shard}/clip{row['label']}.mp4"

    folder = made.corpus(tmp_path / "corpus", change)
    lost = {"dataset": "Alpha", "split": "train", "label": "fake", "forgery_type": "FS", "frames_planned": 8, "samples": 0}
    media = [
        lost | {"media": "no_face.mp4", "compression": "c23"},
        lost | {"media": "other.mp4", "frames_planned": None},
        lost | {"media": "elsewhere.mp4", "split": "test"},
        lost | {"media": "train-alpha/clip1.mp4", "samples": 3, "compression": "c40"},
    ]
    pq.write_table(pa.Table.from_pylist(media, media_schema()), folder / "media.parquet")
    about = made.about(folder)
    about["files"]["media.parquet"] = made.listed(folder / "media.parquet")
    made.sign(folder, about)
    export(Corpus(folder), "workbench", tmp_path / "out")
    rows, _ = _read(tmp_path / "out" / "alpha-train.scores.csv")
    assert [(row["key"], row["label"], row["compression"], row["n_frames"]) for row in rows] == [
        ("no_face.mp4", "1", "c23", "0"),
        ("train-alpha/clip0.mp4", "0", "", "4"),
        ("train-alpha/clip1.mp4", "1", "c40", "3"),
    ]
