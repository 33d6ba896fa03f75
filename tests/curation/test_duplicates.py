from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.curation.duplicates import REASONS, exact_duplicates

ROWS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 1)), max_size=30)


@pytest.mark.parametrize(
    ("digests", "labels", "order", "reasons"),
    [
        ([], [], [], []),
        (["a"], [0], [1], [None]),
        (["a", "b", "c"], [0, 1, 0], [1, 2, 3], [None, None, None]),
        (["a", "a"], [0, 0], [1, 2], [None, "exact_duplicate"]),
        (["a", "a"], [0, 0], [2, 1], ["exact_duplicate", None]),
        (
            ["a", "b", "a", "a"],
            [1, 0, 1, 1],
            ["z", "y", "x", "xx"],
            ["exact_duplicate", None, None, "exact_duplicate"],
        ),
        (["a", "a", "b"], [0, 1, 1], [1, 2, 3], ["label_conflict", "label_conflict", None]),
        (["a", "a", "a"], [0, 0, 1], [1, 2, 3], ["label_conflict"] * 3),
        ([b"\x00", b"\x00\x00", b"\x00"], [0, 0, 0], [1, 2, 3], [None, None, "exact_duplicate"]),
    ],
    ids=["empty", "one", "distinct", "pair", "order decides", "text order", "conflict", "two to one", "bytes"],
)
def test_the_smallest_row_is_kept_and_torn_labels_keep_none(
    digests: list[str | bytes], labels: list[int], order: list[int | str], reasons: list[str | None]
) -> None:
    found = exact_duplicates(digests, labels, order)
    assert found.reasons().to_pylist() == reasons
    assert found.keep.tolist() == [reason is None for reason in reasons]
    assert found.counts == {name: reasons.count(name) for name in REASONS if name}


@given(ROWS, st.integers(0, 99))
def test_it_equals_the_plain_definition_in_any_row_order(rows: list[tuple[str, int]], seed: int) -> None:
    table = [(digest, label, f"id{place:02d}") for place, (digest, label) in enumerate(rows)]
    random.Random(seed).shuffle(table)
    found = exact_duplicates(*([row[i] for row in table] for i in range(3)))
    for row, (digest, _, place) in enumerate(table):
        same = [other for other in table if other[0] == digest]
        first = min(other[2] for other in same)
        torn = len({other[1] for other in same}) > 1
        expected = "label_conflict" if torn else None if place == first else "exact_duplicate"
        assert REASONS[found.reason[row]] == expected
        assert table[found.first[row]][2] == first


def test_every_digest_keeps_one_row_or_none_and_every_row_is_counted() -> None:
    rng = np.random.default_rng(0)
    digests, labels = rng.integers(0, 500, 2000), rng.integers(0, 50, 2000) // 49
    found = exact_duplicates(digests.astype(str), labels, np.arange(2000))
    assert int(found.keep.sum()) + sum(found.counts.values()) == 2000
    assert len(set(digests[found.keep])) == int(found.keep.sum())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_arrow_columns_and_chunks_give_what_lists_give(kind: pa.DataType) -> None:
    digests, labels, order = list("abcaabdd"), [0, 1, 0, 0, 0, 0, 1, 1], list(range(8))
    expected = exact_duplicates(digests, labels, order)
    halves = pa.chunked_array([pa.array(digests[:3]), pa.array(digests[3:])]).cast(kind)
    found = exact_duplicates(halves, pa.array(labels, pa.int8()), np.array(order))
    assert found.first.tolist() == expected.first.tolist()
    assert found.reason.tolist() == expected.reason.tolist()


def test_media_that_share_a_digest_are_linked_conflicts_too() -> None:
    found = exact_duplicates(list("aaabbcd"), [0, 0, 0, 0, 1, 0, 0], [3, 1, 2, 4, 5, 6, 7])
    media = ["m3", "m1", "m1", "m2", "m1", "m4", "m5"]
    assert found.links(media) == [("m1", "m2"), ("m1", "m3")]
    assert exact_duplicates([], [], []).links([]) == []


@pytest.mark.parametrize(
    ("digests", "labels", "order", "message"),
    [
        (["a"], [0, 1], [1], "unequal length"),
        (["a", None], [0, 1], [1, 2], "null"),
        (["a", "b"], [0, None], [1, 2], "null"),
        (["a", "a"], [0, 0], [1, 1], "not unique"),
        (["a"], ["real"], [1], "integers"),
        (["a"], [0.5], [1], "integers"),
    ],
)
def test_columns_that_cannot_be_judged_are_refused(
    digests: list[str], labels: list[int], order: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        exact_duplicates(digests, labels, order)


def test_links_refuse_a_media_column_of_another_length() -> None:
    with pytest.raises(ValueError, match="2 media for 1 rows"):
        exact_duplicates(["a"], [0], [1]).links(["m", "n"])
