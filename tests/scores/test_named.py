"""What splits name: every sample and every loss once; what the builder decided to leave out is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from corpus import made
from once import Once
from training import corpora

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.scores.file import SCHEMA
from mmidd.scores.named import NAMED, digest, left_out, named
from scores import lossy


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("scores-lossy", lossy.corpus))


@pytest.fixture(scope="module")
def table(corpus: Corpus) -> pa.Table:
    return named(corpus, ["test"])


def of(table: pa.Table, level: str, media: str | None = None) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["level"] == level and media in (None, row["media"])]


def test_every_sample_of_the_split_is_named_with_its_number(corpus: Corpus, table: pa.Table) -> None:
    frames = [row for row in of(table, "frame") if row["status"] == "ok"]
    told = corpus.take([row["row"] for row in frames], ["id", "dataset", "media", "frame", "face"]).to_pylist()
    assert told == [{name: row[name] for name in ("id", "dataset", "media", "frame", "face")} for row in frames]
    assert len({row["row"] for row in frames}) == corpus.splits["test"] == corpora.ROWS


def test_every_lost_frame_is_named_with_its_reason_and_nothing_else_is(table: pa.Table) -> None:
    lost = [row for row in of(table, "frame") if row["status"] == "missing"]
    assert Counter(row["reason"] for row in lost) == lossy.LOST_FRAMES
    assert all(row["row"] is row["id"] is row["frame"] is row["face"] is None for row in lost)
    assert len(of(table, "clip")) == lossy.MEDIA + lossy.LOST


@pytest.mark.parametrize(
    ("media", "reason", "frames"),
    [
        ("no-face.mp4", "no_face", 4),
        ("slow.mp4", "TimeLimit", 1),
        ("tomorrow.mp4", "a reason of tomorrow", 6),
        ("twin.mp4", "no_face", 2),
        ("unlisted.mp4", "no_face", 1),
    ],
)
def test_a_medium_without_any_sample_is_a_missing_clip(table: pa.Table, media: str, reason: str, frames: int) -> None:
    (clip,) = of(table, "clip", media)
    assert (clip["status"], clip["reason"], clip["frames_named"], clip["row"]) == ("missing", reason, frames, None)
    assert len(of(table, "frame", media)) == frames
    assert clip["group"] == f"{clip['dataset']}/{media}"


@pytest.mark.parametrize(
    "media", ["double.mp4", "conflict.mp4", "c40.mp4", "down.mp4", "leak.mp4", "notes.mp4", "of-train.mp4"]
)
def test_what_the_builder_left_out_is_not_named(table: pa.Table, media: str) -> None:
    assert not of(table, "clip", media) and not of(table, "frame", media)


def test_what_is_left_out_is_counted(corpus: Corpus) -> None:
    assert left_out(corpus, ["test"]) == lossy.LEFT_OUT
    assert left_out(corpus, ["test"], ["delta"]) == {}


def test_clips_say_what_their_medium_says(table: pa.Table) -> None:
    clips = [row for row in of(table, "clip") if row["status"] == "ok"]
    assert {row["compression"] for row in clips} == {"c23"} and {row["forgery_type"] for row in clips} == {
        "REAL",
        "FS",
        "FE",
    }
    assert {row["label"] for row in clips} == {"real", "fake"} and all(row["id"] is None for row in clips)
    whole = next(row for row in clips if row["media"].endswith("whole.png"))
    assert whole["group"] == f"Gamma/{whole['media']}", "a medium without a group is its own"
    lossy_clip = next(row for row in clips if row["frames_named"] > corpora.FRAMES)
    assert lossy_clip["frames_named"] == corpora.FRAMES + 1 and lossy_clip["reason"] is None


def test_rows_are_in_the_order_of_a_score_file(corpus: Corpus) -> None:
    table = named(corpus, ["test", "train"])
    assert table.schema.equals(NAMED) and set(NAMED.names) == set(SCHEMA.names) - {"score", "types", "frames"} | {"row"}
    order = [
        (r["level"] == "clip", r["split"], r["dataset"], r["media"], r["frame"] is None, r["frame"] or 0)
        for r in table.to_pylist()
    ]
    assert order == sorted(order)
    assert named(corpus, ["train", "test", "test"]).equals(table)


def test_a_corpus_without_a_media_table_names_its_rows(once: Once) -> None:
    corpus = Corpus(once("training", corpora.corpus))
    table = named(corpus, ["test"])
    assert Counter(table["status"].to_pylist()) == {"ok": corpora.ROWS + lossy.MEDIA}


@pytest.mark.parametrize("only", [["Gamma"], ["gamma"], ["Gamma", "gamma"]])
def test_only_some_datasets_are_named(corpus: Corpus, only: list[str]) -> None:
    assert set(named(corpus, ["test"], only)["dataset"].to_pylist()) == {"Gamma"}


def test_a_dataset_of_which_all_is_lost_is_named(corpus: Corpus) -> None:
    table = named(corpus, ["test"], ["Delta"])
    assert [(row["level"], row["status"]) for row in table.to_pylist()] == [("frame", "missing"), ("clip", "missing")]


@pytest.mark.parametrize(
    ("splits", "only", "said"),
    [
        (["tset"], [], "test"),
        ([], [], "no split"),
        ("test", [], "list"),
        (["test"], ["Gama"], "Gamma"),
        (["test"], "Gamma", "list"),
        (["validation"], ["Delta"], "no medium in validation of Delta"),
    ],
)
def test_what_is_not_there_cannot_be_named(corpus: Corpus, splits: Any, only: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        named(corpus, splits, only)


def test_a_part_of_a_corpus_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ScoreError, match="part of a corpus"):
        named(corpus.part("test"), ["test"])


def _relist(folder: Path, change: Any) -> Corpus:
    path = lossy.corpus(folder) / "media.parquet"
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)
    about = made.about(folder)
    about["files"]["media.parquet"] = made.listed(path)
    made.sign(folder, about)
    return Corpus(folder)


def _set(**told: Any) -> Any:
    return lambda rows: next(r for r in rows if r["dataset"] == "Gamma" and r["samples"]).update(told)


def _other_label(rows: Any) -> None:
    mine = next(r for r in rows if r["dataset"] == "Gamma" and r["samples"])
    mine["label"] = "real" if mine["label"] == "fake" else "fake"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set(samples=99), "media have other rows than the media table counts"),
        (_set(label=None), "1 media of the splits have no label"),
        (_set(frame_reasons=[{"reason": "no_face", "count": -1}]), "lost frames that no medium has"),
        (_set(frame_reasons=[{"reason": "no_face", "count": 2_000_000_000}]), "lost frames that no medium has"),
        (lambda rows: rows.append(rows[-1]), "twice"),
        (_other_label, "rows have another label than their media"),
    ],
    ids=["other samples", "no label", "less than none", "too many", "twice", "other label"],
)
def test_a_media_table_that_belies_the_rows_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        named(_relist(tmp_path / "corpus", change), ["test"])


def test_rows_without_a_label_are_refused(tmp_path: Path) -> None:
    corpus = made.corpus(tmp_path / "corpus", lambda shard, rows: rows[0].update(label=None))
    with pytest.raises(ScoreError, match="1 rows name no dataset, medium or label"):
        named(Corpus(corpus), ["test"])


def test_a_digest_names_what_is_named_and_not_what_became_of_it(corpus: Corpus, table: pa.Table) -> None:
    other = table.set_column(
        table.schema.get_field_index("status"), "status", pc.if_else(True, pa.scalar("error"), table["status"])
    )
    assert digest(other) == digest(table) and len(digest(table)) == 16
    assert digest(named(corpus, ["train"])) != digest(table) != digest(table.slice(1))
    labels = table.set_column(table.schema.get_field_index("label"), "label", pa.array(["real"] * len(table)))
    assert digest(labels) != digest(table)
