"""Scores made elsewhere: matched by what names them, read as what they are, and refused where either is not clear."""

from __future__ import annotations

import csv
import io
import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.scores.file import MEAN, ONE_A_CLIP, ScoreFile, read, write
from mmidd.scores.imports import MEAN_ELSEWHERE, NOT_THERE, Reading, imported
from mmidd.scores.named import digest, named
from scores import lossy

Row = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("scores-lossy", lossy.corpus))


@pytest.fixture(scope="module")
def frames(corpus: Corpus) -> list[Row]:
    """The samples of the test split, each with a score."""
    rows = [row for row in named(corpus, ["test"]).to_pylist() if row["row"] is not None]
    return [row | {"score": (number + 1) / 1000} for number, row in enumerate(rows)]


@pytest.fixture(scope="module")
def clips(corpus: Corpus) -> list[Row]:
    """The media of the test split that gave samples."""
    rows = [row for row in named(corpus, ["test"]).to_pylist() if row["level"] == "clip" and row["status"] == "ok"]
    return [row | {"score": (number + 1) / 1000} for number, row in enumerate(rows)]


def text(rows: list[Row], columns: dict[str, str | Callable[[Row], Any]], delimiter: str = ",", end: str = "\n") -> str:
    """A table: of each column its name here, and what it holds of a row."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[what] if isinstance(what, str) else what(row) for what in columns.values()])
    return out.getvalue()


def take(path: Path, data: str | bytes, corpus: Corpus, **reading: Any) -> ScoreFile:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return imported(path, corpus, ["test"], name="theirs", reading=Reading(**reading))


def scores(found: ScoreFile, level: str) -> list[float]:
    return [row["score"] for row in found.level(level).to_pylist() if row["status"] == "ok"]


BY_CLIP: dict[str, tuple[dict[str, str | Callable[[Row], Any]], str]] = {
    "dataset and path": ({"dataset": "dataset", "media": "media", "score": "score"}, "the path"),
    "path alone": ({"path": "media", "prob": "score"}, "the path"),
    "a slug": ({"Dataset": lambda r: "gamma", "VIDEO": "media", "P_Fake": "score"}, "the path"),
    "the dataset before": ({"file": lambda r: f"{r['dataset']}/{r['media']}", "fake": "score"}, "the dataset and the path"),
    "a root before": ({"video_path": lambda r: f"/mnt/my data/{r['media']}", "score": "score"}, "the end of a longer path"),
    "Windows": ({"file": lambda r: "D:\\x\\" + r["media"].replace("/", "\\"), "score": "score"}, "the end of a longer path"),
    "without endings": ({"id": lambda r: r["media"].rpartition(".")[0], "score": "score"}, "the path, without its ending"),
    "other endings": ({"image": lambda r: r["media"][:-4] + ".avi", "score": "score"}, "the path, without its ending"),
    "names alone": ({"filename": lambda r: r["media"].rpartition("/")[2], "score": "score"}, "the end of the path"),
    "names without endings": (
        {"clip": lambda r: r["media"].rpartition("/")[2][:-4], "score": "score"}, "the end of the path, without its ending",
    ),
    "a root and no endings": (
        {"clip": lambda r: f"./x/{r['media'][:-4]}", "score": "score"}, "the end of a longer path, without its ending",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", BY_CLIP)
def test_clips_are_found_by_what_names_them(corpus: Corpus, clips: list[Row], tmp_path: Path, way: str) -> None:
    columns, how = BY_CLIP[way]
    found = take(tmp_path / "a.csv", text(clips[::-1], columns), corpus)
    told = found.about.model["imported"]
    assert scores(found, "clip") == [row["score"] for row in clips] and not scores(found, "frame")
    assert told["matched_by"] == how and told["scored"] == len(clips) == told["rows"] and told["strangers"] == 0
    assert (
        found.levels == ("clip",)
        and found.about.clip == ONE_A_CLIP
        and found.about.named == digest(found.table) == digest(named(corpus, ["test"]))
    )
    assert set(found.level("frame")["reason"].to_pylist()) > {"only clips were scored"}
    write(tmp_path / "b", found)
    assert read(tmp_path / "b").table.equals(found.table)


BY_FRAME: dict[str, dict[str, str | Callable[[Row], Any]]] = {
    "sample ids": {"id": "id", "score": "score"},
    "sample ids and more": {"id": "id", "media": lambda r: "whatever", "score": "score"},
    "dataset, path and frame": {"dataset": "dataset", "media": "media", "frame": "frame", "score": "score"},
    "a face as well": {"media": "media", "frame": lambda r: f"{r['frame']}.0", "face": "face", "score": "score"},
    "an empty face": {"media": "media", "frame": "frame", "face": lambda r: "", "score": "score"},
    "a number and a path": {"id": lambda r: 7, "video": "media", "frame_idx": "frame", "score": "score"},
}


@pytest.mark.parametrize("way", BY_FRAME)
def test_frames_are_found_by_what_names_them(corpus: Corpus, frames: list[Row], tmp_path: Path, way: str) -> None:
    columns = dict(BY_FRAME[way])
    if way == "a number and a path":
        with pytest.raises(ScoreError, match="none of its"):  # an id that is a number names no medium
            take(tmp_path / "a.csv", text(frames, {"id": columns["id"], "score": "score"}), corpus)
    found = take(tmp_path / "a.csv", text(list(reversed(frames)), columns), corpus)
    assert (
        scores(found, "frame") == [row["score"] for row in frames]
        and found.about.clip == MEAN
        and found.levels == ("frame", "clip")
    )
    left = found.about.model["imported"]["columns_left"]
    assert left == (["id"] if way == "a number and a path" else [])
    first = next(row for row in found.level("clip").to_pylist() if row["status"] == "ok")
    assert first["score"] == pytest.approx(np.mean([r["score"] for r in frames if r["media"] == first["media"]]))
    assert Counter(found.table["status"].to_pylist())["error"] == 0
    write(tmp_path / "b", found)


def test_frames_may_be_taken_as_clips(corpus: Corpus, frames: list[Row], tmp_path: Path) -> None:
    columns: dict[str, Any] = {"media": "media", "frame": lambda r: r["frame"] + 1000, "score": "score"}
    with pytest.raises(ScoreError, match=r"none of its .* rows is of a frame of the splits"):
        take(tmp_path / "a.csv", text(frames, columns), corpus)
    found = take(tmp_path / "a.csv", text(frames, columns), corpus, level="clip")
    media = {row["media"] for row in frames}
    mean = [np.mean([r["score"] for r in frames if r["media"] == each]) for each in sorted(media)]
    assert scores(found, "clip") == pytest.approx(mean) and found.about.clip == MEAN_ELSEWHERE
    with pytest.raises(ScoreError, match="1 rows are of what another row is of"):
        take(tmp_path / "a.csv", text([*frames, frames[0]], columns), corpus, level="clip")


def test_frames_of_large_numbers_are_told_apart(corpus: Corpus, frames: list[Row], tmp_path: Path) -> None:
    large = [
        row | {"frame": number * 7919 % 999_999_937, "face": 999_999_999 - number} for number, row in enumerate(frames * 20)
    ]
    found = take(tmp_path / "a.csv", text(large, {"media": "media", "frame": "frame", "face": "face", "score": "score"}),
                 corpus, level="clip")  # fmt: skip
    assert found.about.model["imported"]["matched"] == len(large)


def test_a_clip_that_the_corpus_lost_may_have_a_score(corpus: Corpus, clips: list[Row], tmp_path: Path) -> None:
    found = take(tmp_path / "a.csv", text(clips, {"media": "media", "score": "score"}) + "slow.mp4,0.75\n", corpus)
    lost = {row["media"]: row for row in found.level("clip").to_pylist()}
    assert lost["slow.mp4"]["score"] == 0.75 and lost["no-face.mp4"]["reason"] == "no_face"


COLUMNS: dict[str, Any] = {"media": "media", "score": "score"}


def logit(share: float) -> float:
    return math.log(share / (1 - share))


@pytest.mark.parametrize(
    ("data", "reading"),
    [
        (lambda rows: "\ufeff" + text(rows, COLUMNS), {}),
        (lambda rows: text(rows, COLUMNS, end="\r\n"), {}),
        (lambda rows: text(rows, COLUMNS, ";"), {}),
        (lambda rows: text(rows, COLUMNS, "\t"), {}),
        (lambda rows: text(rows, COLUMNS).encode("utf-16"), {}),
        (lambda rows: text(rows, {"media": lambda r: f'"{r["media"]}"', "score": "score"}).replace('"""', '"'), {}),
        (lambda rows: text(rows, {"media": lambda r: f" {r['media']} ", "score": lambda r: f"  {r['score']} "}), {}),
        (lambda rows: text(rows, COLUMNS) + "\n\n", {}),
        (lambda rows: text(rows, COLUMNS).rstrip("\n"), {}),
        (lambda rows: text(rows, COLUMNS | {"split": lambda r: "Test"}) + "x.mp4,0.5,train\ny.mp4,7,val\n", {}),
        (lambda rows: text(rows, COLUMNS | {"level": lambda r: "clip"}) + "x.mp4,0.5,frame\n", {"level": "clip"}),
        (lambda rows: text(rows, COLUMNS | {"label": "label"}), {}),
        (lambda rows: text(rows, COLUMNS | {"y_true": lambda r: int(r["label"] == "fake")}), {}),
        (lambda rows: text(rows, {"media": "media", "logit": lambda r: logit(r["score"])}), {"logit": True}),
        (lambda rows: text(rows, {"media": "media", "p_real": lambda r: 1 - r["score"]}), {"real_high": True}),
        (lambda rows: text(rows, {"media": "media", "yhat": "score"}), {"columns": {"score": "yhat"}}),
        (lambda rows: text(rows, COLUMNS | {"prob": lambda r: 9}), {"columns": {"score": "score"}}),
        (lambda rows: text(rows, COLUMNS | {"label": lambda r: "x"}), {"columns": {"label": ""}}),
        (lambda rows: text(rows, COLUMNS) + "nobody.mp4,0.5\n", {"ignore_strangers": True}),
    ],
)  # fmt: skip
def test_tables_are_read_however_they_are_written(
    corpus: Corpus, clips: list[Row], tmp_path: Path, data: Callable[[list[Row]], str | bytes], reading: Any
) -> None:
    found = take(tmp_path / "a.csv", data(clips), corpus, **reading)
    assert scores(found, "clip") == pytest.approx([row["score"] for row in clips])
    told = found.about.model["imported"]
    assert told["rows"] == told["matched"] + told["strangers"] + sum(v for k, v in told.items() if k.startswith("rows_of"))


def test_our_own_files_are_read_as_tables_of_others(corpus: Corpus, frames: list[Row], tmp_path: Path) -> None:
    ours = take(tmp_path / "a.csv", text(frames[:-1], {"id": "id", "score": "score"}), corpus)
    write(tmp_path / "ours", ours)
    rows = ours.table.drop_columns(["types"])
    pacsv.write_csv(rows, tmp_path / "b.csv")
    for name in ("ours", "b.csv"):
        again = imported(tmp_path / name, corpus, ["test"], name="x")
        assert again.table.select(["status", "score"]).equals(ours.table.select(["status", "score"]))
        clips = imported(tmp_path / name, corpus, ["test"], name="x", reading=Reading(level="clip"))
        assert scores(clips, "clip") == pytest.approx(scores(ours, "clip")) and not scores(clips, "frame")


def test_what_has_no_score_says_why(corpus: Corpus, clips: list[Row], tmp_path: Path) -> None:
    told = ["", "nan", "0.5", "None", "inf"]
    rows = [row | {"score": score} for row, score in zip(clips, told, strict=False)]
    found = take(tmp_path / "a.csv", text(rows, COLUMNS), corpus).level("clip").to_pylist()
    have = {row["media"]: (row["status"], row["reason"], row["score"]) for row in found}
    empty, broken = ("missing", "no score in the imported file", None), ("error", "an error in the imported file", None)
    assert [have[row["media"]] for row in rows] == [empty, broken, ("ok", None, 0.5), empty, broken]
    assert have[clips[5]["media"]] == ("missing", NOT_THERE, None)


def test_a_score_file_of_deepfake_workbench_is_read(corpus: Corpus, clips: list[Row], tmp_path: Path) -> None:
    states = [("ok", "0.5"), ("missing", ""), ("error", "")]
    rows = [row | {"status": status, "score": score} for row, (status, score) in zip(clips, states, strict=False)]
    columns: dict[str, Any] = {"dataset": lambda r: "gamma", "key": "media", "compression": "compression"}
    columns |= {"label": lambda r: int(r["label"] == "fake"), "score": "score", "status": "status", "label_key": "label"}
    columns |= {"method": "method", "n_frames": "frames_named", "x_group": "group"}
    found = take(tmp_path / "gamma-test.scores.csv", text(rows, columns), corpus)
    have = {row["media"]: row["status"] for row in found.level("clip").to_pylist()}
    assert [have[row["media"]] for row in rows] == ["ok", "missing", "error"]
    assert found.about.model["imported"]["columns_left"] == ["compression", "label_key", "method", "n_frames", "x_group"]


def test_parquet_is_read_as_text_is(corpus: Corpus, clips: list[Row], frames: list[Row], tmp_path: Path) -> None:
    table = pa.table(
        {
            "media": pa.array([row["media"] for row in frames]).dictionary_encode(),
            "frame": pa.array([row["frame"] for row in frames], pa.float64()),
            "score": pa.array([float("nan"), None, *(row["score"] for row in frames[2:])], pa.float32()),
            "extra": [[1]] * len(frames),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = imported(tmp_path / "a.parquet", corpus, ["test"], name="x")
    assert scores(found, "frame") == pytest.approx([row["score"] for row in frames[2:]])
    states = {(row["media"], row["frame"]): row["status"] for row in found.level("frame").to_pylist()}
    assert [states[row["media"], row["frame"]] for row in frames[:2]] == ["error", "missing"]


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "out of range": ("media,score\n{0},1.5\n", r"1 rows are not from 0 to 1 .*, the first is row 2: 1.5"),
    "per cent": ("media,score\n{0},0.5\n{1},55\n", "divide per cent by 100"),
    "no number": ("media,score\n{0},0.5\n{1},high\x1b[31m\n", r"row 3: score 'high\\x1b\[31m' is no number"),
    "a decimal comma": ("media;score\n{0};0,5\n", "write a point for a decimal comma"),
    "hexadecimal": ("media,score\n{0},0x1p-1\n", "is no number"),
    "logits": ("media,logit\n{0},3\n", "reads like log odds"),
    "of real": ("media,p_real\n{0},0.3\n", "reads like the share of real"),
    "twice": ("media,score\n{0},0.5\n{1},0.5\n{0},0.5\n", r"another row is of, as '.*' \(row 4\), which is row 2"),
    "a stranger": ("media,score\n{0},0.5\nx.mp4,0.5\n", r"1 of 2 rows are of what .* not name: 'x.mp4' \(row 3\)"),
    "strangers alone": ("media,score\nx.mp4,0.5\n", "none of its 1 rows is of a medium of the splits: it has 'x.mp4'"),
    "a stranger's dataset": ("dataset,media,score\nOther,{0},0.5\n", "none of its 1 rows"),
    "no medium": ("media,score\n,0.5\n{0},0.5\n", "1 rows name no medium, the first is row 2"),
    "no score column": ("media,p\n{0},0.5\n", "has no column that is called score, prob"),
    "no media column": ("x,score\n{0},0.5\n", "has no column that is called media"),
    "two scores": ("media,score,prob\n{0},0.5,0.5\n", "'score', 'prob' may each be the score: say which"),
    "a column twice": ("media,score,score\n{0},0.5,0.5\n", "has two columns 'score'"),
    "no rows": ("media,score\n", "has no row below its header"),
    "empty": ("", "is empty"),
    "a row too long": ("media,score\n{0},0.5,7\n", "row 2: 3 columns, its first line has 2"),
    "other splits": ("media,score,split\n{0},0.5,train\n", "none of test"),
    "another label": ("media,score,label\n{0},0.5,{other}\n", "1 of 1 rows have another label than the corpus"),
    "ok without a score": ("media,score,status\n{0},,ok\n", "are ok and have no score"),
    "missing with a score": ("media,score,status\n{0},0.5,missing\n", "have a score and are not ok"),
    "another status": ("media,score,status\n{0},0.5,fine\n", "a status that is none of"),
    "a frame that is none": ("media,frame,score\n{0},1.5,0.5\n", "row 2: frame '1.5' is no whole number"),
    "no UTF-8": (b"media,score\n\xff\xfe.mp4,0.5\n", "is not written in UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "has no column that is called"),
    "half a Parquet": (b"PAR1" + bytes(50), "cannot be read as a table of scores"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_not_clear_is_refused(corpus: Corpus, clips: list[Row], tmp_path: Path, fault: str) -> None:
    data, said = REFUSED[fault]
    if isinstance(data, str):
        names = [row["media"] for row in clips]
        other = "real" if clips[0]["label"] == "fake" else "fake"
        for word, value in {"{0}": names[0], "{1}": names[1], "{other}": other}.items():
            data = data.replace(word, value)
    with pytest.raises(ScoreError, match=said):
        take(tmp_path / "a.csv", data, corpus)


def test_a_line_without_end_is_not_read(corpus: Corpus, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"media,score\n")
        file.truncate(1 << 30)  # a gigabyte of zero bytes, that takes no room on the disk
    begun = time.monotonic()
    with pytest.raises(ScoreError, match="line of more than 1 MiB"):
        imported(tmp_path / "a.csv", corpus, ["test"], name="x")
    assert time.monotonic() - begun < 20
    with (tmp_path / "b.csv").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ScoreError, match="first line"):
        imported(tmp_path / "b.csv", corpus, ["test"], name="x")


@pytest.mark.parametrize(
    ("columns", "said"),
    [({"score": "none"}, "has no column 'none'"), ({"scores": "score"}, "no column means 'scores'")],
)
def test_columns_that_are_not_there_cannot_be_meant(corpus: Corpus, tmp_path: Path, columns: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        take(tmp_path / "a.csv", "media,score\nx,0.5\n", corpus, columns=columns)
