"""Files from anywhere: what cannot be used is a ScoreError, never another fault; what is read is what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.scores.file import ScoreFile, read, write
from mmidd.scores.imports import Reading, imported
from scores import lossy

CALM = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TABLE = b"dataset,media,frame,score,status\n" + b"Gamma,test-gamma/0.mp4,0,0.5,ok\nGamma,test-gamma/0.mp4,2,,missing\n"
PIECES = (
    b",",
    b"\n",
    b"\r\n",
    b'"',
    b";",
    b"\t",
    b"\0",
    b"\xff",
    b"nan",
    b"1e999",
    b"-",
    b"\x1b[2J",
    b"/" * 70,
    b"9" * 400,
    b"\xef\xbb\xbf",
)


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("scores-lossy", lossy.corpus))


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[ScoreFile, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "a.csv").write_bytes(TABLE)
    found = imported(folder / "a.csv", corpus, ["test"], name="x")
    write(folder / "a", found)
    return found, (folder / "a").read_bytes()


@CALM
@given(data=st.data())
def test_a_score_file_with_any_bytes_changed_is_what_it_was_or_refused(
    whole: tuple[ScoreFile, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    found, file = whole
    changed = bytearray(file)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(changed[: data.draw(st.sampled_from([len(file), len(file) - 5, len(file) // 2]))])
    try:
        again = read(tmp_path / "a")
    except ScoreError:
        return
    assert again.table.equals(found.table) and again.about.document() == found.about.document()


@CALM
@given(data=st.data())
def test_a_table_with_anything_in_it_is_scores_or_refused(corpus: Corpus, tmp_path: Path, data: st.DataObject) -> None:
    table = TABLE
    for _ in range(data.draw(st.integers(1, 4))):
        at, cut = data.draw(st.integers(0, len(table))), data.draw(st.integers(0, 12))
        table = table[:at] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=8)) + table[at + cut :]
    (tmp_path / "a.csv").write_bytes(table)
    reading = Reading(logit=data.draw(st.booleans()), ignore_strangers=data.draw(st.booleans()))
    try:
        found = imported(tmp_path / "a.csv", corpus, ["test"], name="x", reading=reading)
    except ScoreError as error:
        assert all(each.isprintable() for each in str(error))
        return
    (tmp_path / "b").unlink(missing_ok=True)
    write(tmp_path / "b", found)
    assert read(tmp_path / "b").table.equals(found.table)
