"""Scores joined to what splits name: nothing is dropped, whatever subset is scored, and a clip is the mean of its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.scores.file import SCHEMA
from mmidd.scores.joined import joined
from mmidd.scores.named import digest, named
from scores import lossy


@pytest.fixture(scope="module")
def table(once: Once) -> pa.Table:
    return named(Corpus(once("scores-lossy", lossy.corpus)), ["test"])


def numbers(table: pa.Table) -> list[int]:
    return [row for row in table["row"].to_pylist() if row is not None]


@settings(max_examples=60)
@given(data=st.data())
def test_nothing_is_dropped_whatever_subset_is_scored(table: pa.Table, data: st.DataObject) -> None:
    rows = data.draw(st.permutations(numbers(table)))
    scored = rows[: data.draw(st.integers(0, len(rows)))]
    failed = rows[len(scored) :][: data.draw(st.integers(0, len(rows) - len(scored)))]
    fake = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(scored), max_size=len(scored))))
    types = np.stack([1 - fake, fake, *[np.zeros(len(fake))] * 3], 1) if data.draw(st.booleans()) else None
    found = joined(table, np.array(scored, np.int64), fake, types, dict.fromkeys(failed, "why\x1b[31m not"))
    assert found.schema.equals(SCHEMA) and found.num_rows == table.num_rows and digest(found) == digest(table)
    of_row, rows_of = dict(zip(scored, fake, strict=True)), table["row"].to_pylist()
    frames: dict[str, list[dict[str, Any]]] = {}
    for row, number in zip(found.to_pylist(), rows_of, strict=True):
        assert (row["status"] == "ok") == (row["score"] is not None) == (row["frames"] > 0) == (row["reason"] is None)
        assert (row["types"] is not None) == (types is not None and row["status"] == "ok")
        if row["level"] == "frame":
            frames.setdefault(row["media"], []).append(row)
            assert row["score"] == of_row.get(number) and (row["status"] == "missing") == (number is None)
            assert (
                number in of_row or number is None or row["reason"] == ("why [31m not" if number in failed else "not scored")
            )
        else:
            mine = frames[row["media"]]
            have = [each["score"] for each in mine if each["score"] is not None]
            assert (row["frames"], row["frames_named"]) == (len(have), len(mine))
            assert row["score"] == (pytest.approx(np.mean(have)) if have else None)
            statuses = {each["status"] for each in mine}
            assert row["status"] == next(status for status in ("ok", "error", "missing") if status in statuses)


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        ([0.5, 1.5], "1 of 2 scores are not from 0 to 1, the first 1.5"),
        ([-0.1, 0.5], "not from 0 to 1"),
        ([float("nan"), 0.5], "no finite number"),
        ([0.5, float("inf")], "no finite number"),
        ([0.5], "one each a row"),
        (["a", "b"], "no numbers"),
    ],
)
def test_scores_that_are_no_shares_of_one_are_refused(table: pa.Table, fake: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        joined(table, numbers(table)[:2], fake)


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ([[0.2] * 5, [0.3] * 5], "1 of 2 scores are types that do not add up to 1"),
        ([[0.2] * 5, [1.2, -0.2, 0, 0, 0]], "no shares"),
        ([[0.2] * 5, [float("nan")] * 5], "no shares"),
        ([[0.5, 0.5]] * 2, "types of shape"),
    ],
)
def test_types_that_are_no_shares_of_one_whole_are_refused(table: pa.Table, types: Any, said: str) -> None:
    with pytest.raises(ScoreError, match=said):
        joined(table, numbers(table)[:2], [0.5, 0.5], types)


def test_rows_that_are_not_named_or_come_twice_are_refused(table: pa.Table) -> None:
    first, second = numbers(table)[:2]
    with pytest.raises(ScoreError, match="1 of 2 scores are of rows that the splits do not name, the first is row 99"):
        joined(table, [first, 99], [0.5, 0.5])
    with pytest.raises(ScoreError, match=f"1 rows have scores twice, the first is row {first}"):
        joined(table, [first, second, first], [0.5] * 3)
    with pytest.raises(ScoreError, match=f"a score and an error, the first is row {second}"):
        joined(table, [first, second], [0.5] * 2, errors={second: "broke"})
    with pytest.raises(ScoreError, match="1 of 1 errors are of rows that the splits do not name"):
        joined(table, [first], [0.5], errors={-1: "broke"})
    with pytest.raises(ScoreError, match="whole numbers"):
        joined(table, [0.5], [0.5])


def test_the_same_scores_in_another_order_give_the_same_table(table: pa.Table) -> None:
    rows = np.array(numbers(table))
    fake = np.random.default_rng(0).random(len(rows))
    order = np.random.default_rng(1).permutation(len(rows))
    assert joined(table, rows, fake).equals(joined(table, rows[order], fake[order]))
    nothing = joined(table, [], [])
    assert set(nothing["status"].to_pylist()) == {"error", "missing"}
