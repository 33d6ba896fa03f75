"""Score files: the same scores give the same bytes, what was written is read, and nothing else is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.engine.tables import content_digest
from mmidd.errors import ScoreError
from mmidd.scores.file import FORMAT, SCHEMA, About, ScoreFile, read, write
from mmidd.scores.joined import joined
from mmidd.scores.named import digest, left_out, named
from scores import lossy

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def scores(once: Once) -> ScoreFile:
    corpus = Corpus(once("scores-lossy", lossy.corpus))
    table = named(corpus, ["test"])
    rows = table["row"].drop_null().to_numpy()
    fake = np.random.default_rng(0).random(len(rows))
    scored = np.arange(len(rows)) > 3  # no frame of the first clip, and not all of the second
    scored[5] = False
    types = np.stack([1 - fake, *[fake / 4] * 4], 1)
    found = joined(table, rows[scored], fake[scored], types[scored], {int(rows[0]): "broke"})
    about = About(
        {"kind": "run"}, {"digest": corpus.digest}, ("test",), (), digest(table), left_out=left_out(corpus, ["test"])
    )
    return ScoreFile(found, about)


def put(path: Path, table: pa.Table, about: About, **told: Any) -> Path:
    """Write whatever it is, as if it were sound."""
    document = about.document() | {"rows": content_digest(table), "named": digest(table)} | told
    pq.write_table(table.replace_schema_metadata({"mmidd.scores": json.dumps(document)}), path)
    return path


def test_what_was_written_is_read(scores: ScoreFile, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"no unicode \xff.parquet")
    write(path, scores)
    found = read(path)
    assert found.table.equals(scores.table) and found.about == scores.about
    assert found.level("clip", "test").num_rows == lossy.MEDIA + lossy.LOST and not found.level("frame", "train").num_rows
    with pytest.raises(FileExistsError):
        write(path, scores)


def test_the_same_scores_are_the_same_bytes(scores: ScoreFile, tmp_path: Path) -> None:
    pieces = pa.concat_tables([scores.table.slice(0, 5), scores.table.slice(5)])
    for name, table in (("a", scores.table), ("b", pieces)):
        write(tmp_path / name, replace(scores, table=table))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_link_to_a_score_file_is_one(scores: ScoreFile, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    write(tmp_path / "far" / "a", scores)
    (tmp_path / "b").symlink_to(tmp_path / "far" / "a")
    assert read(tmp_path / "b").about == scores.about


def _first(row: Rows, **which: Any) -> dict[str, Any]:
    return next(each for each in row if all(each[name] == value for name, value in which.items()))


def _set(which: Mapping[str, Any], **told: Any) -> Callable[[Rows], None]:
    return lambda rows: _first(rows, **which).update(told)


def _again(rows: Rows, **which: Any) -> None:
    rows.insert(0, _first(rows, **which))


OK, CLIP = {"level": "frame", "status": "ok"}, {"level": "clip", "status": "ok"}
ERROR, LOST = {"level": "frame", "status": "error"}, {"level": "clip", "status": "missing"}
FAULTS: dict[str, tuple[Callable[[Rows], Any], str]] = {
    "nan": (_set(OK, score=float("nan")), "1 rows have a score that is no finite number"),
    "infinite": (_set(OK, score=float("inf")), "no finite number"),
    "above one": (_set(OK, score=1.25), r"not from 0 to 1 \(1.25\), first the frame of split 'test'"),
    "below nothing": (_set(OK, score=-1e-9), "not from 0 to 1"),
    "ok without a score": (_set(OK, score=None), "are ok and have no score"),
    "missing with a score": (_set(LOST, score=0.5), "have a score and are not ok"),
    "error with types": (_set(ERROR, types=[0.2] * 5), "have types and are not ok"),
    "types of 1.5": (_set(OK, types=[0.3] * 5), "types that are no shares"),
    "types below nothing": (_set(OK, types=[1.2, -0.2, 0.0, 0.0, 0.0]), "types that are no shares"),
    "types of nan": (_set(OK, types=[float("nan")] * 5), "types that are no shares"),
    "null in types": (_set(OK, types=[None, 1.0, 0.0, 0.0, 0.0]), "types that are no shares"),
    "another status": (_set(OK, status="fine"), "a status that is none of ok, missing, error"),
    "another level": (_set(OK, level="video"), "a level that is none of"),
    "another label": (_set(OK, label="FAKE"), "a label that is none of"),
    "another type": (_set(OK, forgery_type="XX"), "a forgery_type that is none of"),
    "another split": (_set(OK, split="train"), "of a split that was not asked for"),
    "an escape": (_set(OK, split="\x1b[2Jtest"), r"none of train, validation, test \('\\x1b\[2Jtest'\)"),
    "ok with a reason": (_set(OK, reason="why"), "have a reason and are ok, or are neither"),
    "error without a reason": (_set(ERROR, reason=None), "have a reason and are ok, or are neither"),
    "a frame twice": (lambda rows: _again(rows, **OK), "1 rows are of a frame that was there before"),
    "a clip twice": (lambda rows: _again(rows, **CLIP), "1 rows are of a clip that was there before"),
    "a clip with a frame": (_set(CLIP, frame=3), "are clips and have a frame"),
    "a frame without its clip": (lambda rows: rows.remove(_first(rows, **CLIP)), "frames of a clip that is not there"),
    "a clip of more frames": (_set(CLIP, frames_named=99), "name more or fewer frames than there are"),
    "a clip of fewer scores": (_set(CLIP, frames=1), "clips of other frames than have a score"),
    "a clip better than its frames": (_set(CLIP, score=0.123), "whose score is not the mean of their frames"),
    "a clip of other types": (_set(CLIP, types=[0.2] * 5), "types of clips are not the mean"),
    "a clip that is no error": (_set({"level": "clip", "status": "error"}, status="missing"), "another status"),
    "a clip of another label": (_set({**CLIP, "label": "fake"}, label="real"), "with another label than their clip"),
    "a clip of another group": (_set(CLIP, group="Gamma/x"), "with another group than their clip"),
    "a frame of many": (_set(OK, frames=2), "are of no such number of frames"),
    "a frame below nothing": (_set(OK, frame=-1), "have a frame below 0"),
    "a scored frame without a number": (_set(OK, frame=None, face=None, id=None), "a score and no number"),
    "a frame that is dropped": (lambda rows: rows.remove(_first(rows, **ERROR)), "name more or fewer frames"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_contradicts_itself_is_refused(scores: ScoreFile, tmp_path: Path, fault: str) -> None:
    change, said = FAULTS[fault]
    rows = scores.table.to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, SCHEMA)
    with pytest.raises(ScoreError, match=f"{said}.*write it again with mmidd score"):
        read(put(tmp_path / "a", table, scores.about))
    with pytest.raises(ScoreError, match=said):
        write(tmp_path / "b", ScoreFile(table, replace(scores.about, named=digest(table))))
    assert not (tmp_path / "b").exists()


def test_a_file_that_was_changed_since_is_refused(scores: ScoreFile, tmp_path: Path) -> None:
    better = pc.if_else(
        pc.equal(scores.table["label"], "fake"), pc.if_else(pc.is_valid(scores.table["score"]), 1.0, None), 0.5
    )
    better = pc.if_else(pc.is_valid(scores.table["score"]), better, None)
    table = scores.table.set_column(SCHEMA.get_field_index("score"), SCHEMA.field("score"), better)
    with pytest.raises(ScoreError, match=r"clips whose score is not the mean|not those that were written"):
        read(put(tmp_path / "a", table, scores.about, rows=content_digest(scores.table)))
    with pytest.raises(ScoreError, match="not those that were written: it was changed since"):
        read(put(tmp_path / "b", scores.table, scores.about, rows="0" * 64))
    with pytest.raises(ScoreError, match="not what it says that its splits name"):
        read(put(tmp_path / "c", scores.table, scores.about, named="0" * 16))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"format": "mmidd scores 2"}, "read it with the mmidd that wrote it"),
        ({"format": 7}, "has the format 7, this mmidd reads 'mmidd scores 1'"),
        ({"splits": "test"}, "says no 'splits'"),
        ({"splits": [1]}, "does not say what its scores depend on"),
        ({"model": None}, "says no 'model'"),
        ({"corpus": []}, "says no 'corpus'"),
        ({"degradation": 3}, "does not say what its scores depend on"),
        ({"rows": None}, "does not say what its scores depend on"),
        ({"cheated": True}, "depends on 'cheated', which this mmidd does not know"),
    ],
)
def test_what_a_file_says_of_itself_must_be_known(scores: ScoreFile, tmp_path: Path, told: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        read(put(tmp_path / "a", scores.table, scores.about, **told))


@pytest.mark.parametrize(
    "told", ["", "no json", "[" * 100_000, "[]", '"mmidd"', "{}", "\udcff".encode("utf-8", "surrogateescape")]
)
def test_what_is_no_account_is_refused(scores: ScoreFile, tmp_path: Path, told: str | bytes) -> None:
    pq.write_table(scores.table.replace_schema_metadata({"mmidd.scores": told}), tmp_path / "a")
    with pytest.raises(ScoreError, match=r"does not say what its scores depend on|has the format None"):
        read(tmp_path / "a")


def test_other_columns_or_types_are_refused(scores: ScoreFile, tmp_path: Path) -> None:
    document = json.dumps(scores.about.document() | {"rows": "", "format": FORMAT})
    for number, table in enumerate(
        (
            scores.table.drop_columns(["types"]),
            scores.table.append_column("more", scores.table["score"]),
            scores.table.set_column(SCHEMA.get_field_index("score"), "score", pc.cast(scores.table["score"], pa.string())),
        )
    ):
        pq.write_table(table.replace_schema_metadata({"mmidd.scores": document}), tmp_path / str(number))
        with pytest.raises(ScoreError, match="other columns or types"):
            read(tmp_path / str(number))


def test_what_is_no_score_file_is_refused(scores: ScoreFile, tmp_path: Path) -> None:
    write(tmp_path / "whole", scores)
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, data in (("empty", b""), ("text", b"media,score\n"), ("short", whole[:-9]), ("bad", _flipped(whole))):
        (tmp_path / name).write_bytes(data)
    pq.write_table(pa.table({"media": ["a"]}), tmp_path / "other")
    for name, said in {
        "folder": "is a folder: name a file",
        "pipe": "no plain file",
        "absent": "No such file",
        "empty": "cannot be read as a score file",
        "text": "cannot be read as a score file",
        "short": "cannot be read as a score file",
        "bad": "cannot be read as a score file|changed since|cannot be used",
        "other": "is no score file: mmidd score writes one, mmidd score --import takes scores made elsewhere",
        "a\0b": "zero byte",
    }.items():
        with pytest.raises(ScoreError, match=said):
            read(tmp_path / name)


def _flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 255]) + data[41:]


def test_a_file_of_no_end_is_not_unpacked(tmp_path: Path, scores: ScoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmidd.scores.foreign._MOST_MORE", 1 << 10)
    monkeypatch.setattr("mmidd.scores.foreign._MOST_FACTOR", 1)
    rows = pa.Table.from_pylist(scores.table.to_pylist()[:1] * 100_000, SCHEMA)
    with pytest.raises(ScoreError, match=r"bytes unpack to more than \d+ MiB"):
        read(put(tmp_path / "a", rows, scores.about))
